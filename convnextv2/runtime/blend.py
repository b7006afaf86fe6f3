"""Logits of overlapping tiles, blended to the labels of the image, line by line of tiles.

Each tile's logits count fully in its middle and fade smoothly where another tile sees the pixel,
too, so that no seam is left. What is kept is as wide as the image but no higher than a strip:
lines that no further tile reaches become labels and leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .tiles import TileGrid, fade


class Labelled(NamedTuple):
    """Finished labels of a part of the image."""

    x: int
    """Column of the first pixel."""
    y: int
    """Row of it."""
    labels: np.ndarray
    """(h, w), uint8."""


class Blend:
    """The labels of an image from its tiles' logits, which come row by row from the left.

    Every pixel's sum is taken in the order of the tiles, so that it is the same to the last bit
    however they were computed.

    Args:
        grid: The image's tiles.
        label: Gives the labels (h, w) of blended logits (C, h, w).
        first_row: Number of the row of tiles with which to begin. Lines that it shares with the
            row before are complete only if that comes, too.
    """

    def __init__(
        self, grid: TileGrid, label: Callable[[np.ndarray], np.ndarray], first_row: int = 0
    ) -> None:
        self.grid, self.label = grid, label
        self.next = first_row * len(grid.columns)
        self._weights = [_weigh(sides) for sides in (grid.rows, grid.columns)]
        # (C, h, w): sums of this row of tiles, from where it is not complete.
        self._row: np.ndarray = np.zeros((0, 0, 0), np.float32)
        # (C, lines, W): sums that the rows above left open.
        self._open: np.ndarray = np.zeros((0, 0, 0), np.float32)

    def add(self, logits: np.ndarray) -> Iterator[Labelled]:
        """Take the next tile's logits (C, h, w); yields what is complete with them."""
        row, column = divmod(self.next, len(self.grid.columns))
        self.next += 1
        logits = self._apply_weights(logits, row, column)
        if not column:
            self._row = np.zeros_like(logits)
        self._row += logits
        x0 = self.grid.columns[column][0]
        x1 = self._next_start(self.grid.columns, column)
        if not self._open.size:
            shape = len(logits), self._count_open(), self.grid.image_shape[1]
            self._open = np.zeros(shape, np.float32)
        yield self._finish(row, x0, x1)
        kept = self._row.shape[2] - (x1 - x0)
        if kept and x1 < self.grid.image_shape[1]:
            moved = np.zeros_like(self._row)
            moved[..., :kept] = self._row[..., x1 - x0 :]
            self._row = moved

    def _finish(self, row: int, x0: int, x1: int) -> Labelled:
        """Take the columns from x0 to x1, that are complete for this row of tiles, out of it."""
        y0 = self.grid.rows[row][0]
        y1 = self._next_start(self.grid.rows, row)
        part = self._row[..., : x1 - x0]
        left_open = self._open[..., x0:x1]
        part[:, : left_open.shape[1]] += left_open[:, : part.shape[1]]
        done, rest = part[:, : y1 - y0], part[:, y1 - y0 :]
        left_open[:] = 0
        left_open[:, : rest.shape[1]] = rest
        return Labelled(x0, y0, self.label(done))

    def _apply_weights(self, logits: np.ndarray, row: int, column: int) -> np.ndarray:
        y, x = self._weights[0][row], self._weights[1][column]
        return logits.astype(np.float32) * y[:, None] * x[None]

    def _count_open(self) -> int:
        rows = self.grid.rows
        pairs = pairwise(rows)
        return max([above[1] - below[0] for above, below in pairs], default=0)

    @staticmethod
    def _next_start(sides: list[tuple[int, int]], place: int) -> int:
        return sides[place + 1][0] if place + 1 < len(sides) else sides[place][1]


def _weigh(sides: list[tuple[int, int]]) -> list[np.ndarray]:
    """The weights of each row or column of tiles; those of a pixel add up to one."""
    weights = []
    for i, (start, end) in enumerate(sides):
        before = sides[i - 1][1] - start if i else 0
        after = end - sides[i + 1][0] if i + 1 < len(sides) else 0
        weights.append(fade(start, end, before, after))
    total = np.zeros(sides[-1][1], np.float32)
    for (start, end), one in zip(sides, weights, strict=True):
        total[start:end] += one
    return [one / total[start:end] for (start, end), one in zip(sides, weights, strict=True)]
