"""What a report shows of a segmenter's validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.structures import BaseDataElement, PixelData

from convnextv2.engine.types import walk_built_datasets
from convnextv2.reviews import Review, ReviewedImage

if TYPE_CHECKING:
    from torch import Tensor


class SegmentationReview(Review):
    """Which class's pixels were taken for which; pixels that nobody labelled are left out.

    An image's score is its mean IoU over the classes that are in it or were found in it.
    """

    def look(self, sample: dict) -> ReviewedImage:
        """Count the pixels of each pair of classes."""
        truth = _to_labels(sample["gt_sem_seg"]["data"])
        found = _to_labels(sample["pred_sem_seg"]["data"])
        number = len(self.classes)
        first = next(walk_built_datasets(self.dataset))
        known = (truth != getattr(first, "ignore_index", 255)) & (truth < number)
        pairs = count_pairs(truth[known], found[known], number)
        ious = mean_iou(pairs, number)
        text = f"mean IoU {100 * ious:.1f}" if known.any() else "nothing is labelled"
        kept = (truth.astype(np.uint8), found.astype(np.uint8)) if number < 256 else None
        return ReviewedImage(sample["img_path"], ious, text, {"pixels": pairs}, kept)

    def restore(self, kept: tuple[np.ndarray, np.ndarray]) -> BaseDataElement:
        """Label maps."""
        truth, found = (PixelData(data=torch.from_numpy(labels)[None]) for labels in kept)
        return BaseDataElement(gt_sem_seg=truth, pred_sem_seg=found)


def count_pairs(truth: np.ndarray, found: np.ndarray, number: int) -> np.ndarray:
    """Rows of true class, found class and how often, (n, 3), of those that occur."""
    codes, counts = np.unique(truth.astype(np.int64) * number + found, return_counts=True)
    return np.stack([codes // number, codes % number, counts], axis=1)


def mean_iou(pairs: np.ndarray, number: int) -> float:
    """Mean IoU, 0 to 1, of the classes that occur in pairs; 1 where none does."""
    weights = pairs[:, 2]
    there = np.bincount(pairs[:, 0], weights, number)
    said = np.bincount(pairs[:, 1], weights, number)
    same = pairs[:, 0] == pairs[:, 1]
    both = np.bincount(pairs[same, 0], weights[same], number)
    union = there + said - both
    return float((both[union > 0] / union[union > 0]).mean()) if union.any() else 1.0


def _to_labels(data: Tensor) -> np.ndarray:
    return data.squeeze(0).cpu().numpy()
