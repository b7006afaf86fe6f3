"""Parts of images, read without the rest where the format allows.

TIFF files (BigTIFF, cloud-optimised GeoTIFF, in tiles or in strips) are read by the tiles that a
window touches. Other files are decoded once. Either way a window is what the config's loader
makes of the image there.
"""

from __future__ import annotations

import io
import math
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
import tifffile

from convnextv2.files import printable
from convnextv2.image_formats import UNPACKERS
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.predictor import load_file
from convnextv2.runtime.reduced import reduce_image
from convnextv2.runtime.tiles import Tile

KEPT_BYTES = 256 * 2**20  # of decoded tiles of a file, for the windows beside this one
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GREY_OR_RGB = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)


class Windows(ABC):
    """An image of which parts can be read; a context manager.

    Attributes:
        shape: (H, W).
    """

    shape: tuple[int, int]

    @abstractmethod
    def read(self, tile: Tile) -> np.ndarray:
        """The pixels (h, w, C) of a part of the image, as the config loads them.

        Raises:
            UnreadableImageError: The file is damaged there.
        """

    @abstractmethod
    def read_file(self, tile: Tile) -> bytes:
        """The same as a file, of which `LoadImage` makes what `read` gives."""

    def close(self) -> None:  # noqa: B027  an image in memory has nothing to close
        """Close the file."""

    def __enter__(self) -> Windows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.close()


def open_windows(path: str | os.PathLike, load: Callable[[dict], dict]) -> Windows:
    """Open an image to read parts of it.

    Args:
        path: Of the file.
        load: The config's loader, such as `LoadImage`. Of another kind, it decodes once.

    Raises:
        UnreadableImageError: It cannot be read.
    """
    path = os.fspath(path)
    if isinstance(load, LoadImage) and _is_tiff(path):
        try:
            return TiffWindows(path, load)
        except _NotByWindowsError as reason:
            try:
                return _decode(path, load)
            except UnreadableImageError as error:
                raise UnreadableImageError(f"{error}; not read by windows: {reason}") from error
    return _decode(path, load)


def _decode(path: str, load: Callable[[dict], dict]) -> DecodedImage:
    image = load_file(load, {"img_path": path})["img"]
    return DecodedImage(image, not (isinstance(load, LoadImage) and load.channel_order == "rgb"))


def read_reduced(windows: Windows, longest: int) -> tuple[np.ndarray, int]:
    """The whole image, smaller by a whole number, and that number.

    Args:
        windows: The image, of which no more than a part is in memory.
        longest: The most pixels that the result has on a side.

    Returns:
        (ceil(H / n), ceil(W / n), C), means of n x n pixels; and n.
    """
    return reduce_image(windows.read, windows.shape, longest)


class DecodedImage(Windows):
    """An image that is in memory.

    Args:
        image: (H, W, C) as the config loads it.
        bgr: Whether three channels are BGR.
    """

    def __init__(self, image: np.ndarray, bgr: bool = True) -> None:
        self.image, self.shape, self.bgr = image, image.shape[:2], bgr

    def read(self, tile: Tile) -> np.ndarray:
        """A copy of nothing: a view."""
        x0, y0, x1, y1 = tile
        return self.image[y0:y1, x0:x1]

    def read_file(self, tile: Tile) -> bytes:
        """See `Windows`."""
        part = self.read(tile)
        # A loader of BGR takes an array for RGB.
        return _write_array(part[..., ::-1] if self.bgr and part.shape[2] == 3 else part)


