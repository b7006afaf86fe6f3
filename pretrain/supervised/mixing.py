"""Mixup and cutmix: images and labels of a batch blended with those of the same batch reversed.

Random numbers come from the seeds of the batch's samples alone, so that a step that is done again
after a kill mixes the same.
"""

import math

import numpy as np
from torch import Tensor

from convnextv2.registry import MODELS


@MODELS.register_module()
class MixBatch:
    """Mix a batch of normalised images by one rule and one weight (paper, Tables 9 to 12).

    Image i is mixed with the last but i. Mixup (arXiv 1710.09412) blends the two; cutmix (arXiv
    1905.04899) pastes a rectangle, whose sides are the same share of the image's. The weight is
    drawn from Beta(alpha, alpha), for a whole batch of a process at once, as the released
    fine-tuning code does it.

    Args:
        mixup_alpha: Of mixup; 0: none.
        cutmix_alpha: Of cutmix; 0: none.
        prob: Share of the batches that are mixed.
        switch_prob: Share of the mixed ones that are cut, where both are wanted.

    Raises:
        ValueError: A value outside its range, or neither mixup nor cutmix.
    """

    def __init__(
        self,
        mixup_alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
        prob: float = 1.0,
        switch_prob: float = 0.5,
    ) -> None:
        if min(mixup_alpha, cutmix_alpha) < 0 or mixup_alpha == cutmix_alpha == 0:
            raise ValueError(
                "mixup_alpha and cutmix_alpha must be 0 or more, and one of them above; "
                f"got {mixup_alpha} and {cutmix_alpha}. Without both: mixing=None"
            )
        for name, value in (("prob", prob), ("switch_prob", switch_prob)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {value}")
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self.prob = prob
        self.switch_prob = switch_prob

    def __call__(
        self, images: Tensor, labels: Tensor, seeds: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix.

        Args:
            images: (B, C, H, W), normalised; left as they are.
            labels: (B,).
            seeds: Integers (B,), those of the samples.

        Returns:
            Mixed images (B, C, H, W); the labels (B,) of what was mixed in; the share (B,) of
            the own labels, in the images' type.
        """
        height, width = images.shape[-2:]
        share, box = self.draw(height, width, seeds)
        other = images.flip(0)
        if box is not None:
            top, bottom, left, right = box
            mixed = images.clone()
            mixed[..., top:bottom, left:right] = other[..., top:bottom, left:right]
        elif share < 1:
            mixed = images * share + other * (1 - share)
        else:
            mixed = images
        return mixed, labels.flip(0), images.new_full((len(images),), share)

    def draw(
        self, height: int, width: int, seeds: Tensor
    ) -> tuple[float, tuple[int, int, int, int] | None]:
        """What is done with the batch of these samples.

        Returns:
            The share of the own image, 1 where nothing is mixed; of cutmix also the rectangle
            (top, bottom, left, right), cut off at the image's border, from which the share is.
        """
        random = np.random.default_rng(seeds.tolist())
        if random.random() >= self.prob:
            return 1.0, None
        cut = self.mixup_alpha == 0
        if self.mixup_alpha > 0 and self.cutmix_alpha > 0:
            cut = random.random() < self.switch_prob
        alpha = self.cutmix_alpha if cut else self.mixup_alpha
        share = float(random.beta(alpha, alpha))
        if not cut:
            return share, None
        side = math.sqrt(1 - share)
        top, bottom = _cut(height, int(height * side), int(random.integers(height)))
        left, right = _cut(width, int(width * side), int(random.integers(width)))
        return 1 - (bottom - top) * (right - left) / (height * width), (top, bottom, left, right)


def _cut(size: int, length: int, centre: int) -> tuple[int, int]:
    """First and end of a stretch around `centre`, inside of 0 to `size`."""
    first = centre - length // 2
    return max(first, 0), min(first + length, size)
