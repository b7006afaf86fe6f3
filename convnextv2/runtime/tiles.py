"""Overlapping tiles of an image of any size, and what is found in them put together again.

A network sees a large image through tiles of the size that it was trained on. Neighbours share a
strip, in which both see the same: that is by what their answers are joined. How, each task says
as a `Joiner` (objects: `join.py`, labels: `blend.py`, which are beside this file). The
joined result depends neither on the order of the tiles nor on how they were shared out to batches
and processes.

A tile is ``(x0, y0, x1, y1)`` in whole pixels of the image, ends excluded.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

Tile = tuple[int, int, int, int]


@dataclass(frozen=True)
class TileGrid:
    """Tiles of one size that cover an image, row by row.

    All have the size that was asked for, so that they fit in one batch and show a network what it
    was trained on; they are spread evenly, and share the overlap or more. Along a side that is
    shorter than a tile, there is one tile as long as the side.

    Args:
        image_shape: (H, W).
        tile_size: Side of a tile, in pixels.
        overlap: The least that neighbours share, in pixels.

    Raises:
        ValueError: The overlap is negative or not smaller than the tile.
    """

    image_shape: tuple[int, int]
    tile_size: int
    overlap: int

    def __post_init__(self) -> None:
        _check_overlap(self.tile_size, self.overlap)

    @cached_property
    def rows(self) -> list[tuple[int, int]]:
        """First line and the line after the last, of each row of tiles."""
        return _spread(self.image_shape[0], self.tile_size, self.overlap)

    @cached_property
    def columns(self) -> list[tuple[int, int]]:
        """The same of each column of tiles."""
        return _spread(self.image_shape[1], self.tile_size, self.overlap)

    @cached_property
    def tiles(self) -> list[Tile]:
        """All tiles; their places in this list are their numbers."""
        return [(x0, y0, x1, y1) for y0, y1 in self.rows for x0, x1 in self.columns]

    def list_strips(self) -> Iterator[tuple[int, int, Tile]]:
        """Each two tiles that see something in common: their numbers, the lower first, and what."""
        width = len(self.columns)
        rows, columns = (list(_list_shared(sides)) for sides in (self.rows, self.columns))
        for i, k, y0, y1 in rows:
            for j, m, x0, x1 in columns:
                one, other = i * width + j, k * width + m
                if one < other:
                    yield one, other, (x0, y0, x1, y1)
                if i < k and j < m:  # and the other diagonal
                    yield i * width + m, k * width + j, (x0, y0, x1, y1)

    def list_cut_sides(self, tile: Tile) -> tuple[bool, bool, bool, bool]:
        """Whether the left, upper, right and lower side of a tile lie inside the image."""
        height, width = self.image_shape
        x0, y0, x1, y1 = tile
        return x0 > 0, y0 > 0, x1 < width, y1 < height


class Joiner(ABC):
    """Puts together what a model finds in the tiles of one image.

    Args:
        grid: The image's tiles.
    """

    def __init__(self, grid: TileGrid) -> None:
        self.grid = grid

    def list_missing(self) -> list[int]:
        """Numbers of the tiles that are still to be added, in the order in which to add them."""
        return list(range(len(self.grid.tiles)))

    @abstractmethod
    def add(self, number: int, sample: Any) -> None:
        """Take what was found in a tile.

        Args:
            number: The tile's.
            sample: mmdet's or mmseg's, on the CPU, in pixels of the tile.
        """

    def add_reduced(self, sample: Any, factor: int) -> None:
        """Take what was found in the reduced whole, for what is larger than a tile.

        Args:
            sample: In pixels of the reduced image.
            factor: How many times it was made smaller.

        Raises:
            TypeError: The task has nothing that could be larger.
        """
        raise TypeError(f"{type(self).__name__} takes no reduced image")

    @abstractmethod
    def join(self) -> Any:
        """What there is in the whole image, once every tile was added."""

    @abstractmethod
    def fill(self, sample: Any) -> None:
        """Write what there is in the whole image into a sample, as mmdet and mmseg do it."""

    def trim(self, sample: Any) -> None:  # noqa: B027  most have nothing to leave out
        """Take out of a tile's prediction what is not needed to join it."""


def fade(start: int, end: int, before: int, after: int) -> np.ndarray:
    """How much a tile counts along one side: 1 in its middle, smoothly less where others see, too.

    Args:
        start: First pixel of the tile.
        end: The pixel after its last.
        before: Pixels at its beginning that it shares with others.
        after: The same at its end.

    Returns:
        (end - start,), float32, above 0.
    """
    weights = np.ones(end - start)
    for shared, ramp in ((before, weights), (after, weights[::-1])):
        rise = (np.arange(shared) + 0.5) / max(shared, 1)
        ramp[:shared] *= np.sin(rise * np.pi / 2) ** 2
    # Nowhere as little as nothing: by the sum of all tiles' weights is divided.
    return np.maximum(weights, 1e-3).astype(np.float32)


def tile_boxes(image_shape: Sequence[int], tile_size: int, overlap: int = 0) -> list[Tile]:
    """The fewest equal tiles that cover an image, row by row, for files that are cut of it.

    Tiles are rather smaller than asked for than ragged: all sides are equal within a pixel, so
    that no sliver is left at the right and at the bottom. An overlap that is wider than most
    objects lets each of them be whole in some tile; with no overlap each pixel is in one tile.

    Args:
        image_shape: (H, W) or (H, W, C).
        tile_size: Longest side of a tile, in pixels.
        overlap: What neighbours share, in pixels, exactly.

    Raises:
        ValueError: The overlap is negative or not smaller than the tile.
    """
    _check_overlap(tile_size, overlap)

    def intervals(length: int) -> list[tuple[int, int]]:
        count = _count(length, tile_size, overlap)
        starts = [i * (length - overlap) // count for i in range(count + 1)]
        return [(a, b + overlap) for a, b in pairwise(starts)]

    height, width = image_shape[:2]
    return [(x0, y0, x1, y1) for y0, y1 in intervals(height) for x0, x1 in intervals(width)]


def intersect(one: Tile, other: Tile) -> Tile | None:
    """What two tiles, or other rectangles, have in common; None if that is nothing."""
    x0, y0 = max(one[0], other[0]), max(one[1], other[1])
    x1, y1 = min(one[2], other[2]), min(one[3], other[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _check_overlap(tile_size: int, overlap: int) -> None:
    if not 0 <= overlap < tile_size:
        raise ValueError(f"overlap {overlap} must be at least 0 and below tile_size {tile_size}")


def _count(length: int, size: int, overlap: int) -> int:
    return max(1, math.ceil((length - overlap) / (size - overlap)))


def _spread(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Intervals of one length that cover another, evenly spread."""
    count, size = _count(length, size, overlap), min(size, length)
    starts = [i * (length - size) // max(count - 1, 1) for i in range(count)]
    return [(start, start + size) for start in starts]


def _list_shared(sides: list[tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Each two intervals, one with itself too, that have pixels in common, and which."""
    for i, (start, end) in enumerate(sides):
        for k in range(i, len(sides)):
            if sides[k][0] >= end:
                break
            yield i, k, max(start, sides[k][0]), min(end, sides[k][1])
