"""Images of files and arrays, as the network takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# Of images, as `LoadImage` has it: a resizing may leave nothing of the shorter side.
MOST_ASPECT = 200


def open_image(path: str | Path, channels: int, rgb: bool) -> np.ndarray:
    """As `read_image`, but of an npy file no more is read than is used.

    Raises:
        ValueError: It cannot be read, or there is no Pillow for it.
    """
    if Path(path).suffix.lower() != ".npy" or not Path(path).is_file():
        return read_image(path, channels, rgb)
    try:
        image: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, MemoryError, RecursionError) as error:
        raise ValueError(f"{path}: no array: {str(error)[:300]}") from error
    image = image if image.ndim == 3 else image[..., None]
    return image if rgb or image.shape[2:] != (3,) else image[..., ::-1]


def read_image(path: str | Path, channels: int, rgb: bool) -> np.ndarray:
    """The image (H, W, C) of a file; three channels are colours, as RGB or BGR.

    Raises:
        ValueError: It cannot be read, or there is no Pillow for it.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file, or no regular one")
    if Path(path).suffix.lower() == ".npy":
        image = read_array(path)
    else:
        image = read_picture(path, channels)
    return image if rgb or image.shape[2:] != (3,) else np.ascontiguousarray(image[..., ::-1])


def read_array(path: str | Path) -> np.ndarray:
    """The array (H, W, C) of an npy file.

    Raises:
        ValueError: It is none.
    """
    try:
        with open(path, "rb") as file:  # np.load would take archives, too
            image = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, RecursionError) as error:
        raise ValueError(f"{path}: no array: {str(error)[:300]}") from error
    return image if image.ndim == 3 else image[..., None]


def read_picture(path: str | Path, channels: int) -> np.ndarray:
    """The picture (H, W, C) of a file that Pillow reads; of three channels as RGB.

    Raises:
        ValueError: It cannot be read, has more than 8 bits or more pixels than Pillow allows, or
            there is no Pillow.
    """
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise ValueError(f"{path}: give an array, or install pillow to read it") from error
    try:
        with PIL.Image.open(path) as file:
            if file.mode[0] in "IF":
                raise ValueError("more than 8 bits, which Pillow does not convert: give an array")
            if channels != 3:
                picture = np.asarray(file)
                return picture if picture.ndim == 3 else picture[..., None]
            return np.asarray(PIL.ImageOps.exif_transpose(file).convert("RGB"))
    except Exception as error:  # each decoder has its own kind
        raise ValueError(f"{path}: truncated, or no image: {str(error)[:300]}") from error


def check_image(image: np.ndarray, channels: int) -> None:
    """Stop at an array that is no image for the network.

    Raises:
        ValueError: It has another shape, no pixels, too long a side, or values that are no numbers.
    """
    check_shape(image, channels)
    kind = image.dtype.kind
    if kind not in "uif" or (kind == "f" and not _is_finite(image)):
        raise ValueError(f"values of type {image.dtype} that are no finite numbers")
    short, long = sorted(image.shape[:2])
    if not short or long > MOST_ASPECT * short:
        raise ValueError(f"{image.shape[0]} x {image.shape[1]} pixels: one side is too short")


def _is_finite(image: np.ndarray) -> bool:
    with np.errstate(over="ignore"):  # of more than float32 holds
        return bool(np.isfinite(image.astype(np.float32, copy=False)).all())


def check_shape(image: np.ndarray, channels: int) -> None:
    """Stop at an array that has not the shape of an image for the network, or no pixels.

    Raises:
        ValueError: It says which it has.
    """
    if image.ndim != 3 or image.shape[2] != channels or not image.size:
        raise ValueError(f"shape {image.shape}, expected (H, W, C) of {channels} bands")


def convert(image: np.ndarray, dtype: str | None) -> np.ndarray:
    """The values of a file as `LoadImage` gives them to the network.

    Raises:
        ValueError: It refuses such values.
    """
    found = image.dtype.name
    if found not in ("uint8", "uint16", "float32"):
        image, found = image.astype(np.float32), "float32"
    if dtype in (None, found):
        return image
    if (found, dtype) == ("uint16", "uint8"):
        return (image >> 8).astype(np.uint8)
    if (found, dtype) == ("uint8", "uint16"):
        return image.astype(np.uint16) * np.uint16(257)
    raise ValueError(f"values of type {found}, expected {dtype}")
