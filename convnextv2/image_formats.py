"""Each format of image, decoded from memory: its size is looked at first, and its damage noticed.

What a file is, its first bytes say, not its name. What cannot be used is a `ValueError`.
"""

import io
import lzma
import math
import os
import threading
import zlib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import tifffile
from PIL import Image

# libjpeg's words about damage; others, as about a camera's odd header, do not concern the pixels.
_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG", "Bogus marker", "Inconsistent progression")
_COLOURS = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_JPEG = b"\xff\xd8\xff"
_ORIENTATION = 0x112  # EXIF's
_PNG = b"\x89PNG\r\n\x1a\n"
# Start of frame; C4, C8 and CC are other markers.
_JPEG_FRAMES = {0xC0 + i for i in range(16)} - {0xC4, 0xC8, 0xCC}
# BGR; OpenCV 4 has no such flags for RGB.
_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_Result = TypeVar("_Result")


def decode(
    content: bytes, in_channels: int, rgb: bool, max_pixels: int, reduction: int = 1
) -> np.ndarray:
    """Decode a JPEG, PNG, WebP, BMP, TIFF or npy file.

    Args:
        content: The file's bytes.
        in_channels: 3: grey images come as three channels, alpha is dropped; else as in the file.
        rgb: The order of colours in PNG, JPEG, WebP, BMP and colour TIFFs; False: BGR.
        max_pixels: Larger images are not decoded.
        reduction: 2, 4 or 8: a JPEG of three channels may come with sides divided by it, rounded
            up, its pixels averages; others come whole.

    Returns:
        (H, W) or (H, W, C) as the decoder gives it, of any type.

    Raises:
        ValueError: It is none of these, damaged, or too large.
    """
    if content.startswith(_JPEG):
        return _read_jpeg(content, in_channels, rgb, max_pixels, reduction)
    for magic, read in _READERS.items():
        if content.startswith(magic):
            return read(content, in_channels, rgb, max_pixels)
    if content.startswith(b"PK"):
        raise ValueError("a zip or npz archive, no image")
    raise ValueError("truncated, or no image")


def check_pixels(height: int, width: int, max_pixels: int) -> None:
    """Refuse a size before anything of that size is made.

    Raises:
        ValueError: It has more pixels than `max_pixels`, or none.
    """
    if height < 1 or width < 1:
        raise ValueError(f"{height} x {width} pixels, or a damaged header")
    if height * width > max_pixels:
        raise ValueError(
            f"{height} x {width} pixels, more than LoadImage's max_pixels={max_pixels}"
        )


def _read_png(content: bytes, *args: Any) -> np.ndarray:
    _check_png_chunks(content)
    return _decode_checked(content, _number(content, 20, 24), _number(content, 16, 20), *args)


def _check_png_chunks(content: bytes) -> None:
    view, start = memoryview(content), len(_PNG)
    while start + 12 <= len(content):
        end = start + 8 + _number(content, start, start + 4)
        if end + 4 > len(content):
            break
        if zlib.crc32(view[start + 4 : end]) != _number(content, end, end + 4):
            raise ValueError(f"damaged: checksum at byte {end}")
        if content[start + 4 : start + 8] == b"IEND":
            return
        start = end + 4
    raise ValueError("truncated, or no image")


def _read_jpeg(
    content: bytes, in_channels: int, rgb: bool, max_pixels: int, reduction: int
) -> np.ndarray:
    size = _find_jpeg_size(content)
    whole = reduction == 1 or in_channels != 3
    # Of an image that is turned, the last blocks, of which a part is no image, would come first.
    if whole or (any(side % reduction for side in size) and _is_turned(content)):
        return _decode_checked(content, *size, in_channels, rgb, max_pixels)
    check_pixels(*size, max_pixels)
    image = _decode_heard(content, _REDUCED[reduction])
    return _turn(image) if rgb else image


def _find_jpeg_size(content: bytes) -> tuple[int, int]:
    start = 2
    while start + 9 <= len(content):
        start += 1 if content[start] != 0xFF or content[start + 1] == 0xFF else 0
        marker = content[start + 1]
        if content[start] == 0xFF and marker in _JPEG_FRAMES:
            return _number(content, start + 5, start + 7), _number(content, start + 7, start + 9)
        if content[start] == 0xFF and marker != 0xFF:
            start += 2 + _number(content, start + 2, start + 4)
    raise ValueError("truncated, or no image")


