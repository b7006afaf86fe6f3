"""Inference by tiles: images of any size, memory of a tile and of what is found.

How tiles are laid and what is found in them is put together, `tiles.py`, `join.py` and `blend.py`
say, for this folder and for the project that it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from .blend import Blend
from .objects import PiecesJoiner
from .results import FINISH, Prepared, find_logits, label_logits
from .tiles import Joiner, TileGrid

OVERLAP = 0.15  # of a tile, where nothing else is asked for


class LabelsJoiner(Joiner):
    """Blends the logits of tiles to one label map, as they come.

    Args:
        grid: The image's tiles.
        label: Gives the labels (h, w), uint8, of blended logits (C, h, w).
    """

    def __init__(self, grid: TileGrid, label: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__(grid)
        self._blend = Blend(grid, label)
        self.labels = np.zeros(grid.image_shape, np.uint8)

    def add(self, number: int, sample: Any) -> None:
        """Take the ``seg_logits`` of a tile; they come in the order of the tiles."""
        for x, y, labels in self._blend.add(sample.seg_logits.data):
            self.labels[y : y + labels.shape[0], x : x + labels.shape[1]] = labels

    def join(self) -> np.ndarray:
        """The label map (H, W)."""
        return self.labels

    def fill(self, sample: Any) -> None:
        """As ``pred_sem_seg``."""
        sample.pred_sem_seg = SimpleNamespace(data=self.labels[None])


def lay_tiles(image_shape: Sequence[int], tile_size: int, overlap: int | None) -> TileGrid:
    """The tiles of an image (H, W).

    Raises:
        ValueError: There are no such tiles.
    """
    if tile_size < 1:
        raise ValueError(f"tile_size {tile_size} must be at least 1")
    height, width = image_shape
    return TileGrid(
        (height, width), tile_size, round(OVERLAP * tile_size) if overlap is None else overlap
    )


def open_joiner(about: dict[str, Any], grid: TileGrid, whole_too: bool) -> Joiner:
    """What puts the tiles of an image together, for a file that says this of itself.

    Args:
        about: What it says.
        grid: The tiles.
        whole_too: Whether the reduced image is to be added, too.

    Raises:
        ValueError: It finds nothing that tiles could be put together by.
    """
    if about["kind"] == "objects":
        return PiecesJoiner(grid)
    if whole_too:
        raise ValueError("whole_too is for objects, which may be larger than a tile")
    if about["kind"] == "labels":
        return LabelsJoiner(grid, lambda logits: label_logits(logits, about["threshold"]))
    raise ValueError(f"by tiles go objects and labels; this model gives {about['kind']}")


def finish_tile(about: dict, outputs: dict, number: int, sample: Prepared) -> SimpleNamespace:
    """What a joiner is given of a tile; arguments as of `FINISH`."""
    if about["kind"] == "labels":
        logits = find_logits(outputs, number, sample)
        return SimpleNamespace(seg_logits=SimpleNamespace(data=logits))
    return FINISH[about["kind"]](about, outputs, number, sample)
