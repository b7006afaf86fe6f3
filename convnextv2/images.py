"""One reader of images for every task."""

import logging
import mmap
import os
import stat

import cv2
import numpy as np
from mmengine.logging import print_log

from convnextv2.files import printable
from convnextv2.image_formats import decode
from convnextv2.registry import TRANSFORMS
from convnextv2.scaled_crops import KEY, ScaledCrop

DTYPES = ("uint8", "uint16", "float32")


class UnreadableImageError(ValueError):
    """A file that cannot be used; the message begins with its path."""


@TRANSFORMS.register_module()
class LoadImage:
    """Decode ``img_path``, or its bytes where ``content`` holds them, into ``img`` (H, W, C).

    JPEG, PNG, WebP, BMP, TIFF (the channels in one page or in several) and npy files of (H, W) or
    (H, W, C) are told apart by their content. Palettes become colours, CMYK becomes RGB, and
    images of three channels are turned as their EXIF says. ``img_shape`` and ``ori_shape`` are
    set too, so that the transforms of mmcv, mmdet and mmseg can follow.

    Where a transform before it has drawn a `ScaledCrop`, that is all that ``img`` becomes: cut out
    of the image and scaled, of a JPEG that is decoded at a reduced size where that suffices.

    Values are ``uint8``, ``uint16`` or ``float32``, in every format by one rule: booleans become
    0 and 255, and other types of numbers become float32, unscaled.

    Args:
        in_channels: 3: colours, grey images repeated, alpha dropped. Any other number: the
            channels of the file as they are. A file of another number of channels is refused.
        channel_order: ``rgb``, or ``bgr`` as mmcv's loader has it. Of npy files and of bands that
            are no colours, three channels are held to be RGB; other numbers keep their order.
        dtype: What all images become. 16 bits become 8 by leaving out the lower ones, as OpenCV
            does it, of which the log names the first; 8 become 16 times 257; floats are neither
            and are refused. None: what the file has; `UnlabelledImages` then takes the type that
            most of its images have.
        max_pixels: Larger images are refused by their header, before they are decoded.
        max_aspect: So are those longer than so many times their width: where a transform shrinks
            them, nothing is left of the shorter side.

    Raises:
        UnreadableImageError: The file is missing, empty, truncated, no image, no regular file
            (such are not opened), refused, damaged as far as its decoder or its checksums tell,
            or has values that are not finite.
    """

    def __init__(
        self,
        in_channels: int = 3,
        channel_order: str = "rgb",
        dtype: str | None = None,
        max_pixels: int = 200_000_000,
        max_aspect: float = 200,
    ) -> None:
        if channel_order not in ("rgb", "bgr"):
            raise ValueError(f"channel_order is 'rgb' or 'bgr', not {channel_order!r}")
        if dtype is not None and dtype not in DTYPES:
            raise ValueError(f"dtype is one of {', '.join(DTYPES)} or None, not {dtype!r}")
        self.in_channels = in_channels
        self.channel_order = channel_order
        self.dtype = dtype
        self.max_pixels = max_pixels
        self.max_aspect = max_aspect
        self._say_once = SayOnce()

    def __call__(self, results: dict) -> dict:
        path = results["img_path"]
        try:
            # Decoding from memory: from a file, OpenCV fills up truncated JPEGs with grey.
            content = results.pop("content") if "content" in results else self._read(path)
            if not content:
                raise ValueError("the file is empty")
            rgb = self.channel_order == "rgb"
            crop: ScaledCrop | None = results.get(KEY)
            reduction = crop.reduction if crop else 1
            image = decode(content, self.in_channels, rgb, self.max_pixels, reduction)
            image = self._check_shape(image)
            image = _to_numbers(image)
            if (image.dtype.name, self.dtype) == ("uint16", "uint8"):
                self._say_once(
                    f"{printable(path)} has 16 bits, of which the lower 8 are left out, as of all "
                    "images like it: dtype='uint16' of LoadImage keeps them"
                )
            image = _convert(image, self.dtype)
            shape = crop.image_shape if crop else image.shape[:2]
            image = crop.cut(image) if crop else image
        except MemoryError as error:
            raise UnreadableImageError(f"{printable(path)}: not enough memory for it") from error
        except (OSError, ValueError, cv2.error) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise UnreadableImageError(f"{printable(path)}: {reason}") from error
        results["img"] = np.ascontiguousarray(image)
        results["img_shape"], results["ori_shape"] = image.shape[:2], shape
        return results

    def __repr__(self) -> str:
        options = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        arguments = ", ".join(f"{key}={value!r}" for key, value in options.items())
        return f"LoadImage({arguments})"

    def _read(self, path: str) -> bytes:
        # No image that is let through needs more, however its values are stored.
        largest = self.max_pixels * max(self.in_channels, 4) * 8
        return read_regular(path, largest)

    def _check_shape(self, image: np.ndarray) -> np.ndarray:
        image = image if image.ndim == 3 else image[..., None]
        height, width, channels = image.shape
        if channels == 1 and self.in_channels == 3:
            image = image.repeat(3, axis=2)
        elif channels != self.in_channels:
            raise ValueError(f"{channels} channels, expected {self.in_channels}")
        if max(height, width) > self.max_aspect * min(height, width):
            raise ValueError(
                f"{height} x {width} pixels, sides in a larger ratio than LoadImage's "
                f"max_aspect={self.max_aspect}"
            )
        return image


