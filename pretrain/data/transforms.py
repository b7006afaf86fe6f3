"""The few transforms that pre-training needs; images are (H, W, C) arrays, RGB.

Random numbers come from numpy's global generator, which `convnextv2.SeedTransforms`, first in
the pipeline, seeds for each image.
"""

import io
import math
from pathlib import Path

import cv2
import numpy as np
import tifffile
import torch

from convnextv2.backbone.resume import SeededIndex
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


@TRANSFORMS.register_module()
class RandomResizedCrop:
    """Crop a random area of a random aspect ratio and resize it (paper, Table 8).

    Args:
        size: Side of the square result, or (height, width).
        scale: Range of the crop's share of the image's area.
        ratio: Range of the crop's width over its height, as if `size` were square.
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.scale = scale
        self.ratio = ratio

    def __call__(self, results: dict) -> dict:
        image = results["img"]
        x, y, width, height = self._draw(*image.shape[:2])
        crop = image[y : y + height, x : x + width]
        # Bicubic alone aliases when it shrinks; averaging is what an antialiased filter does.
        shrinks = height >= self.size[0] and width >= self.size[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        # OpenCV resizes four channels at a time.
        parts = [
            cv2.resize(crop[..., i : i + 4], self.size[::-1], interpolation=interpolation)
            for i in range(0, crop.shape[2], 4)
        ]
        parts = [part if part.ndim == 3 else part[..., None] for part in parts]
        results["img"] = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return results

    def _draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        aspect = self.size[1] / self.size[0]
        for _ in range(10):
            area = height * width * np.random.uniform(*self.scale)
            ratio = aspect * math.exp(np.random.uniform(*map(math.log, self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                break
        else:  # a very long image: the largest crop in the middle
            w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
            return (width - w) // 2, (height - h) // 2, w, h
        return np.random.randint(width - w + 1), np.random.randint(height - h + 1), w, h


@TRANSFORMS.register_module()
class RandomFlips:
    """Mirror left to right, and, where the image has no up, top to bottom.

    Args:
        horizontal: Probability of the first.
        vertical: Probability of the second; for aerial images and microscopy.
    """

    def __init__(self, horizontal: float = 0.5, vertical: float = 0.0) -> None:
        self.horizontal = horizontal
        self.vertical = vertical

    def __call__(self, results: dict) -> dict:
        draws = np.random.rand(2)
        if draws[0] < self.horizontal:
            results["img"] = results["img"][:, ::-1]
        if draws[1] < self.vertical:
            results["img"] = results["img"][::-1]
        return results


@TRANSFORMS.register_module()
class PackFCMAEInputs:
    """To ``inputs`` (C, H, W), ``seed``, from which the model draws the mask, and ``img_path``."""

    def __call__(self, results: dict) -> dict:
        image = np.ascontiguousarray(results["img"].transpose(2, 0, 1))
        if image.dtype == np.uint16:  # torch cannot collate it on every device
            image = image.astype(np.float32)
        index = results["sample_idx"]
        seed = index.seed if isinstance(index, SeededIndex) else np.random.randint(2**31)
        return {
            "inputs": torch.from_numpy(image),
            "seed": seed,
            "img_path": results["img_path"],
        }


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
