"""Masks of objects in images of any size: kept as RLE of the object's box, never as the image.

A rectangle is ``(x0, y0, x1, y1)`` in whole pixels, ends excluded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .rle import fill_runs, find_runs, read_runs, write_runs
from .tiles import Tile, intersect


class BoxMask(NamedTuple):
    """A mask that is empty outside of a rectangle, the smallest that holds it."""

    box: Tile
    """In pixels of the image; without any if the mask is empty."""
    counts: str
    """COCO's compressed RLE of what is in the rectangle."""
    area: int

    @classmethod
    def of(cls, mask: np.ndarray, x: int = 0, y: int = 0) -> BoxMask:
        """A mask (h, w), whose first pixel is at (x, y) of the image."""
        mask = np.asarray(mask, bool)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return cls((x, y, x, y), "", 0)
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        part = mask[top:bottom, left:right]
        box = (int(x + left), int(y + top), int(x + right), int(y + bottom))
        return cls(box, write_runs(find_runs(part)), int(np.count_nonzero(part)))

    @classmethod
    def from_coco(cls, rle: dict) -> BoxMask:
        """COCO's RLE in any form, of an image that is not made for it."""
        height, _ = rle["size"]
        counts = rle["counts"]
        runs = np.array(counts, np.int64) if isinstance(counts, list) else read_runs(counts)
        ends = np.cumsum(runs)
        starts, ends = ends[:-1:2], ends[1::2]  # of what is inside
        if not len(starts):
            return cls((0, 0, 0, 0), "", 0)
        first, last = starts[0] // height, (ends[-1] - 1) // height
        steps = np.zeros((last - first + 1) * height + 1, np.int8)
        np.add.at(steps, starts - first * height, 1)
        np.add.at(steps, ends - first * height, -1)
        columns = np.cumsum(steps[:-1], dtype=np.int8).reshape(-1, height)
        return cls.of(columns.T, int(first), 0)

    def decode(self, window: Tile) -> np.ndarray:
        """The mask as it is inside of a rectangle: bool (h, w)."""
        x0, y0, x1, y1 = window
        pixels = np.zeros((y1 - y0, x1 - x0), bool)
        if self.area and (both := intersect(self.box, window)):
            left, top, right, bottom = self.box
            whole = fill_runs(read_runs(self.counts), (bottom - top, right - left))
            inside = whole[both[1] - top : both[3] - top, both[0] - left : both[2] - left]
            pixels[both[1] - y0 : both[3] - y0, both[0] - x0 : both[2] - x0] = inside
        return pixels

    def to_coco(self, image_shape: tuple[int, int]) -> dict:
        """COCO's compressed RLE of the whole image, (H, W), which is not made for it."""
        height, width = image_shape
        counts = [height * width]
        if self.area:
            x0, y0, *_ = self.box
            columns = np.pad(self.decode(self.box), ((1, 1), (0, 0))).T  # (w, 1 + h + 1)
            steps = np.diff(columns.astype(np.int8), axis=1)
            column, row = np.nonzero(steps)  # of each run its start and its end, column by column
            ends = (column + x0) * height + row + y0
            # A run that fills its column goes on in the next.
            goes_on = np.flatnonzero(ends[1:-1:2] == ends[2::2])
            ends = np.delete(ends, np.concatenate([2 * goes_on + 1, 2 * goes_on + 2]))
            rest = [] if ends[-1] == height * width else [height * width]
            counts = np.diff(np.concatenate([[0], ends, rest])).astype(int).tolist()
        return {"size": [height, width], "counts": write_runs(counts)}


def unite(masks: Iterable[BoxMask]) -> BoxMask:
    """All pixels that are in any of some masks."""
    masks = [mask for mask in masks if mask.area]
    if not masks:
        return BoxMask((0, 0, 0, 0), "", 0)
    corners = np.array([mask.box for mask in masks])
    (x0, y0), (x1, y1) = corners[:, :2].min(0).tolist(), corners[:, 2:].max(0).tolist()
    pixels = np.zeros((y1 - y0, x1 - x0), bool)
    for mask in masks:
        left, top, right, bottom = mask.box
        pixels[top - y0 : bottom - y0, left - x0 : right - x0] |= mask.decode(mask.box)
    return BoxMask.of(pixels, x0, y0)
