"""Pictures of images of any number of bands and any type of values.

A picture is (H, W, 3), uint8, RGB. Bands are counted from 1, as in maps' programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convnextv2.engine.errors import InputError

if TYPE_CHECKING:
    import numpy as np

# Values of 8 bits become floats in augmentation, which may then exceed 255; 9 bits hold them.
_DISTORTED = 511


def show_bands(images: Sequence[np.ndarray], bands: Sequence[int] | None = None) -> list:
    """Pictures of images that are of one kind, all in the brightness that the first one asks for.

    Values of 8 bits stay as they are. Others are stretched, so that the darkest and the brightest
    hundredth of the first image's pixels become black and white: each band by itself, colours
    together.

    Args:
        images: (H, W, C); three channels are RGB.
        bands: What to show as red, green and blue, or as grey, counted from 1. None: the first
            three, or, of less than three, the first as grey.

    Raises:
        InputError: There is no such band.
    """
    import numpy as np

    chosen = _choose(images[0].shape[2], bands)
    low, high = _find_range(images[0][..., chosen], images[0].shape[2] == 3)
    pictures = []
    for image in images:
        values = (image[..., chosen].astype(np.float32) - low) * (255 / (high - low))
        pictures.append(np.ascontiguousarray(values.clip(0, 255).round().astype(np.uint8)))
    return pictures


def _choose(channels: int, bands: Sequence[int] | None) -> list[int]:
    if bands is None:
        return [0, 1, 2] if channels >= 3 else [0, 0, 0]
    if len(bands) not in (1, 3) or not all(1 <= band <= channels for band in bands):
        raise InputError(
            f"bands to show: one or three, from 1 to {channels}, not {', '.join(map(str, bands))}"
        )
    return [band - 1 for band in (bands if len(bands) == 3 else [*bands] * 3)]


def _find_range(image: np.ndarray, colours: bool) -> tuple[np.ndarray, np.ndarray]:
    """What becomes black and what white, of each channel."""
    import numpy as np

    bits = np.zeros(3, np.float32), np.full(3, 255, np.float32)
    if image.dtype == np.uint8:
        return bits
    if colours and image.dtype.kind == "f" and 1 < image.max(initial=0) <= _DISTORTED:
        return bits
    step = max(1, int((image.shape[0] * image.shape[1] / 1e6) ** 0.5))  # a million tell enough
    axes = (0, 1, 2) if colours else (0, 1)
    low, high = np.percentile(image[::step, ::step].astype(np.float32), (1, 99), axis=axes)
    low, high = np.broadcast_to(low, 3), np.broadcast_to(high, 3)
    return low, np.where(high > low, high, low + 1)
