"""mmseg's change of colours, by tables."""

from __future__ import annotations

import cv2
import mmcv
import numpy as np
from mmseg.datasets.transforms import PhotoMetricDistortion
from numpy import random

from convnextv2.planes import unmirror
from convnextv2.registry import TRANSFORMS

_VALUES = np.arange(256, dtype=np.uint8)


@TRANSFORMS.register_module()
class SegPhotoMetricDistortion(PhotoMetricDistortion):
    """mmseg's ``PhotoMetricDistortion``: the same draws and values, of 8 bits.

    What becomes of a value depends on that value alone: 256 results are computed and looked up.
    """

    def transform(self, results: dict) -> dict:
        """Change the colours of ``img``."""
        results["img"] = unmirror(results["img"])
        return super().transform(results)

    def convert(self, img: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
        """Clip ``img * alpha + beta``, of any shape, to 0 to 255."""
        return cv2.LUT(img, super().convert(_VALUES, alpha, beta)).reshape(img.shape)

    def hue(self, img: np.ndarray) -> np.ndarray:
        """Turn the hue by a random angle, or not."""
        if not random.randint(2):
            return img
        turn = random.randint(-self.hue_delta, self.hue_delta)
        hsv = mmcv.bgr2hsv(img)
        table = ((_VALUES.astype(int) + turn) % 180).astype(np.uint8)
        hsv[..., 0] = cv2.LUT(hsv[..., 0], table)
        return mmcv.hsv2bgr(hsv)
