"""A whole image made smaller, of which no more than a part is in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .tiles import Tile


def reduce_image(
    read: Callable[[Tile], np.ndarray], image_shape: Sequence[int], longest: int
) -> tuple[np.ndarray, int]:
    """The whole image, smaller by a whole number, and that number.

    Args:
        read: Gives the pixels (h, w, C) of a part of it.
        image_shape: (H, W).
        longest: The most pixels that the result has on a side.

    Returns:
        (ceil(H / n), ceil(W / n), C), means of n x n pixels; and n.
    """
    height, width = image_shape
    factor = max(1, math.ceil(max(height, width) / longest))
    block = max(1, 1024 // factor) * factor
    rows = []
    for y in range(0, height, block):
        row = []
        for x in range(0, width, block):
            part = read((x, y, min(x + block, width), min(y + block, height)))
            row.append(_average(part, factor))
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows), factor


def _average(image: np.ndarray, factor: int) -> np.ndarray:
    """Means of squares of pixels; those that leave the image go on as its edge."""
    rest = [(0, -side % factor) for side in image.shape[:2]]
    image = np.pad(image, [*rest, (0, 0)], mode="edge")
    height, width, channels = image.shape
    squares = image.reshape(height // factor, factor, width // factor, factor, channels)
    means = squares.mean((1, 3), dtype=np.float32)
    return (means.round() if image.dtype.kind in "iu" else means).astype(image.dtype)
