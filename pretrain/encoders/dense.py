"""The reference encoder: every pixel is computed, hidden ones are zeroed after each layer.

Written to be read beside the paper (section 3.1: sparse convolution is a dense convolution of
an input whose hidden pixels are 0, evaluated at visible pixels only). `packed.py` does the same
without the hidden pixels and is what one trains with.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from convnextv2.backbone import Block, ConvNeXtV2


def encode_dense(backbone: ConvNeXtV2, images: Tensor, mask: Tensor) -> Tensor:
    """Run the backbone on the visible patches of images.

    Args:
        backbone: Its modules are used as they are; its output norms are not.
        images: (B, C, H, W).
        mask: bool (B, h, w), True = visible.

    Returns:
        Features (B, C, H/32, W/32) of the last stage, 0 where hidden.
    """
    x = images
    for downsample, stage in backbone.levels():
        x = downsample(x)
        visible = resize_mask(mask, x.shape[2:])
        x = _hide(x, visible)
        for block in stage:
            x = backbone.run(_run_block, x, block, visible)
    return x


def resize_mask(mask: Tensor, size: Sequence[int]) -> Tensor:
    """A mask of patches (B, h, w) as a mask of pixels (B, 1, H, W) of a map of that size."""
    factors = size[0] // mask.shape[1], size[1] // mask.shape[2]
    return mask.repeat_interleave(factors[0], 1).repeat_interleave(factors[1], 2)[:, None]


def _hide(x: Tensor, visible: Tensor) -> Tensor:
    # Not a product: what is hidden may be anything, even infinite, and must not matter.
    return x.masked_fill(~visible, 0)


def _run_block(x: Tensor, block: Block, visible: Tensor) -> Tensor:
    return x + block.drop_path(_hide(_residual(block, x, visible), visible))


def _residual(block: Block, x: Tensor, visible: Tensor) -> Tensor:
    x = _hide(block.dwconv(x), visible).permute(0, 2, 3, 1)  # (B, H, W, C)
    size = x.shape[1:3]
    x = F.gelu(block.pwconv1(block.norm(x)))
    x = _hide(x, visible.permute(0, 2, 3, 1))
    # GRN of each image over its visible pixels: the hidden ones add 0 to the norm.
    x = block.grn(x.flatten(1, 2)).unflatten(1, size)
    return block.layer_scale(block.pwconv2(x)).permute(0, 3, 1, 2)
