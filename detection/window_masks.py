"""Masks of objects that are kept as what is in a rectangle of each, and are whole on demand.

Seven objects of an image of 1024 x 1024 are 7 MB as bitmaps, most of it nothing, which every step
of a pipeline would copy, and each worker send.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mmdet.structures.mask import BitmapMasks


class MaskWindow(NamedTuple):
    """A part of an image outside of which a mask is empty."""

    x: int
    y: int
    pixels: np.ndarray
    """(h, w), uint8, 1 inside."""

    def flip(self, direction: str, height: int, width: int) -> MaskWindow:
        """As it is in an image (height, width) that is mirrored."""
        high, wide = self.pixels.shape
        x, y, pixels = self
        if direction in ("horizontal", "diagonal"):
            x, pixels = width - x - wide, pixels[:, ::-1]
        if direction in ("vertical", "diagonal"):
            y, pixels = height - y - high, pixels[::-1]
        return MaskWindow(x, y, pixels)


class WindowMasks(BitmapMasks):
    """mmdet's `BitmapMasks`, of which steps that move or choose objects touch windows alone.

    All else finds ``masks`` (N, H, W), uint8, made when asked for.

    Args:
        windows: One for each object.
        height: Of the image.
        width: Of the image.
    """

    def __init__(self, windows: Sequence[MaskWindow], height: int, width: int) -> None:
        self.windows, self.height, self.width = list(windows), int(height), int(width)

    @property
    def masks(self) -> np.ndarray:
        """All masks as bitmaps (N, H, W); changes are lost."""
        whole = np.zeros((len(self.windows), self.height, self.width), np.uint8)
        for mask, (x, y, pixels) in zip(whole, self.windows, strict=True):
            mask[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        return whole

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: Any) -> WindowMasks:
        """Some masks, by whatever numpy takes as an index."""
        places = np.arange(len(self))
        chosen = places[index] if isinstance(index, slice) else places[np.asarray(index)]
        chosen = np.atleast_1d(chosen)
        return WindowMasks([self.windows[i] for i in chosen], self.height, self.width)

    def flip(self, flip_direction: str = "horizontal") -> WindowMasks:
        """See mmdet's."""
        size = self.height, self.width
        return WindowMasks([w.flip(flip_direction, *size) for w in self.windows], *size)

    def pad(self, out_shape: Sequence[int], pad_val: int = 0) -> BitmapMasks:
        """See mmdet's."""
        if pad_val:
            return super().pad(out_shape, pad_val)
        return WindowMasks(self.windows, *out_shape)

    def crop_and_resize(self, *args: Any, **kwargs: Any) -> BitmapMasks:
        """See mmdet's, which asks for ``masks`` more than once."""
        whole = BitmapMasks(self.masks, self.height, self.width)
        return whole.crop_and_resize(*args, **kwargs)

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each mask."""
        return np.array([np.count_nonzero(window.pixels) for window in self.windows], int)

    def find_boxes(self) -> np.ndarray:
        """(x0, y0, x1, y1) around each mask, ends excluded, float32 (N, 4); zeros if empty."""
        boxes = np.zeros((len(self), 4), np.float32)
        for box, (x, y, pixels) in zip(boxes, self.windows, strict=True):
            rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
            if len(rows):
                box[:] = columns[0] + x, rows[0] + y, columns[-1] + x + 1, rows[-1] + y + 1
        return boxes

    @classmethod
    def cat(cls, masks: Sequence[BitmapMasks]) -> BitmapMasks:
        """See mmdet's."""
        return BitmapMasks.cat(masks)
