"""What a model found, made of what its network gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .resizing import resize_maps

Image = str | Path | np.ndarray


class Prediction(NamedTuple):
    """What a model found in one image."""

    source: Image
    """As it was given."""
    image: np.ndarray
    """(H, W, C); colours as BGR, whatever order the network takes."""
    sample: SimpleNamespace
    """In pixels of `image`: ``pred_instances`` (`Instances`); ``pred_sem_seg.data`` (1, H, W); of a
    classifier ``pred_scores`` (classes,) and ``pred_label`` (1,); or, of an encoder, ``features``
    (C, H/32, W/32) and ``pooled`` (C,)."""


class Instances:
    """Objects: ``bboxes`` (n, 4), ``scores``, ``labels`` and, of some models, ``masks`` (n, H, W).

    An index, a slice or booleans choose among them, as of mmdet's.
    """

    bboxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray

    def __init__(self, **fields: np.ndarray) -> None:
        self._fields = fields
        vars(self).update(fields)

    def __len__(self) -> int:
        return len(self.scores)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __getitem__(self, chosen: Any) -> Instances:
        return Instances(**{name: values[chosen] for name, values in self._fields.items()})


class Prepared(NamedTuple):
    """An image on its way to the network.

    Attributes:
        source: As it was given.
        image: (H, W, C); colours as BGR.
        resized: After the steps of the file.
    """

    source: Image
    image: np.ndarray
    resized: np.ndarray


def find_logits(outputs: dict, number: int, sample: Prepared) -> np.ndarray:
    """mmseg's ``seg_logits`` (C, H, W): without the padding, in the image's own size.

    Of one class alone its share, as mmseg has it.
    """
    height, width = sample.resized.shape[:2]
    logits = resize_maps(outputs["logits"][number, :, :height, :width], sample.image.shape[:2])
    return logits if len(logits) > 1 else 1 / (1 + np.exp(-logits))


def label_logits(logits: np.ndarray, threshold: float | None) -> np.ndarray:
    """The labels (h, w), uint8, of mmseg's ``seg_logits`` (C, h, w).

    Args:
        logits: Of one class its share.
        threshold: Of the share of one class.
    """
    labels = logits.argmax(0) if len(logits) > 1 else logits[0] > threshold
    return labels.astype(np.uint8)


def _label(about: dict, outputs: dict, number: int, sample: Prepared) -> SimpleNamespace:
    """mmseg's label map."""
    labels = label_logits(find_logits(outputs, number, sample), about["threshold"])
    return SimpleNamespace(pred_sem_seg=SimpleNamespace(data=labels.astype(np.int64)[None]))


def _locate(about: dict, outputs: dict, number: int, sample: Prepared) -> SimpleNamespace:
    """mmdet's objects: boxes in the image's own pixels, masks as large as the image."""
    mine = outputs["images"] == number
    found = {name: outputs[name][mine] for name in ("bboxes", "scores", "labels")}
    height, width = sample.image.shape[:2]
    factors = sample.resized.shape[1] / width, sample.resized.shape[0] / height
    found["bboxes"] = found["bboxes"] / np.array(factors * 2, np.float32)
    if "masks" in outputs:
        masks = outputs["masks"][mine]
        found["masks"] = paste(masks, found["bboxes"], (height, width), about["mask_threshold"])
    return SimpleNamespace(pred_instances=Instances(**found))


def paste(
    masks: np.ndarray, boxes: np.ndarray, shape: Sequence[int], threshold: float
) -> np.ndarray:
    """Masks (n, 28, 28) of boxes, as booleans (n, H, W) of the image.

    mmdet's `_do_paste_mask`: each pixel's centre is looked up in the mask, bilinear; outside of
    the mask is 0.
    """
    pasted = np.zeros((len(masks), *shape), bool)
    for mask, (x1, y1, x2, y2), target in zip(masks, boxes, pasted, strict=True):
        rows, y = _places(y1, y2, mask.shape[0], shape[0])
        columns, x = _places(x1, x2, mask.shape[1], shape[1])
        # One cell more than the box: there the mask fades to 0.
        target[rows[:, None], columns] = _sample(np.pad(mask, 1), y, x) >= threshold
    return pasted


def _places(start: float, end: float, cells: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels from start to end, and where in a framed mask their centres are."""
    pixels = np.arange(max(int(start) - 1, 0), min(int(np.ceil(end)) + 1, side))
    if end <= start:  # a box of no size: mmdet takes the middle
        return pixels, np.full(len(pixels), cells / 2 + 0.5, np.float32)
    return pixels, (pixels + np.float32(0.5) - start) / (end - start) * cells + np.float32(0.5)


def _sample(mask: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Bilinear values of a framed mask at rows and columns of places."""
    (y0, fy), (x0, fx) = (
        (np.floor(place).astype(np.int64), place - np.floor(place))
        for place in (y.clip(0, mask.shape[0] - 1.001), x.clip(0, mask.shape[1] - 1.001))
    )
    columns = mask[:, x0] * (1 - fx) + mask[:, x0 + 1] * fx
    return columns[y0] * (1 - fy)[:, None] + columns[y0 + 1] * fy[:, None]


def _classify(about: dict, outputs: dict, number: int, sample: Prepared) -> SimpleNamespace:
    """A classifier's scores, of sum 1, and the best class."""
    scores = outputs["scores"][number]
    return SimpleNamespace(pred_scores=scores, pred_label=scores.argmax(keepdims=True))


def _hand_over(about: dict, outputs: dict, number: int, sample: Prepared) -> SimpleNamespace:
    """An encoder's features."""
    return SimpleNamespace(**{name: values[number] for name, values in outputs.items()})


# Of each kind of outputs: the file's words, the outputs, the image's place in the batch, the image.
FINISH = {
    "labels": _label,
    "objects": _locate,
    "classes": _classify,
    "features": _hand_over,
}
