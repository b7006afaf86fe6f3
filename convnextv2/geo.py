"""Where an image is in the world: what a GeoTIFF says of it, to be handed on to results."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import tifffile

_SCALE, _TIEPOINTS, _TRANSFORMATION = 33550, 33922, 34264
_KEYS = 34735
_TAGS = (_SCALE, _TIEPOINTS, _TRANSFORMATION, _KEYS, 34736, 34737)
# Of the directory of keys.
_GEOGRAPHIC, _PROJECTED, _RASTER_TYPE = 2048, 3072, 1025
_PIXEL_IS_POINT = 2
_USER_DEFINED = 32767


class Place(NamedTuple):
    """Where the pixels of an image are."""

    transform: tuple[float, float, float, float, float, float]
    """a, b, c, d, e, f: x = a * column + b * row + c, y = d * column + e * row + f, of the edges of
    pixels: the first pixel's centre is at (.5, .5)."""
    epsg: int | None
    """Number of the coordinate system; None: the file has no number for it."""
    tags: list[tuple]
    """The file's tags, as tifffile writes them into another."""

    def locate(self, points: np.ndarray) -> np.ndarray:
        """Coordinates (n, 2) of points (n, 2), columns and rows."""
        a, b, c, d, e, f = self.transform
        return points @ np.array([[a, d], [b, e]]) + np.array([c, f])


def read_place(path: str | os.PathLike) -> Place | None:
    """Where a GeoTIFF is; None of other files, and of those that do not say it."""
    try:
        with tifffile.TiffFile(path) as file:
            tags: Any = file.pages.first.tags
            found = {c: (c, t.dtype, t.count, t.value) for c in _TAGS if (t := tags.get(c))}
    except (OSError, ValueError, tifffile.TiffFileError):
        return None
    values = {code: tag[-1] for code, tag in found.items()}
    transform = _find_transform(values)
    if transform is None:
        return None
    keys = _read_keys(values.get(_KEYS, ()))
    if keys.get(_RASTER_TYPE) == _PIXEL_IS_POINT:
        a, b, c, d, e, f = transform
        transform = a, b, c - (a + b) / 2, d, e, f - (d + e) / 2
    number = keys.get(_PROJECTED) or keys.get(_GEOGRAPHIC)
    epsg = number if number and number != _USER_DEFINED else None
    return Place(transform, epsg, [(*tag, True) for tag in found.values()])


def _find_transform(tags: dict[int, Any]) -> tuple | None:
    if _TRANSFORMATION in tags:
        m = tags[_TRANSFORMATION]
        return m[0], m[1], m[3], m[4], m[5], m[7]
    if _SCALE in tags and _TIEPOINTS in tags:
        (sx, sy), (i, j, _, x, y) = tags[_SCALE][:2], tags[_TIEPOINTS][:5]
        return sx, 0.0, x - i * sx, 0.0, -sy, y + j * sy
    return None


def _read_keys(directory: tuple) -> dict[int, int]:
    """The keys whose value lies in the directory itself."""
    entries = np.array(directory[4:], int)
    entries = entries[: len(entries) // 4 * 4].reshape(-1, 4)
    return {int(key): int(value) for key, where, _, value in entries if where == 0}