def _is_turned(content: bytes) -> bool:
    """Whether the EXIF of a JPEG asks for its pixels to be turned or mirrored."""
    try:
        with Image.open(io.BytesIO(content)) as file:
            return file.getexif().get(_ORIENTATION, 1) != 1
    except Exception:  # Pillow's, of headers that it cannot read
        return True


def _read_bmp(content: bytes, *args: Any) -> np.ndarray:
    if _number(content, 14, 18, "little") == 12:  # OS/2's header
        width, height = (_number(content, i, i + 2, "little") for i in (18, 20))
    else:
        width, height = (
            abs(int.from_bytes(content[i : i + 4], "little", signed=True)) for i in (18, 22)
        )
    return _decode_checked(content, height, width, *args)


def _read_webp(content: bytes, *args: Any) -> np.ndarray:
    if content[8:12] != b"WEBP" or _number(content, 4, 8, "little") + 8 > len(content):
        raise ValueError("truncated, or no image")
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (1 + _number(content, i, i + 3, "little") for i in (24, 27))
    elif kind == b"VP8L":
        bits = _number(content, 21, 25, "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (_number(content, i, i + 2, "little") & 0x3FFF for i in (26, 28))
    return _decode_checked(content, height, width, *args)


def _read_tiff(content: bytes, in_channels: int, rgb: bool, max_pixels: int) -> np.ndarray:
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            return _read_series(file, content, in_channels, rgb, max_pixels)
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # damaged files make tifffile raise whatever it stumbles on
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _read_series(
    file: tifffile.TiffFile, content: bytes, in_channels: int, rgb: bool, max_pixels: int
) -> np.ndarray:
    series, page = file.series[0], file.pages.first
    axes, shape = series.axes, series.shape
    check_pixels(page.imagelength, page.imagewidth, max_pixels)
    # Pages that were written one by one are series of their own; smaller ones are overviews.
    alike = [s for s in file.series if (s.axes, s.shape, s.dtype) == (axes, shape, series.dtype)]
    alike = alike if len(axes) == 2 else [series]
    if len(alike) not in (1, in_channels):
        raise ValueError(f"{len(alike)} channels, expected {in_channels}")
    for one in (page for each in alike for page in each.pages):
        ends = zip(one.dataoffsets, one.databytecounts, strict=False) if one is not None else ()
        if any(offset + size > len(content) for offset, size in ends):
            raise ValueError("truncated")
    if len(alike) > 1:
        for each in alike:
            _check_unpacked(each, content)
        return np.stack([each.asarray() for each in alike], axis=-1)
    # OpenCV knows no more than four channels, and takes the first of those that are no colours.
    # What it does read it also decompresses.
    colours = len(series.pages) == 1 and page.photometric in _COLOURS
    bands = page.samplesperpixel > 4 or (page.samplesperpixel == 4 and 0 in page.extrasamples)
    dtype = "" if page.dtype is None else page.dtype.name
    known = dtype in ("bool", "uint8", "uint16", "float32")
    if known and ((colours and not bands) or len(axes) == 2):
        # OpenCV 4.12 garbles TIFFs of 16 bits that are asked for as RGB.
        size = page.imagelength, page.imagewidth
        # It makes no colours of grey floats.
        as_is = len(axes) == 2 and dtype == "float32"
        image = _decode_checked(content, *size, 1 if as_is else in_channels, False, max_pixels)
        return _turn(image) if rgb else image
    _check_unpacked(series, content)
    if len(axes) == 2:
        return series.asarray()
    channels = [i for i, axis in enumerate(axes) if axis not in "YX"]
    if len(axes) != 3 or len(channels) != 1:
        raise ValueError(f"a TIFF of axes {axes}, expected YX and one for the channels")
    # Writers often store (H, W, C) as H pages of W x C.
    if shape[channels[0]] != in_channels and shape[2] == in_channels:
        channels = [2]
    if shape[channels[0]] != in_channels:
        raise ValueError(f"{shape[channels[0]]} channels, expected {in_channels}")
    height, width = (shape[i] for i in range(3) if i != channels[0])
    check_pixels(height, width, max_pixels)
    return np.moveaxis(series.asarray(), channels[0], -1)


# tifffile unpacks all that a strip or a tile of these holds, however little belongs there.
UNPACKERS: dict[int, Callable] = {
    tifffile.COMPRESSION.ADOBE_DEFLATE: zlib.decompressobj,
    tifffile.COMPRESSION.DEFLATE: zlib.decompressobj,
    tifffile.COMPRESSION.LZMA: lzma.LZMADecompressor,
}


def _check_unpacked(series: tifffile.TiffPageSeries, content: bytes) -> None:
    page = series.keyframe
    if page.compression not in UNPACKERS or page.dtype is None:
        return
    size = math.prod(page.chunks) * page.dtype.itemsize
    for one in series.pages:
        parts = zip(one.dataoffsets, one.databytecounts, strict=False) if one is not None else ()
        for offset, count in parts:
            unpack = UNPACKERS[page.compression]()
            if len(unpack.decompress(content[offset : offset + count], size + 1)) > size:
                raise ValueError("damaged: a strip or tile unpacks to more than its pixels")


def _read_array(content: bytes, in_channels: int, rgb: bool, max_pixels: int) -> np.ndarray:
    file = io.BytesIO(content)
    try:
        later = np.lib.format.read_magic(file) != (1, 0)
        read = np.lib.format.read_array_header_2_0 if later else np.lib.format.read_array_header_1_0
        shape, _, dtype = read(file)
    except Exception as error:  # a damaged header makes Python's parser raise what it likes
        raise ValueError(f"a damaged npy header: {error}") from error
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded: reading them would run code")
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(f"an array of shape {shape}, expected (H, W) or (H, W, C)")
    check_pixels(shape[0], shape[1], max_pixels)
    size, there = int(np.prod(shape, dtype=object)) * dtype.itemsize, len(content) - file.tell()
    if size > there:
        raise ValueError(f"truncated: {there} of {size} bytes of an array of shape {shape}")
    file.seek(0)
    image = np.load(file, allow_pickle=False)
    return image if rgb or image.shape[2:] != (3,) else image[..., ::-1]


_READERS: dict[bytes, Callable[..., np.ndarray]] = {
    _PNG: _read_png,
    b"RIFF": _read_webp,
    b"BM": _read_bmp,
    b"II*\0": _read_tiff,
    b"MM\0*": _read_tiff,
    b"II+\0": _read_tiff,  # the last two: of more than 4 GB
    b"MM\0+": _read_tiff,
    b"\x93NUMPY": _read_array,
}


def _number(content: bytes, start: int, end: int, order: Literal["big", "little"] = "big") -> int:
    return int.from_bytes(content[start:end], order)


def _decode_checked(
    content: bytes, height: int, width: int, in_channels: int, rgb: bool, max_pixels: int
) -> np.ndarray:
    """Let OpenCV decode, unless the image is too large; what it reports is an error."""
    check_pixels(height, width, max_pixels)
    colour = cv2.IMREAD_COLOR_RGB if rgb else cv2.IMREAD_COLOR_BGR
    flag = colour | cv2.IMREAD_ANYDEPTH if in_channels == 3 else cv2.IMREAD_UNCHANGED
    image = _decode_heard(content, flag)
    return _turn(image) if rgb and image.shape[2:] == (4,) else image


def _decode_heard(content: bytes, flag: int) -> np.ndarray:
    """What OpenCV makes of a file; the damage that it writes to standard error is an error."""
    image, words = _listen(lambda: cv2.imdecode(np.frombuffer(content, np.uint8), flag))
    if image is None:
        raise ValueError("truncated, or no image")
    damage = [line for line in words.splitlines() if line.startswith(_DAMAGE)]
    if damage:
        raise ValueError(damage[0])
    if words:
        os.write(2, words.encode())
    return image


def _turn(image: np.ndarray) -> np.ndarray:
    """From BGR to RGB, from BGRA to RGBA."""
    codes = {(3,): cv2.COLOR_BGR2RGB, (4,): cv2.COLOR_BGRA2RGBA}
    code = codes.get(image.shape[2:])
    return image if code is None else cv2.cvtColor(image, code)


# No process may be forked while its standard error is turned.
_STDERR = threading.Lock()
os.register_at_fork(
    before=_STDERR.acquire, after_in_parent=_STDERR.release, after_in_child=_STDERR.release
)


def _listen(call: Callable[[], _Result]) -> tuple[_Result, str]:
    """Call; returns the result and what was written to C's standard error meanwhile.

    libjpeg tells of damage nowhere else: OpenCV has no other way to its warnings.
    """
    with _STDERR:
        try:
            kept = os.dup(2)
        except OSError:  # the process has none
            return call(), ""
        ear, mouth = os.pipe()
        try:
            os.set_blocking(ear, False)
            os.set_blocking(mouth, False)  # many words are lost, not waited for
            os.dup2(mouth, 2)
            try:
                result = call()
            finally:
                os.dup2(kept, 2)
            try:
                words = os.read(ear, 65536).decode(errors="replace")
            except BlockingIOError:
                words = ""
        finally:
            for number in (kept, ear, mouth):
                os.close(number)
    return result, words
