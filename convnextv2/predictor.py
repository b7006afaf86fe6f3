"""Detectors and segmenters from a config and a checkpoint, for images of any size.

    from convnextv2.predictor import Predictor

    predictor = Predictor("CONFIG", "work_dirs/NAME/epoch_36.pth")
    for found in predictor(["a.jpg", "b.jpg"]):
        print(found.source, found.sample.pred_instances.bboxes)

Nothing is imported from the scripts beside this one, so that the installed package has it too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config
    from mmengine.structures import BaseDataElement

    Image = str | Path | np.ndarray


class Prediction(NamedTuple):
    """What a model found in one image."""

    source: Image
    """As it was given."""
    image: np.ndarray
    """(H, W, C) as the config loads it: BGR in all of ours."""
    sample: BaseDataElement
    """mmdet's or mmseg's, on the CPU, in pixels of `image`: ``pred_instances`` with ``bboxes``
    (n, 4), ``scores``, ``labels`` and, where the model has them, ``masks`` (n, H, W); or
    ``pred_sem_seg.data`` (1, H, W)."""


class Predictor:
    """A model of any detection or segmentation config with the weights of a checkpoint.

    Args:
        config: Path or what `mmengine.Config` made of it. Images are prepared as its
            ``test_dataloader`` has it; the data set itself is not needed.
        checkpoint: Path or address. It must fill the whole model; no code in it is run.
        device: Such as ``cpu`` or ``cuda:1``; by default the GPU if there is one.

    Attributes:
        classes: Their names, as the checkpoint has them, otherwise as the config has them.
        palette: An RGB colour for each.
        dataset: The config's test data set, none of whose files was read.
        trained_meta: What the checkpoint says of the data set that it was trained on.
        label_offset: 1 if label maps of the data set keep 0 for what is not labelled (mmseg's
            ``reduce_zero_label``), otherwise 0: what to add to ``pred_sem_seg`` for a file.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The config is none of detection or segmentation, the checkpoint does not fit
            it or was refused, or there is no such device.
    """

    def __init__(
        self, config: str | Path | Config, checkpoint: str | Path, device: str | None = None
    ) -> None:
        from copy import deepcopy
        from textwrap import shorten

        from mmengine.config import Config
        from mmengine.registry import DATASETS, MODELS, TRANSFORMS, init_default_scope

        from convnextv2.engine.config import read_config
        from convnextv2.engine.types import find_class, find_task, is_a, walk_datasets
        from convnextv2.engine.weights import read_trained_model

        cfg = deepcopy(config) if isinstance(config, Config) else read_config(str(config))
        scope, task = cfg.get("default_scope", "mmengine"), find_task(cfg)
        if task not in ("detection", "segmentation") or "test_dataloader" not in cfg:
            raise ValueError(f"{cfg.filename} is no config of detection or segmentation")
        self._segments = task == "segmentation"
        self.device = find_device(device)
        tensors, trained_meta = read_trained_model(str(checkpoint))
        init_default_scope(scope)
        cfg.model.backbone.init_cfg = None
        self.model = MODELS.build(cfg.model).to(self.device).eval()
        try:
            self.model.load_state_dict(tensors)
        except RuntimeError as error:
            reasons = "\n".join(shorten(line, 300) for line in str(error).splitlines())
            raise ValueError(f"{checkpoint} does not fit {cfg.filename}. {reasons}") from error

        _, entry = next(walk_datasets(cfg.test_dataloader.dataset))
        # Lazy: its classes and palette are wanted, not its files.
        dataset = DATASETS.build({**entry, "pipeline": [], "lazy_init": True})
        self.dataset, self.trained_meta = dataset, trained_meta
        meta = {**dataset.metainfo, **trained_meta}
        self.classes = list(meta["classes"])
        self.palette = complete_palette(meta.get("palette"), len(self.classes))
        self.label_offset = int(getattr(dataset, "reduce_zero_label", False))
        labels = "mmcv.transforms.loading.LoadAnnotations"
        steps = [s for s in entry.pipeline if not is_a(find_class(s, TRANSFORMS, scope), labels)]
        self._load, *self._prepare = (TRANSFORMS.build(step) for step in steps)

    def __call__(
        self,
        images: Image | Iterable[Image],
        batch_size: int = 1,
        unreadable: list[Exception] | None = None,
    ) -> Iterator[Prediction]:
        """Yield what is found in each image, in their order.

        Images of one size that follow each other are computed together. Others are not: they
        would have to be padded, and the network's GRN sees the whole of what it is given.

        Args:
            images: Paths, or arrays (H, W, C) as the config would load them: BGR, 0 to 255.
            batch_size: At most so many at once.
            unreadable: Receives the errors of files that cannot be read, which are left out.

        Raises:
            UnreadableImageError: A file cannot be read, and there is no `unreadable`.
        """
        from convnextv2.images import UnreadableImageError

        if isinstance(images, (str, Path)) or hasattr(images, "shape"):
            images = [images]
        batch: list[dict] = []
        for number, source in enumerate(images):
            try:
                sample = self._read(source, number)
            except UnreadableImageError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)
                continue
            if batch and sample["inputs"].shape != batch[0]["inputs"].shape:
                yield from self._run(batch)
                batch = []
            batch.append(sample)
            if len(batch) >= batch_size:
                yield from self._run(batch)
                batch = []
        if batch:
            yield from self._run(batch)

    def _read(self, source: Image, number: int) -> dict:
        results = {"img_path": None if hasattr(source, "shape") else str(source)}
        if results["img_path"] is None:
            results |= {"img": source, "img_shape": source.shape[:2], "ori_shape": source.shape[:2]}
        else:
            results = load_file(self._load, results)
        results["img_id"] = number
        image = results["img"]
        for transform in self._prepare:
            results = transform(results)
        if self._segments:
            pad_small(results)
        return {**results, "source": source, "image": image}

    def _run(self, batch: list[dict]) -> Iterator[Prediction]:
        import torch

        data = {key: [sample[key] for sample in batch] for key in ("inputs", "data_samples")}
        with torch.inference_mode():
            found = self.model.test_step(data)
        for sample, result in zip(batch, found, strict=True):
            result.pop("seg_logits", None)  # as large as the image, for each class
            yield Prediction(sample["source"], sample["image"], result.cpu())


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


def pad_small(sample: dict, smallest: int = 32) -> None:
    """Repeat the last row or column of an image that is too small for the backbone's last stage.

    mmdet pads by itself; mmseg cuts off again what is called padding.
    """
    import torch

    height, width = sample["inputs"].shape[1:]
    rows, columns = (
        torch.arange(max(side, smallest)).clamp(max=side - 1) for side in (height, width)
    )
    if len(rows) > height or len(columns) > width:
        sample["inputs"] = sample["inputs"][:, rows][:, :, columns]
        padding = [0, len(columns) - width, 0, len(rows) - height]  # left, right, top, bottom
        shape = (len(rows), len(columns))
        sample["data_samples"].set_metainfo({"padding_size": padding, "pad_shape": shape})


def find_device(name: str | None) -> object:
    """The `torch.device` of a name, or the best that there is.

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


def complete_palette(palette: object, number: int) -> list[tuple[int, int, int]]:
    """A palette of at least so many RGB colours; with too few, all are drawn anew."""
    import numpy as np

    if isinstance(palette, (list, tuple)) and len(palette) >= number:
        return [tuple(colour) for colour in palette]
    colours = np.random.default_rng(0).integers(64, 256, (number, 3))
    return [tuple(colour) for colour in colours.tolist()]