def as_bgr(image: np.ndarray, load: object) -> np.ndarray:
    """An image (H, W, C) as a config's loader gives it, in the order that pictures are made from.

    Args:
        image: As it was loaded.
        load: The loader; of others than `LoadImage`, BGR is expected, as mmcv's has it.
    """
    is_rgb = image.shape[2:] == (3,) and getattr(load, "channel_order", "bgr") == "rgb"
    return image[..., ::-1] if is_rgb else image


class SayOnce:
    """Logs the first text that it is given, in the first of the processes forked from here."""

    def __init__(self) -> None:
        self._said = mmap.mmap(-1, 1)  # shared with worker processes

    def __reduce__(self) -> tuple:
        return SayOnce, ()  # memory cannot be copied to processes of another kind

    def __call__(self, text: str) -> None:
        if not self._said[0]:
            self._said[0] = 1
            print_log(text, logger="current", level=logging.WARNING)


def read_regular(path: str | os.PathLike, largest: int | None = None) -> bytes:
    """The content of a regular file; pipes, sockets and devices are not opened.

    Args:
        path: Of the file, or of a link to it.
        largest: Refuse files of more bytes.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, or too large.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("no regular file")
    if largest is not None and status.st_size > largest:
        raise ValueError(f"{status.st_size} bytes, more than LoadImage's max_pixels can fill")
    with open(path, "rb") as file:
        return file.read()


def _to_numbers(image: np.ndarray) -> np.ndarray:
    if image.dtype.kind == "b":
        return image.astype(np.uint8) * 255
    if image.dtype.kind not in "iuf":
        raise ValueError(f"values of type {image.dtype}, expected numbers")
    if image.dtype.name in ("uint8", "uint16"):
        return image.astype(image.dtype.newbyteorder("="), copy=False)
    with np.errstate(over="ignore"):  # float64 that is too large becomes infinite
        image = image.astype(np.float32, copy=False)
    if not np.isfinite(image).all():
        raise ValueError("values that are not finite")
    return image


def _convert(image: np.ndarray, dtype: str | None) -> np.ndarray:
    found = image.dtype.name
    if dtype in (None, found):
        return image
    if (found, dtype) == ("uint16", "uint8"):
        return (image >> 8).astype(np.uint8)
    if (found, dtype) == ("uint8", "uint16"):
        return image.astype(np.uint16) * 257
    raise ValueError(f"values of type {found}, expected {dtype}")