class TiffWindows(Windows):
    """A TIFF file of one page of grey values, colours or bands, read by its tiles or strips.

    Args:
        path: Of the file.
        load: Checks and converts each window by its rules; its ``max_pixels`` is what a tile or
            strip of the file may have, and no limit for the image.

    Raises:
        _NotByWindowsError: It is none of these.
        UnreadableImageError: It is damaged.
    """

    def __init__(self, path: str, load: LoadImage) -> None:
        self.path, self.load = path, load
        try:
            self._file = tifffile.TiffFile(path)
            self._page = self._file.pages.first
            self._check()
            self._layout = self._find_layout()
            self.read((0, 0, 1, 1))  # whether its compression is known
        except (_NotByWindowsError, UnreadableImageError):
            self.close()
            raise
        except Exception as error:  # damaged files make tifffile raise whatever it stumbles on
            self.close()
            raise UnreadableImageError(f"{printable(path)}: {error}") from error

    def read(self, tile: Tile) -> np.ndarray:
        """See `Windows`."""
        return self.load({"img_path": self.path, "content": self.read_file(tile)})["img"]

    def read_file(self, tile: Tile) -> bytes:
        """See `Windows`; alpha is dropped where the loader would drop it."""
        page, pixels = self._page, self._read(tile)
        alpha = page.photometric == tifffile.PHOTOMETRIC.RGB and self._samples == 4
        if self.load.in_channels == 3 and alpha and 0 not in page.extrasamples:
            pixels = pixels[..., :3]
        return _write_array(pixels)

    def _read(self, tile: Tile) -> np.ndarray:
        """The values (h, w, samples) that the file has there."""
        x0, y0, x1, y1 = tile
        high, wide = self._chunk
        pixels = np.zeros((y1 - y0, x1 - x0, self._samples), self._page.dtype)
        for plane in range(self._planes):
            samples = slice(None) if self._planes == 1 else slice(plane, plane + 1)
            for i in range(y0 // high, -(-y1 // high)):
                for j in range(x0 // wide, -(-x1 // wide)):
                    part = self._fetch(plane, i, j)
                    top, left = i * high, j * wide
                    bottom, right = top + part.shape[0], left + part.shape[1]
                    ys, ye, xs, xe = max(y0, top), min(y1, bottom), max(x0, left), min(x1, right)
                    pixels[ys - y0 : ye - y0, xs - x0 : xe - x0, samples] = part[
                        ys - top : ye - top, xs - left : xe - left
                    ]
        return pixels

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):
            self._file.close()

    def _check(self) -> None:
        """Refuse what a loader makes something else of than the values of one page."""
        page, series = self._page, self._file.series[0]
        alike = [s for s in self._file.series if (s.axes, s.shape) == (series.axes, series.shape)]
        if len(series.pages) != 1 or (len(alike) > 1 and len(series.axes) == 2):
            raise _NotByWindowsError("several pages")
        if series.axes not in ("YX", "YXS", "SYX") or page.photometric not in _GREY_OR_RGB:
            raise _NotByWindowsError(f"a TIFF of axes {series.axes}, {page.photometric}")
        if page.dtype is None or page.dtype.name not in ("uint8", "uint16", "float32"):
            raise _NotByWindowsError(f"values of type {page.dtype}")
        if page.imagelength < 1 or page.imagewidth < 1:
            raise UnreadableImageError(f"{printable(self.path)}: a damaged header")

    def _find_layout(self) -> tuple[int, int]:
        """Rows and columns of the file's tiles; sets what else says how they lie."""
        page = self._page
        self.shape = page.imagelength, page.imagewidth
        self._samples = page.samplesperpixel
        self._planes = self._samples if page.planarconfig == 2 else 1
        high, wide = (
            (page.tilelength, page.tilewidth)
            if page.is_tiled
            else (min(page.rowsperstrip, page.imagelength), page.imagewidth)
        )
        if high * wide > self.load.max_pixels:
            raise _NotByWindowsError(f"parts of {high} x {wide} pixels")
        self._chunk = high, wide
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        rows, columns = -(-page.imagelength // high), -(-page.imagewidth // wide)
        if len(page.dataoffsets) != rows * columns * self._planes:
            raise UnreadableImageError(f"{printable(self.path)}: truncated, or a damaged header")
        return rows, columns

    def _fetch(self, plane: int, row: int, column: int) -> np.ndarray:
        """A tile or strip of the file (h, w, samples), decoded or kept."""
        rows, columns = self._layout
        number = (plane * rows + row) * columns + column
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        part = self._decode(number)
        self._kept[number] = part
        # Windows go on to the right and then down: what was used longest ago is needed last.
        while len(self._kept) > 1 and sum(p.nbytes for p in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return part

    def _decode(self, number: int) -> np.ndarray:
        page: Any = self._page
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        samples = self._samples // self._planes
        if not count:  # nothing was written there
            return np.full((*self._chunk, samples), page.nodata or 0, page.dtype)
        try:
            handle = self._file.filehandle
            handle.seek(offset)
            content = handle.read(count)
            if len(content) < count:
                raise ValueError("truncated")
            if unpack := UNPACKERS.get(page.compression):
                most = math.prod(self._chunk) * samples * page.dtype.itemsize
                if len(unpack().decompress(content, most + 1)) > most:
                    raise ValueError("damaged: a tile unpacks to more than its pixels")
            part = page.decode(content, number)[0]
        except KeyError as error:  # no decoder
            raise _NotByWindowsError(f"{error.args[0]} (pip install '.[tiff]')") from error
        except Exception as error:
            reason = " ".join(str(error).split())
            if "imagecodecs" in reason:  # tifffile has no decoder either
                name = page.compression.name
                raise _NotByWindowsError(f"compression {name} (pip install '.[tiff]')") from error
            raise UnreadableImageError(f"{printable(self.path)}: {reason}") from error
        return part[0]


class _NotByWindowsError(Exception):
    """A file that has to be decoded as a whole."""


def _write_array(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(pixels))
    return file.getvalue()


def _is_tiff(path: str) -> bool:
    if not os.path.isfile(path):  # a pipe is not opened
        return False
    with open(path, "rb") as file:
        return file.read(4) in _TIFF
