"""An exported model, for images of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from .graph import Graph, OnnxGraph
from .images import check_image, check_shape, convert, open_image, read_image
from .reduced import reduce_image
from .resizing import STEPS
from .results import FINISH, Image, Prediction, Prepared
from .tiled import finish_tile, lay_tiles, open_joiner
from .tiles import Tile
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
        sources = cast("Iterable[Image]", [images] if one else images)
        return self._predict(sources, batch_size, unreadable, self._finish)

    def predict_by_tiles(
        self,
        image: Image,
        tile_size: int,
        overlap: int | None = None,
        batch_size: int = 1,
        whole_too: bool = False,
    ) -> Prediction:
        """What is found in an image by overlapping tiles, as ``infer.py --tile`` finds it.

        Args:
            image: As of a call; of an npy file or a memory map no more than a tile is in memory.
            tile_size: Side of a tile, in pixels of the image.
            overlap: What neighbours share at least, in pixels; by default 15 % of a tile.
            batch_size: Tiles to compute at once.
            whole_too: Look at the image as a whole, too, made as small as a tile, for objects that
                are larger than one.

        Returns:
            Its ``pred_instances.masks`` are COCO's RLE of the image, an array of dicts; its
            ``pred_sem_seg.data`` is uint8.

        Raises:
            ValueError: The image cannot be read or is none that the model takes, there are no such
                tiles, or the model finds nothing that tiles could be put together by.
        """
        name = str(image) if isinstance(image, (str, Path)) else "an array"
        try:
            pixels, read = self._open(image)
            grid = lay_tiles(pixels.shape[:2], tile_size, overlap)
            joiner = open_joiner(self.about, grid, whole_too)
            found = self._predict(map(read, grid.tiles), batch_size, None, finish_tile)
            for number, prediction in enumerate(found):
                joiner.add(number, prediction.sample)
            if whole_too and len(grid.tiles) > 1:
                small, factor = reduce_image(read, grid.image_shape, tile_size)
                (prediction,) = self(small)
                joiner.add_reduced(prediction.sample, factor)
        except ValueError as error:
            raise ValueError(f"{name}: {str(error).removeprefix('an array: ')}") from error
        sample = SimpleNamespace()
        joiner.fill(sample)
        return Prediction(image, self._as_bgr(pixels), sample)

    def _open(self, source: Image) -> tuple[np.ndarray, Callable[[Tile], np.ndarray]]:
        """The pixels (H, W, C), of a file as they are there, and what reads a tile of them."""
        about = self.about["image"]
        from_file = isinstance(source, (str, Path))
        if isinstance(source, (str, Path)):
            pixels = open_image(source, about["channels"], about["channel_order"] == "rgb")
        elif isinstance(source, np.ndarray):
            pixels = source
        else:
            raise ValueError(f"a {type(source).__name__} is neither an array nor a path")
        check_shape(pixels, about["channels"])

        def read(tile: Tile) -> np.ndarray:
            part = pixels[tile[1] : tile[3], tile[0] : tile[2]]
            return convert(part, about.get("dtype")) if from_file else part

        return pixels, read

    def _as_bgr(self, image: np.ndarray) -> np.ndarray:
        rgb = self.about["image"]["channel_order"] == "rgb"
        return image[..., ::-1] if rgb and image.shape[2] == 3 else image

    def _predict(
        self,
        sources: Iterable[Image],
        batch_size: int,
        unreadable: list[Exception] | None,
        finish: Callable[[dict, dict, int, Prepared], SimpleNamespace],
    ) -> Iterator[Prediction]:
        batch: list[Prepared] = []
        for source in sources:
            try:
                sample = self._prepare(source)
            except ValueError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)
                continue
            if batch and sample.resized.shape != batch[0].resized.shape:
                yield from self._run(batch, finish)
                batch = []
            batch.append(sample)
            if len(batch) >= batch_size:
                yield from self._run(batch, finish)
                batch = []
        if batch:
            yield from self._run(batch, finish)

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
        return Prepared(source, self._as_bgr(image), prepared)

    def _run(
        self, batch: list[Prepared], finish: Callable[[dict, dict, int, Prepared], SimpleNamespace]
    ) -> Iterator[Prediction]:
        images = np.stack([sample.resized for sample in batch]).astype(np.float32)
        images = pad(images.transpose(0, 3, 1, 2), self.about["image"]["smallest"])
        windows = self.about["windows"]
        outputs = self._graph(images) if not windows else slide(self._graph, images, **windows)
        for number, sample in enumerate(batch):
            found = finish(self.about, outputs, number, sample)
            yield Prediction(sample.source, sample.image, found)
