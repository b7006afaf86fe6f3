"""Random crops of scaled images that are drawn before the image is read, and then read alone.

Whoever scales a whole image to crop it afterwards computes pixels that nobody sees. Here the draw
comes first; what is decoded, cut and scaled follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from convnextv2.planes import unmirror
from convnextv2.runtime.tiles import Tile

KEY = "scaled_crop"  # where the results of a pipeline have the draw
REDUCTIONS = (8, 4, 2)  # at which JPEG's blocks can be decoded
AXES = {"horizontal": (1,), "vertical": (0,), "diagonal": (0, 1)}  # mirrored, by mmcv's names
_PHASE = 1 / 128  # of a pixel of the image: by so much a crop may lie beside the scaled image


class ScaledCrop(NamedTuple):
    """A rectangle of an image that is scaled, of which no more than that rectangle is made."""

    image_shape: tuple[int, int]
    """(H, W) of the image."""
    scaled_shape: tuple[int, int]
    """(H, W) that the whole image would have."""
    window: Tile
    """In pixels of the scaled image, once that is mirrored."""
    flip_direction: str | None = None
    """How the image is mirrored, a key of `AXES`, or not."""

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the crop."""
        x0, y0, x1, y1 = self.window
        return y1 - y0, x1 - x0

    @property
    def scale_factor(self) -> tuple[float, float]:
        """Scaled width by width, and the same of the heights."""
        (height, width), (high, wide) = self.image_shape, self.scaled_shape
        return wide / width, high / height

    @property
    def reduction(self) -> int:
        """By what an image can be reduced and still have as many pixels as it is scaled to."""
        sides = zip(self.image_shape, self.scaled_shape, strict=True)
        most = min(side / scaled for side, scaled in sides)
        return next((factor for factor in REDUCTIONS if factor <= most), 1)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The crop (h, w, C) of an image, bilinear, as if the whole were mirrored and scaled.

        Args:
            image: (H, W, C) of this shape, or reduced by `reduction`, as decoders do it.

        Raises:
            ValueError: It is of another size.
        """
        factor = self._find_reduction(image)
        (y0, y1), (x0, x1) = self._find_unmirrored_window()
        (height, width), (high, wide) = self.image_shape, self.scaled_shape
        columns = _Span.of(x0, x1, width / wide / factor, image.shape[1])
        rows = _Span.of(y0, y1, height / high / factor, image.shape[0])
        if rows.keeps_size and columns.keeps_size:
            # OpenCV copies what keeps its size, though it were to move by parts of a pixel.
            rows = _Span(0, image.shape[0], rows.step, y0)
            columns = _Span(0, image.shape[1], columns.step, x0)
        part = image[rows.start : rows.stop, columns.start : columns.stop]
        # A window of the image has the whole image's scale, which sizes alone do not tell.
        fx, fy = 1 / columns.step, 1 / rows.step
        part = cv2.resize(part, None, fx=fx, fy=fy, interpolation=cv2.INTER_LINEAR)
        part = part[rows.skipped :, columns.skipped :][: y1 - y0, : x1 - x0]
        if self.flip_direction:
            part = unmirror(np.flip(part, AXES[self.flip_direction]))
        return part if part.ndim == 3 else part[..., None]

    def cut_labels(self, labels: np.ndarray) -> np.ndarray:
        """The crop (h, w) of a label map (H, W) of this shape, by the nearest pixel."""
        rows, columns = self.find_sources()
        top, bottom = rows.min(), rows.max() + 1
        return labels[top:bottom].take(columns, axis=1).take(rows - top, axis=0)

    def find_sources(self) -> tuple[np.ndarray, np.ndarray]:
        """The row of the image of each row of the crop, as OpenCV takes the nearest; columns.

        They descend where the image is mirrored.
        """
        x0, y0, x1, y1 = self.window
        spans = zip(self.image_shape, self.scaled_shape, ((y0, y1), (x0, x1)), strict=True)
        sources = [
            np.minimum(np.arange(*span) * (1 / (scaled / side)), side - 1).astype(np.intp)
            for side, scaled, span in spans
        ]
        for axis in AXES.get(self.flip_direction or "", ()):
            sources[axis] = self.image_shape[axis] - 1 - sources[axis]
        rows, columns = sources
        return rows, columns

    def _find_unmirrored_window(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First row and end, first column and end, in the scaled image as it is not mirrored."""
        x0, y0, x1, y1 = self.window
        spans = [(y0, y1), (x0, x1)]
        for axis in AXES.get(self.flip_direction or "", ()):
            first, end = spans[axis]
            spans[axis] = self.scaled_shape[axis] - end, self.scaled_shape[axis] - first
        return spans[0], spans[1]

    def _find_reduction(self, image: np.ndarray) -> int:
        for factor in (1, self.reduction):
            if image.shape[:2] == tuple(-(-side // factor) for side in self.image_shape):
                return factor
        high, wide = image.shape[:2]
        raise ValueError(
            f"{high} x {wide} pixels, its annotations say {self.image_shape[0]} x "
            f"{self.image_shape[1]}"
        )


class _Span(NamedTuple):
    """Pixels of an image along an axis that a crop is made of."""

    start: int
    stop: int
    step: float
    """Pixels of the image for each of the scaled image."""
    skipped: int
    """Scaled pixels that are made before the crop begins."""

    @property
    def keeps_size(self) -> bool:
        """Whether there are as many scaled pixels as pixels."""
        pixels = self.stop - self.start
        return round(pixels / self.step) == pixels

    @classmethod
    def of(cls, first: int, end: int, step: float, side: int) -> _Span:
        """For the scaled pixels from `first` to `end`, of an image of so many pixels.

        It starts with a scaled pixel whose edge is one of the image's, too, nearly: the image's
        first, if there is no other.
        """
        # The first pixel of the crop must not ask for one before the start.
        latest = max(0, math.floor(first + 0.5 - 0.5 / step))
        edges = np.arange(latest + 1) * step
        near = np.abs(edges - np.rint(edges)) <= min(_PHASE, step / 4)
        begin = int(np.flatnonzero(near)[-1])
        return cls(round(begin * step), min(side, math.ceil(end * step) + 1), step, first - begin)


def draw_flip(prob: float) -> str | None:
    """Mirror horizontally with that probability, as mmcv's ``RandomFlip`` draws it."""
    return "horizontal" if np.random.choice(2, p=[prob, 1 - prob]) == 0 else None


def draw_scaled_shape(
    image_shape: tuple[int, int], scale: Sequence[int], ratio_range: Sequence[float]
) -> tuple[int, int]:
    """The size (H, W) that an image is scaled to, its sides' ratio kept, as mmcv draws it.

    Args:
        image_shape: (H, W).
        scale: The longer and the shorter side that the scaled image may have, in any order, times
            the ratio.
        ratio_range: Of the ratio, which is uniform.
    """
    low, high = ratio_range
    ratio = np.random.random_sample() * (high - low) + low
    return find_scaled_shape(image_shape, [int(side * ratio) for side in scale])


def find_scaled_shape(image_shape: tuple[int, int], scale: Sequence[int]) -> tuple[int, int]:
    """The largest size (H, W) within a longer and a shorter side, as mmcv rounds it.

    Args:
        image_shape: (H, W), whose ratio is kept.
        scale: The two sides, in any order.
    """
    height, width = image_shape
    factor = min(max(scale) / max(image_shape), min(scale) / min(image_shape))
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def draw_window(scaled_shape: tuple[int, int], crop_size: tuple[int, int]) -> Tile:
    """A rectangle of at most that size (h, w) in a scaled image, anywhere in it."""
    (height, width), (high, wide) = scaled_shape, crop_size
    y = np.random.randint(0, max(height - high, 0) + 1)
    x = np.random.randint(0, max(width - wide, 0) + 1)
    return x, y, min(x + wide, width), min(y + high, height)


def put_crop(results: dict, crop: ScaledCrop) -> None:
    """Write a draw into the results of a pipeline, with what mmcv's resizing would write."""
    results[KEY] = crop
    results["scale"] = crop.scaled_shape[::-1]
    results["scale_factor"] = crop.scale_factor
    results["keep_ratio"] = True
