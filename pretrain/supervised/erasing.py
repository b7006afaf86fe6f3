"""Random erasing: noise in the place of a rectangle of the image (arXiv 1708.04896)."""

import math
from collections.abc import Sequence

import numpy as np

from convnextv2.registry import TRANSFORMS

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # mean and std, RGB, 0 to 255
_ATTEMPTS = 10


@TRANSFORMS.register_module()
class RandomErasing:
    """Fill a random rectangle with normal noise, pixel by pixel, as the released recipes do.

    The noise has mean 0 and deviation 1 once it is normalised, which 8 bits could not hold: an
    image that is erased becomes float32, in the units of the file as before. Random numbers come
    from numpy's global generator, which is seeded for each sample.

    Args:
        prob: Share of the images.
        area: Range of the rectangle's share of the image's area.
        ratio: Range of its height over its width.
        mean: Mean of the noise in each channel, in the units of the files: that of the data
            preprocessor. None: ImageNet's for 8-bit images of three channels, of all others the
            image's own.
        std: Standard deviation of the noise, likewise.

    Raises:
        ValueError: `prob` outside [0, 1], or `mean` and `std` of different lengths.
    """

    def __init__(
        self,
        prob: float = 0.25,
        area: tuple[float, float] = (0.02, 1 / 3),
        ratio: tuple[float, float] = (0.3, 1 / 0.3),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must be in [0, 1], got {prob}")
        if len(mean or ()) != len(std or ()):
            raise ValueError(f"mean and std must be of one length, got {mean} and {std}")
        self.prob = prob
        self.area = area
        self.ratio = ratio
        self.given = (mean, std) if mean and std else None

    def __call__(self, results: dict) -> dict:
        image = results["img"]
        if np.random.rand() >= self.prob or (box := self._draw(*image.shape[:2])) is None:
            return results
        top, left, height, width = box
        mean, std = self._statistics(image)
        erased = image.astype(np.float32)
        noise = np.random.standard_normal((height, width, image.shape[2]))
        erased[top : top + height, left : left + width] = mean + std * noise
        results["img"] = erased
        return results

    def _draw(self, height: int, width: int) -> tuple[int, int, int, int] | None:
        """Top, left, height, width; None if every attempt was larger than the image."""
        low, high = map(math.log, self.ratio)
        for _ in range(_ATTEMPTS):
            area = height * width * np.random.uniform(*self.area)
            ratio = math.exp(np.random.uniform(low, high))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if h < height and w < width:
                top, left = np.random.randint(height - h + 1), np.random.randint(width - w + 1)
                return top, left, h, w
        return None

    def _statistics(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        in_colour = image.dtype == np.uint8 and image.shape[2] == 3
        if found := self.given or (IMAGENET if in_colour else None):
            return np.asarray(found[0]), np.asarray(found[1])
        return image.mean((0, 1), np.float64), image.std((0, 1), np.float64)
