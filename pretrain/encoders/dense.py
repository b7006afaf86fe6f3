"""The reference encoder: every pixel is computed, hidden ones are zeroed after each layer.

Written to be read beside the paper (section 3.1: sparse convolution is a dense convolution of
an input whose hidden pixels are 0, evaluated at visible pixels only). `packed.py` does the same
without the hidden pixels and is what one trains with.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from convnextv2.backbone import Block, ConvNeXtV2

Pixels = tuple[Tensor, ...]  # the visible ones: image, row and column, (N,) each


def encode_dense(
    backbone: ConvNeXtV2, images: Tensor, mask: Tensor, out_indices: Sequence[int] = (3,)
) -> tuple[Tensor, ...]:
    """Run the backbone on the visible patches of images.

    Args:
        backbone: Its modules are used as they are; its output norms are not.
        images: (B, C, H, W).
        mask: bool (B, h, w), True = visible; as many in each image.
        out_indices: Stages whose outputs are returned, in this order.

    Returns:
        Features (B, C, H/s, W/s) of each of these stages, 0 where hidden; s is 4, 8, 16, 32.

    Raises:
        ValueError: The images of the batch do not have the same number of visible patches.
    """
    check_counts(mask)
    x, maps = images, {}
    for i, (downsample, stage) in enumerate(backbone.levels()):
        x = downsample(x)
        visible = resize_mask(mask, x.shape[2:])
        # Found on the host, where a mask is drawn: a GPU would be waited for.
        pixels = tuple(p.to(x.device) for p in visible[:, 0].nonzero(as_tuple=True))
        visible = visible.to(x.device)
        x = _hide(x, visible)
        for block in stage:
            x = backbone.run(_run_block, x, block, visible, pixels)
        maps[i] = x
    return tuple(maps[i] for i in out_indices)


def check_counts(mask: Tensor) -> None:
    """Refuse a mask (B, h, w) whose images do not have the same number of visible patches."""
    counts = mask.flatten(1).sum(1).unique()
    if len(counts) > 1:
        raise ValueError(f"visible patches differ within the batch: {counts.tolist()}")


def resize_mask(mask: Tensor, size: Sequence[int]) -> Tensor:
    """A mask of patches (B, h, w) as a mask of pixels (B, 1, H, W) of a map of that size."""
    factors = size[0] // mask.shape[1], size[1] // mask.shape[2]
    return mask.repeat_interleave(factors[0], 1).repeat_interleave(factors[1], 2)[:, None]


def _hide(x: Tensor, visible: Tensor) -> Tensor:
    # Not a product: what is hidden may be anything, even infinite, and must not matter.
    return x.masked_fill(~visible, 0)


def _run_block(x: Tensor, block: Block, visible: Tensor, pixels: Pixels) -> Tensor:
    return x + block.drop_path(_residual(block, x, visible, pixels))


def _residual(block: Block, x: Tensor, visible: Tensor, pixels: Pixels) -> Tensor:
    x = _hide(block.dwconv(x), visible).permute(0, 2, 3, 1)  # (B, H, W, C)
    x = F.gelu(block.pwconv1(block.norm(x)))
    size = x.shape[:3]

    # What looks at more than one pixel, as GRN does, sees each image's visible pixels alone.
    def convolve(conv: nn.Conv2d, rows: Tensor) -> Tensor:
        return _to_rows(conv(_to_map(rows, pixels, size)).permute(0, 2, 3, 1), pixels)

    rows = block.grn.respond(_to_rows(x, pixels), convolve)
    return _to_map(block.layer_scale(block.pwconv2(rows)), pixels, size)


def _to_rows(x: Tensor, pixels: Pixels) -> Tensor:
    """The visible pixels (B, N, C) of features (B, H, W, C), row by row."""
    return x[pixels].unflatten(0, (len(x), -1))


def _to_map(rows: Tensor, pixels: Pixels, size: Sequence[int]) -> Tensor:
    """The inverse: a map (B, C, H, W) of size (B, H, W), 0 where hidden."""
    x = rows.new_zeros(*size, rows.shape[2])
    return x.index_put(pixels, rows.flatten(0, 1)).permute(0, 3, 1, 2)
