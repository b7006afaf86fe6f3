"""Images of another size, by the rules of OpenCV, Pillow and torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def resized_size(
    shape: Sequence[int],
    scale: Sequence[int] | None,
    factor: Sequence[float] | None,
    keep_ratio: bool,
) -> tuple[int, int]:
    """(H, W) that mmcv's ``Resize`` makes of an image; scale and factor are (W, H) as there."""
    height, width = shape
    if scale is None:
        x, y = factor or (1, 1)
        scale = int(width * x + 0.5), int(height * y + 0.5)
    if not keep_ratio:
        return scale[1], scale[0]
    ratio = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return int(height * ratio + 0.5), int(width * ratio + 0.5)


def resize_to_scale(image: np.ndarray, **options: Any) -> np.ndarray:
    """mmcv's ``Resize``; options as of `resized_size`."""
    return resize(image, resized_size(image.shape[:2], **options))


def resize_shorter(image: np.ndarray, size: Sequence[int], crop_ratio: float) -> np.ndarray:
    """As the classifiers' ``ResizeShorter`` does it, for a crop (H, W) of a size."""
    height, width = image.shape[:2]
    least_height, least_width = (int(side / crop_ratio) for side in size)
    if least_height * width >= least_width * height:
        return resize_bicubic(image, (least_height, width * least_height // height))
    return resize_bicubic(image, (height * least_width // width, least_width))


def crop_centre(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The middle (H, W) of an image, as the classifiers' ``CenterCrop`` cuts it out."""
    top, left = (round((side - s) / 2) for side, s in zip(image.shape[:2], size, strict=True))
    return image[top : top + size[0], left : left + size[1]]


def resize_bicubic(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """An image (H, W, C) of another size, bicubic with antialiasing, by the rule of Pillow.

    Colours of 8 bits in Pillow's whole numbers: to the bit, where that begins with the rows.
    """
    if image.shape[:2] == tuple(size):
        return image
    whole = image.dtype == np.uint8 and image.shape[2] == 3
    numbers = image.astype(np.int64 if whole else np.float64)
    for axis in (1, 0):
        weights = _bicubic(image.shape[axis], size[axis])
        if whole:  # Pillow rounds after each axis
            exact = np.trunc(weights * 2**22 + np.copysign(0.5, weights)).astype(np.int64)
            sums = np.moveaxis(np.tensordot(exact, numbers, (1, axis)), 0, axis)
            numbers = ((sums + 2**21) >> 22).clip(0, 255)
        else:
            numbers = np.moveaxis(np.tensordot(weights, numbers, (1, axis)), 0, axis)
    if image.dtype.kind in "iu":
        limits = np.iinfo(image.dtype)
        numbers = np.rint(numbers).clip(limits.min, limits.max)
    return numbers.astype(image.dtype)


def _bicubic(length: int, size: int) -> np.ndarray:
    """(size, length): how much each of the old pixels counts for each of the new ones."""
    scale = length / size
    reach = 2 * max(scale, 1)
    centres = (np.arange(size) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(int), 0)
    last = np.minimum((centres + reach + 0.5).astype(int), length)
    pixels = np.arange(length)
    x = np.abs((pixels + 0.5 - centres[:, None]) / max(scale, 1))
    near, far = (1.5 * x - 2.5) * x * x + 1, ((x - 5) * x + 8) * x * -0.5 + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    weights[(pixels < first[:, None]) | (pixels >= last[:, None])] = 0
    return weights / weights.sum(1, keepdims=True)


def resize(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """An image (H, W, C) of another size, bilinear, by the rule of OpenCV's ``INTER_LINEAR``.

    The same to the bit where images have 8 bits; to 1 of 16000 where they have more.
    """
    if image.shape[:2] == tuple(size):
        return image
    y0, y1, fy = _taps(image.shape[0], size[0])
    x0, x1, fx = _taps(image.shape[1], size[1])
    if image.dtype != np.uint8:
        numbers = image.astype(np.float32)
        rows = numbers[:, x0] * (1 - fx)[:, None] + numbers[:, x1] * fx[:, None]
        numbers = rows[y0] * (1 - fy)[:, None, None] + rows[y1] * fy[:, None, None]
        return np.rint(numbers).astype(image.dtype) if image.dtype.kind in "iu" else numbers
    (bx, ax), (by, ay) = (
        [np.rint(w * 2048).astype(np.int32) for w in (f, 1 - f)] for f in (fx, fy)
    )
    whole = image.astype(np.int32)
    rows = (whole[:, x0] * ax[:, None] + whole[:, x1] * bx[:, None]) >> 4
    upper, lower = (rows[y0] * ay[:, None, None]) >> 16, (rows[y1] * by[:, None, None]) >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def resize_maps(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Maps (C, H, W) of another size, bilinear, as torch does without ``align_corners``."""
    if maps.shape[1:] == tuple(size):
        return maps
    y0, y1, fy = _taps(maps.shape[1], size[0])
    x0, x1, fx = _taps(maps.shape[2], size[1])
    rows = maps[:, :, x0] * (1 - fx) + maps[:, :, x1] * fx
    return rows[:, y0] * (1 - fy)[:, None] + rows[:, y1] * fy[:, None]


def _taps(length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `size` pixels its two neighbours of `length`, and the second's weight."""
    place = ((np.arange(size) + 0.5) * (length / size) - 0.5).astype(np.float32)
    first = np.floor(place)
    pair = np.stack([first, first + 1]).astype(np.int64).clip(0, length - 1)
    return pair[0], pair[1], place - first


# What is done with an image before the network, by the name that a file calls it.
STEPS: dict[str, Callable[..., np.ndarray]] = {
    "resize": resize_to_scale,
    "resize_shorter": resize_shorter,
    "crop_centre": crop_centre,
    "warp": resize_bicubic,
}
