"""The deterministic view of an image that a classifier is evaluated on.

Below 384 pixels: `ResizeShorter`, then `CenterCrop`. From 384 on the released evaluation shows
the whole image instead: `Warp`. All of them resize as Pillow does it, bicubic with antialiasing,
so that the accuracies of released weights come out as they were published.
"""

import numpy as np
from PIL import Image

from convnextv2.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeShorter:
    """Resize so that a centre crop of `size` covers `crop_ratio` of the shorter side.

    Args:
        size: Side of the square crop that follows, or its (height, width).
        crop_ratio: In (0, 1]; .875 makes the shorter side 256 for a crop of 224.

    Raises:
        ValueError: `crop_ratio` outside its range.
    """

    def __init__(self, size: int | tuple[int, int] = 224, crop_ratio: float = 0.875) -> None:
        if not 0 < crop_ratio <= 1:
            raise ValueError(f"crop_ratio must be in (0, 1], got {crop_ratio}")
        self.size = _pair(size)
        self.crop_ratio = crop_ratio

    def __call__(self, results: dict) -> dict:
        image = results["img"]
        height, width = image.shape[:2]
        least_height, least_width = (int(side / self.crop_ratio) for side in self.size)
        if least_height * width >= least_width * height:
            new = least_height, width * least_height // height
        else:
            new = height * least_width // width, least_width
        results["img"] = resize(image, *new)
        return results


@TRANSFORMS.register_module()
class CenterCrop:
    """Cut out the middle.

    Args:
        size: Side of the square crop, or its (height, width).

    Raises:
        ValueError: When called: the image is smaller.
    """

    def __init__(self, size: int | tuple[int, int] = 224) -> None:
        self.size = _pair(size)

    def __call__(self, results: dict) -> dict:
        image = results["img"]
        (height, width), (h, w) = image.shape[:2], self.size
        if h > height or w > width:
            raise ValueError(
                f"no crop of {h} x {w} in an image of {height} x {width}: ResizeShorter of the "
                "same size comes before CenterCrop"
            )
        top, left = round((height - h) / 2), round((width - w) / 2)
        results["img"] = image[top : top + h, left : left + w]
        return results


@TRANSFORMS.register_module()
class Warp:
    """Resize the whole image to `size`, whatever its aspect.

    Args:
        size: Side of the square result, or (height, width).
    """

    def __init__(self, size: int | tuple[int, int] = 384) -> None:
        self.size = _pair(size)

    def __call__(self, results: dict) -> dict:
        results["img"] = resize(results["img"], *self.size)
        return results


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bicubic with antialiasing, as Pillow resizes.

    Args:
        image: (H, W, C) of any number of channels; uint8, uint16 or float32.
        height: Of the result.
        width: Of the result.

    Returns:
        (height, width, C) of the same type.
    """
    if image.shape[:2] == (height, width):
        return image
    size = (width, height)
    if image.dtype == np.uint8 and image.shape[2] == 3:
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    bands = [
        np.asarray(Image.fromarray(band).resize(size, Image.Resampling.BICUBIC))
        for band in np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
    ]
    return to_type(np.stack(bands, axis=-1), image.dtype)


def to_type(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A float32 image in another type, rounded to what that can hold."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        image = image.round().clip(limits.min, limits.max)
    return image.astype(dtype)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
