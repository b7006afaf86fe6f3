"""One reader of images for every task."""

import io
from pathlib import Path

import cv2
import numpy as np
import tifffile

from convnextv2.registry import TRANSFORMS


class UnreadableImageError(ValueError):
    """A file that cannot be used; the message begins with its path."""


@TRANSFORMS.register_module()
class LoadImage:
    """Decode ``img_path``, or its bytes where ``content`` holds them, into ``img`` (H, W, C).

    Args:
        in_channels: 3: RGB, grey images repeated, alpha dropped. Any other number: the channels
            of the file as they are, which must be that many. 16 bits stay 16 bits. ``.npy`` files
            hold (H, W) or (H, W, C) arrays and are taken as they are; TIFF files hold the
            channels in one page or in several.

    Raises:
        UnreadableImageError: The file is missing, empty, truncated, no image, or has another
            number of channels. `UnlabelledImages` puts another image in its place.
    """

    def __init__(self, in_channels: int = 3) -> None:
        self.in_channels = in_channels
        self._decoders = {".npy": _decode_array, ".tif": _decode_tiff, ".tiff": _decode_tiff}

    def __call__(self, results: dict) -> dict:
        path = results["img_path"]
        try:
            # Decoding from memory: from a file, OpenCV fills up truncated JPEGs with grey.
            content = results.pop("content") if "content" in results else Path(path).read_bytes()
            if not content:
                raise ValueError("the file is empty")
            decode = self._decoders.get(Path(path).suffix.lower(), _decode_image)
            image = decode(content, self.in_channels)
        except (OSError, ValueError, cv2.error) as error:
            raise UnreadableImageError(f"{path}: {error}") from error
        image = image if image.ndim == 3 else image[..., None]
        if image.shape[2] != self.in_channels:
            raise UnreadableImageError(
                f"{path}: {image.shape[2]} channels, expected {self.in_channels}"
            )
        results["img"] = image
        return results


def _decode_image(content: bytes, in_channels: int) -> np.ndarray:
    colour = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH
    flag = colour if in_channels == 3 else cv2.IMREAD_UNCHANGED
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    if image is None:
        raise ValueError("truncated, or no image")
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA) if image.shape[2:] == (4,) else image


def _decode_tiff(content: bytes, in_channels: int) -> np.ndarray:
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            series, page = file.series[0], file.pages[0]
            # OpenCV knows no more than four channels, and takes the first of those that are no
            # colours. What it does read it also decompresses.
            colours = len(series.pages) == 1 and page.photometric.name in ("RGB", "YCBCR")
            if colours or len(series.axes) == 2:
                return _decode_image(content, in_channels)
            image, axes = series.asarray(), series.axes
    except Exception as error:  # damaged files make tifffile raise whatever it stumbles on
        raise ValueError(f"{type(error).__name__}: {error}") from error
    channels = [i for i, axis in enumerate(axes) if axis not in "YX"]
    if len(axes) != 3 or len(channels) != 1:
        raise ValueError(f"a TIFF of axes {axes}, expected YX and one for the channels")
    # Writers often store (H, W, C) as H pages of W x C.
    if image.shape[channels[0]] != in_channels and image.shape[2] == in_channels:
        channels = [2]
    image = np.moveaxis(image, channels[0], -1)
    return image[..., :3] if in_channels == 3 else image


def _decode_array(content: bytes, in_channels: int) -> np.ndarray:
    image = np.load(io.BytesIO(content), allow_pickle=False)
    if image.ndim not in (2, 3) or not image.size:
        raise ValueError(f"an array of shape {image.shape}, expected (H, W) or (H, W, C)")
    return image
