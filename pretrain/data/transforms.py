"""The few transforms that pre-training needs; images are (H, W, C) arrays, RGB.

Random numbers come from numpy's global generator, which is seeded for each sample.
"""

import math

import cv2
import numpy as np
import torch

from convnextv2.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomResizedCrop:
    """Crop a random area of a random aspect ratio and resize it (paper, Table 8).

    Args:
        size: Side of the square result, or (height, width).
        scale: Range of the crop's share of the image's area.
        ratio: Range of the crop's width over its height, as if `size` were square.
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.scale = scale
        self.ratio = ratio

    def __call__(self, results: dict) -> dict:
        image = results["img"]
        x, y, width, height = self._draw(*image.shape[:2])
        crop = image[y : y + height, x : x + width]
        # Bicubic alone aliases when it shrinks; averaging is what an antialiased filter does.
        shrinks = height >= self.size[0] and width >= self.size[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        # OpenCV resizes four channels at a time.
        parts = [
            cv2.resize(crop[..., i : i + 4], self.size[::-1], interpolation=interpolation)
            for i in range(0, crop.shape[2], 4)
        ]
        parts = [part if part.ndim == 3 else part[..., None] for part in parts]
        results["img"] = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return results

    def _draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        aspect = self.size[1] / self.size[0]
        for _ in range(10):
            area = height * width * np.random.uniform(*self.scale)
            low, high = map(math.log, self.ratio)
            ratio = aspect * math.exp(np.random.uniform(low, high))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                break
        else:  # a very long image: the largest crop in the middle
            w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
            return (width - w) // 2, (height - h) // 2, w, h
        return np.random.randint(width - w + 1), np.random.randint(height - h + 1), w, h


@TRANSFORMS.register_module()
class RandomFlips:
    """Mirror left to right, and, where the image has no up, top to bottom.

    Args:
        horizontal: Probability of the first.
        vertical: Probability of the second; for aerial images and microscopy.
    """

    def __init__(self, horizontal: float = 0.5, vertical: float = 0.0) -> None:
        self.horizontal = horizontal
        self.vertical = vertical

    def __call__(self, results: dict) -> dict:
        draws = np.random.rand(2)
        if draws[0] < self.horizontal:
            results["img"] = results["img"][:, ::-1]
        if draws[1] < self.vertical:
            results["img"] = results["img"][::-1]
        return results


@TRANSFORMS.register_module()
class PackFCMAEInputs:
    """To ``inputs`` (C, H, W), ``seed``, from which the model draws the mask, and ``img_path``."""

    def __call__(self, results: dict) -> dict:
        return {
            "inputs": to_tensor(results["img"]),
            "seed": np.random.randint(2**31),
            "img_path": results["img_path"],
        }


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """An image (H, W, C) as (C, H, W): uint8, or float32 of any other type."""
    image = np.ascontiguousarray(image.transpose(2, 0, 1))
    if image.dtype != np.uint8:  # torch cannot collate uint16 on every device
        image = image.astype(np.float32, copy=False)
    return torch.from_numpy(image)
