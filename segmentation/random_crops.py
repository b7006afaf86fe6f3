"""Random crops of scaled images and of their label masks, drawn by what the labels show."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from convnextv2.registry import TRANSFORMS
from convnextv2.scaled_crops import ScaledCrop, draw_scaled_shape, draw_window, put_crop

DRAWS = 10  # after which a crop is taken as it is, as mmseg has it


@TRANSFORMS.register_module()
class RandomLabelledCrop:
    """Draw how image and labels are scaled and where they are cropped, before the image is read.

    The draws are those of mmseg's ``RandomResize`` and ``RandomCrop``. `LoadLabelMask` comes
    before, whose ``gt_seg_map`` becomes the crop; `LoadImage`, which has to follow, reads the crop
    alone.

    Args:
        scale: As of ``RandomResize``: (width, height), times the ratio. The sides' ratio is kept.
        ratio_range: As of ``RandomResize``.
        crop_size: As of ``RandomCrop``: (height, width); where the scaled image is smaller, as it.
        cat_max_ratio: A crop in which one label has a larger share is drawn again, 10 times at
            most.
        ignore_index: The label that does not count in that share.
    """

    def __init__(
        self,
        scale: Sequence[int],
        ratio_range: Sequence[float],
        crop_size: Sequence[int],
        cat_max_ratio: float = 1.0,
        ignore_index: int = 255,
    ) -> None:
        self.scale, self.ratio_range = scale, ratio_range
        self.crop_size = crop_size[0], crop_size[1]
        self.cat_max_ratio, self.ignore_index = cat_max_ratio, ignore_index

    def __call__(self, results: dict) -> dict:
        labels = results["gt_seg_map"]
        scaled_shape = draw_scaled_shape(labels.shape, self.scale, self.ratio_range)
        crop, part = self._draw(labels, scaled_shape)
        if self.cat_max_ratio < 1:
            for _ in range(DRAWS):
                if self._is_mixed(part):
                    break
                crop, part = self._draw(labels, scaled_shape)
        put_crop(results, crop)
        results["gt_seg_map"] = part
        return results

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"RandomLabelledCrop({arguments})"

    def _draw(
        self, labels: np.ndarray, scaled_shape: tuple[int, int]
    ) -> tuple[ScaledCrop, np.ndarray]:
        crop = ScaledCrop(labels.shape, scaled_shape, draw_window(scaled_shape, self.crop_size))
        return crop, crop.cut_labels(labels)

    def _is_mixed(self, labels: np.ndarray) -> bool:
        """Whether there are labels, and none has too large a share."""
        counts = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel().astype(int)
        counts[self.ignore_index : self.ignore_index + 1] = 0
        several = np.count_nonzero(counts) > 1
        return bool(several and counts.max() / counts.sum() < self.cat_max_ratio)
