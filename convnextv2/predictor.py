"""Detectors, segmenters and classifiers from a config and a checkpoint, for images of any size.

from convnextv2.predictor import Predictor

predictor = Predictor("CONFIG", "work_dirs/NAME/epoch_36.pth")
for found in predictor(["a.jpg", "b.jpg"]):
    print(found.source, found.sample.pred_instances.bboxes)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from convnextv2.background import read_ahead
from convnextv2.grouping import run_in_groups
from convnextv2.pictures import complete_palette
from convnextv2.results import Prediction

if TYPE_CHECKING:
    import numpy as np
    import torch
    from mmengine.config import Config
    from mmengine.model import BaseModel
    from mmengine.structures import BaseDataElement
    from torch import Tensor, nn

    from convnextv2.engine.tasks import PredictingTask

    Image = str | Path | np.ndarray


class ImageModel:
    """A model with how its images are read and prepared.

    Args:
        task: The model's.
        model: The network, on its device.
        steps: Of the test pipeline, built, without those that load labels; the first reads.
    """

    def __init__(
        self, task: PredictingTask, model: BaseModel, steps: Iterable[Callable[[dict], dict]]
    ) -> None:
        self.task, self.model = task, model
        self.load, *self._prepare = steps

    def __call__(
        self,
        images: Image | Iterable[Image],
        batch_size: int = 1,
        unreadable: list[Exception] | None = None,
        trim: Callable[[BaseDataElement], None] | None = None,
        ahead: int = 0,
    ) -> Generator[Prediction, None, None]:
        """Yield what is found in each image, in their order.

        Images of one size are computed together, though others may lie between them. Others are
        not: they would have to be padded, and the network's GRN sees the whole of what it is given.

        Args:
            images: Paths, or arrays (H, W, C) as the config would load them: BGR, 0 to 255.
            batch_size: At most so many at once.
            unreadable: Receives the errors of files that cannot be read, which are left out.
            trim: Takes out of a prediction what is not needed; by default what nobody asks for.
            ahead: So many images are read, in a thread, while others are computed.

        Raises:
            UnreadableImageError: A file cannot be read, and there is no `unreadable`.
        """
        one = isinstance(images, (str, Path)) or hasattr(images, "shape")
        sources = cast("Iterable[Image]", [images] if one else images)
        samples = self._read_all(sources, unreadable)
        yield from run_in_groups(
            read_ahead(samples, ahead) if ahead else samples,
            lambda sample: sample["inputs"].shape,
            batch_size,
            lambda batch: self._run(batch, trim),
        )

    def _read_all(
        self, sources: Iterable[Image], unreadable: list[Exception] | None
    ) -> Iterator[dict]:
        from convnextv2.images import UnreadableImageError

        for number, source in enumerate(sources):
            try:
                yield self._read(source, number)
            except UnreadableImageError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)

    def _read(self, source: Image, number: int) -> dict:
        from convnextv2.images import as_bgr

        results: dict[str, Any] = {"img_path": None, "img_id": number}
        if isinstance(source, (str, Path)):
            results = load_file(self.load, {**results, "img_path": str(source)})
        else:
            results |= {"img": source, "img_shape": source.shape[:2], "ori_shape": source.shape[:2]}
        image = as_bgr(results["img"], self.load)
        for transform in self._prepare:
            results = transform(results)
        self.task.prepare(results)
        return {**results, "source": source, "image": image}

    def _run(
        self, batch: list[dict], trim: Callable[[BaseDataElement], None] | None
    ) -> Iterator[Prediction]:
        import torch

        trim = trim or self.task.trim

        data = {key: [sample[key] for sample in batch] for key in ("inputs", "data_samples")}
        with torch.inference_mode():
            found = self.model.test_step(data)
        for sample, result in zip(batch, found, strict=True):
            trim(result)
            yield Prediction(sample["source"], sample["image"], result.cpu())


class Predictor(ImageModel):
    """A model of a config whose task predicts, with the weights of a checkpoint.

    Args:
        config: Path or what `mmengine.Config` made of it. Images are prepared as its
            ``test_dataloader`` has it; the data set itself is not needed.
        checkpoint: Path or address. It must fill the whole model; no code in it is run.
        device: Such as ``cpu`` or ``cuda:1``; by default the GPU if there is one.

    Attributes:
        task: The config's.
        model: The network, on the device.
        classes: Their names, as the checkpoint has them, otherwise as the config has them.
        palette: An RGB colour for each.
        dataset: The config's test data set, none of whose files was read.
        trained_meta: What the checkpoint says of the data set that it was trained on.
        load: Reads an image, as the config's test pipeline does.
        label_offset: 1 if label maps of the data set keep 0 for what is not labelled (mmseg's
            ``reduce_zero_label``), otherwise 0: what to add to ``pred_sem_seg`` for a file.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The config is of no task that predicts, the checkpoint does not fit
            it or was refused, or there is no such device.
    """

    def __init__(
        self, config: str | Path | Config, checkpoint: str | Path, device: str | None = None
    ) -> None:
        from copy import deepcopy

        from mmengine.config import Config
        from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope

        from convnextv2.engine.config import read_config
        from convnextv2.engine.templates import fill_template
        from convnextv2.engine.types import walk_datasets, without_labels
        from convnextv2.engine.weights import read_trained_model

        cfg = deepcopy(config) if isinstance(config, Config) else read_config(str(config))
        fill_template(cfg)
        task = _find_task(cfg)
        self.device = find_device(device)
        tensors, self.trained_meta = read_trained_model(str(checkpoint))
        scope = cfg.get("default_scope", "mmengine")
        init_default_scope(scope)
        model = _build_model(cfg, tensors, checkpoint).to(self.device).eval()

        _, entry = next(walk_datasets(cfg.test_dataloader.dataset))
        # Lazy: its classes and palette are wanted, not its files.
        names = {key: self.trained_meta[key] for key in ("classes",) if key in self.trained_meta}
        entry = {**entry, "metainfo": {**(entry.get("metainfo") or {}), **names}}
        self.dataset = DATASETS.build({**entry, "pipeline": [], "lazy_init": True})
        meta = {**self.dataset.metainfo, **self.trained_meta}
        self.classes: list[str] = list(meta["classes"])
        self.palette = complete_palette(meta.get("palette"), len(self.classes))
        self.label_offset = int(getattr(self.dataset, "reduce_zero_label", False))
        steps = without_labels(entry["pipeline"], scope)
        super().__init__(task, model, [TRANSFORMS.build(step) for step in steps])


def _find_task(cfg: Config) -> PredictingTask:
    from convnextv2.engine.tasks import PredictingTask, find_task, list_tasks

    task = find_task(cfg)
    if isinstance(task, PredictingTask) and "test_dataloader" in cfg:
        return task
    *most, last = [t.name for t in list_tasks() if isinstance(t, PredictingTask)]
    names = f"{', '.join(most)} or {last}"
    raise ValueError(f"{cfg.filename} is no config of {names}")


def _build_model(cfg: Config, tensors: dict[str, Tensor], checkpoint: str | Path) -> nn.Module:
    from mmengine.registry import MODELS

    from convnextv2.engine.weights import fill_model

    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    fill_model(model, tensors, str(checkpoint), cfg.filename)
    return model


def load_file(load: Callable[[dict], dict], results: dict) -> dict:
    """Read ``results["img_path"]`` with a config's loader: `LoadImage`, mmcv's, or another.

    Raises:
        UnreadableImageError: It cannot be read.
    """
    from convnextv2.files import printable
    from convnextv2.images import LoadImage, UnreadableImageError

    path = results["img_path"]
    if isinstance(load, LoadImage):
        return load(results)
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError("no regular file")  # to open a pipe would wait for ever
        return load(results)
    except AssertionError as error:  # mmcv's, about its decoder's None
        raise UnreadableImageError(f"{printable(path)}: truncated, or no image") from error
    except Exception as error:  # each decoder has its own kind
        reason = " ".join(str(error).split())
        raise UnreadableImageError(f"{printable(path)}: {reason}") from error


def find_device(name: str | None) -> torch.device:
    """The device of a name, or the best that there is.

    Raises:
        ValueError: There is no such device.
    """
    import torch
    from mmengine.device import get_device

    name = name or get_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter of a torch without CUDA
        reason = str(error).splitlines()[0]
        raise ValueError(f"no device {name!r} here; cpu always works ({reason})") from error
    return device
