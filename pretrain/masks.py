"""Cutting images into patches, and drawing which of them the network may see."""

from collections.abc import Callable

import torch
from torch import Tensor

# Of a mask, the patches whose errors count in the loss.
COUNTED: dict[str, Callable[[Tensor], Tensor]] = {
    "hidden": torch.logical_not,
    "all": torch.ones_like,
}


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Images (B, C, H, W) to patches (B, h*w, p*p*C), row by row; the channel runs fastest."""
    b, c, height, width = images.shape
    p = patch_size
    patches = images.reshape(b, c, height // p, p, width // p, p)
    return patches.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)


def unpatchify(patches: Tensor, patch_size: int, height: int, width: int) -> Tensor:
    """The inverse of `patchify` for images of `height` x `width` pixels."""
    b, p = len(patches), patch_size
    pixels = patches.reshape(b, height // p, width // p, p, p, -1)
    return pixels.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, height, width)


def random_mask(height: int, width: int, mask_ratio: float, seeds: Tensor) -> Tensor:
    """Draw visible patches uniformly, the same number for every image.

    Args:
        height: Patches from top to bottom.
        width: Patches from left to right.
        mask_ratio: Share of hidden patches; rounded so that hidden ones are not fewer, and at
            least one patch is visible and one hidden.
        seeds: Integers (B,). A mask depends on its own seed alone, so that it is the same in
            whatever batch or process its image is.

    Returns:
        bool (B, height, width) on the CPU, True = visible.
    """
    total = height * width
    # The small number keeps .4 * 50 from becoming 19 by rounding.
    visible = min(max(int(total * (1 - mask_ratio) + 1e-6), 1), total - 1)
    mask = torch.zeros(len(seeds), total, dtype=torch.bool)
    generator = torch.Generator()
    for row, seed in zip(mask, seeds.tolist(), strict=True):
        row[torch.randperm(total, generator=generator.manual_seed(seed))[:visible]] = True
    return mask.view(-1, height, width)
