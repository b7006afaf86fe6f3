"""An exported model, for images of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import numpy as np

from .graph import Graph, OnnxGraph
from .images import check_image, convert, read_image
from .resizing import STEPS
from .results import FINISH, Image, Prediction, Prepared
from .windows import pad, slide


class Predictor:
    """An exported model, for images of any size.

    Args:
        model: Path of an ONNX file, or a graph that is loaded.
        threads: At most so many compute; by default as many as there are cores.

    Attributes:
        about: All that the file says of itself.
        task: Its task's name.
        classes: Their names.
        palette: An RGB colour for each.
        label_offset: What to add to ``pred_sem_seg`` for a file of labels, see the other Predictor.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It was not written by this project.
    """

    def __init__(self, model: str | Path | Graph, threads: int = 0) -> None:
        self._graph: Graph = OnnxGraph(model, threads) if isinstance(model, (str, Path)) else model
        self.about = self._graph.about
        self.task: str = self.about["task"]
        self.classes: list[str] = self.about["classes"]
        self.palette = [tuple(colour) for colour in self.about["palette"]]
        self.label_offset: int = self.about["label_offset"]
        self._finish = FINISH[self.about["kind"]]

    def __call__(
        self,
        images: Image | Iterable[Image],
        batch_size: int = 1,
        unreadable: list[Exception] | None = None,
    ) -> Iterator[Prediction]:
        """Yield what is found in each image, in their order.

        Args:
            images: Arrays (H, W, C) as the config would load them (0 to 255, in the order that
                ``about["image"]["channel_order"]`` says), or paths: npy files by numpy, and others
                by Pillow, which must be there for them.
            batch_size: At most so many at once, of images of one size that follow each other.
            unreadable: Receives the errors of files that cannot be read, which are left out.

        Raises:
            ValueError: An image cannot be read or is none that the model takes, and there is no
                `unreadable`.
        """
        one = isinstance(images, (str, Path)) or hasattr(images, "shape")
        batch: list[Prepared] = []
        for source in cast("Iterable[Image]", [images] if one else images):
            try:
                sample = self._prepare(source)
            except ValueError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)
                continue
            if batch and sample.resized.shape != batch[0].resized.shape:
                yield from self._run(batch)
                batch = []
            batch.append(sample)
            if len(batch) >= batch_size:
                yield from self._run(batch)
                batch = []
        if batch:
            yield from self._run(batch)

    def _prepare(self, source: Image) -> Prepared:
        about = self.about["image"]
        rgb = about["channel_order"] == "rgb"
        if isinstance(source, np.ndarray):
            name, image = "an array", source
        elif isinstance(source, (str, Path)):
            name, image = str(source), read_image(source, about["channels"], rgb)
        else:
            raise ValueError(f"a {type(source).__name__} is neither an array nor a path")
        try:
            check_image(image, about["channels"])
            if isinstance(source, (str, Path)):
                image = convert(image, about.get("dtype"))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        prepared = image
        for step in about["steps"]:
            options = {name: value for name, value in step.items() if name != "step"}
            prepared = STEPS[step["step"]](prepared, **options)
        colours = image[..., ::-1] if rgb and image.shape[2] == 3 else image
        return Prepared(source, colours, prepared)

    def _run(self, batch: list[Prepared]) -> Iterator[Prediction]:
        images = np.stack([sample.resized for sample in batch]).astype(np.float32)
        images = pad(images.transpose(0, 3, 1, 2), self.about["image"]["smallest"])
        windows = self.about["windows"]
        outputs = self._graph(images) if not windows else slide(self._graph, images, **windows)
        for number, sample in enumerate(batch):
            yield Prediction(
                sample.source,
                sample.image,
                self._finish(self.about, outputs, number, sample),
            )
