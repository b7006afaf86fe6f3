"""mmseg's change of colours, by vectors and tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import cv2
import mmcv
import numpy as np
from mmseg.datasets.transforms import PhotoMetricDistortion
from numpy import random

from convnextv2.planes import unmirror
from convnextv2.registry import TRANSFORMS

_HALF = 0.5 - 1e-4  # less than half, so that whole numbers are kept
_VALUES = np.arange(256, dtype=np.uint8)


@TRANSFORMS.register_module()
class SegPhotoMetricDistortion(PhotoMetricDistortion):
    """mmseg's ``PhotoMetricDistortion``: the same draws and values, of 8 bits.

    What becomes of a value depends on that value alone: 256 results are computed, and looked up
    where OpenCV has no faster way to the same.
    """

    def transform(self, results: dict) -> dict:
        """Change the colours of ``img``."""
        results["img"] = unmirror(results["img"])
        return super().transform(results)

    def convert(self, img: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
        """Clip ``img * alpha + beta``, of any shape, to 0 to 255."""
        table = super().convert(_VALUES, alpha, beta)
        # OpenCV's vectors are several times as fast as its tables; they round, mmseg truncates.
        if alpha == 1:
            shift = (math.floor(beta),) * 4
            fast = partial(cv2.add, src2=shift)
        else:
            fast = partial(cv2.convertScaleAbs, alpha=alpha, beta=beta - _HALF)
        same = np.array_equal(fast(_VALUES).ravel(), table)
        return (fast(img) if same else cv2.LUT(img, table)).reshape(img.shape)

    def saturation(self, img: np.ndarray) -> np.ndarray:
        """Change the saturation by a random factor, or not."""
        if not random.randint(2):
            return img
        factor = random.uniform(self.saturation_lower, self.saturation_upper)
        return _change_hsv(img, 1, partial(self.convert, alpha=factor))

    def hue(self, img: np.ndarray) -> np.ndarray:
        """Turn the hue by a random angle, or not."""
        if not random.randint(2):
            return img
        turn = random.randint(-self.hue_delta, self.hue_delta)
        table = ((_VALUES.astype(int) + turn) % 180).astype(np.uint8)
        return _change_hsv(img, 0, partial(cv2.LUT, lut=table))


def _change_hsv(
    img: np.ndarray, channel: int, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    hsv = mmcv.bgr2hsv(img)
    cv2.insertChannel(change(cv2.extractChannel(hsv, channel)), hsv, channel)
    return mmcv.hsv2bgr(hsv)
