"""Images of any size through the network: padded, or by overlapping windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .graph import Graph


def pad(images: np.ndarray, smallest: int) -> np.ndarray:
    """Images (B, C, H, W) with the last row and column repeated up to the smallest size."""
    height, width = (max(smallest - side, 0) for side in images.shape[2:])
    return np.pad(images, ((0, 0), (0, 0), (0, height), (0, width)), "edge")


def slide(
    graph: Graph, images: np.ndarray, crop: Sequence[int], stride: Sequence[int]
) -> dict[str, np.ndarray]:
    """The mean of the logits of overlapping windows, as mmseg's ``slide`` mode puts them."""
    sides = images.shape[2:]
    starts = [
        [
            min(place, max(side - window, 0))
            for place in range(0, max(side - window, 0) + step, step)
        ]
        for side, window, step in zip(sides, crop, stride, strict=True)
    ]
    total: Any = 0
    count = np.zeros(sides, np.float32)
    for y in starts[0]:
        for x in starts[1]:
            part = np.s_[..., y : y + crop[0], x : x + crop[1]]
            logits = graph(np.ascontiguousarray(images[part]))["logits"]
            if not count.any():
                total = np.zeros((*logits.shape[:2], *sides), np.float32)
            total[part] += logits
            count[part] += 1
    return {"logits": total / count}
