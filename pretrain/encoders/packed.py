"""The default encoder: only visible pixels are computed.

Features are *packed rows* (B, K*p*p, C): the p x p pixels of each of the K visible patches of
an image, patch after patch. K is the same for all images of a batch. LayerNorm, linear layers,
GELU and GRN work on rows as they are. The stem and the downsampling convolutions never leave a
patch, so that they are linear layers on regrouped rows. Only the depthwise 7x7 looks across
patches: for it the rows are laid out into maps that are zero where hidden.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnextv2.backbone import Block, ConvNeXtV2, LayerNorm2d

from .dense import check_counts


def encode_packed(
    backbone: ConvNeXtV2, images: Tensor, mask: Tensor, out_indices: Sequence[int] = (3,)
) -> tuple[Tensor, ...]:
    """Run the backbone on the visible patches of images; the same contract as `encode_dense`."""
    check_counts(mask)
    maps = {}
    patch_size = images.shape[2] // mask.shape[1]
    for i, (downsample, stage) in enumerate(backbone.levels()):
        p = patch_size >> (i + 2)  # pixels of this stage along a patch
        size = (len(mask), mask.shape[1] * p, mask.shape[2] * p)
        pixels = visible_pixels(mask, p).to(images.device, non_blocking=True)
        if i == 0:
            rows = _stem(downsample, images, pixels)
        else:
            rows = _downsample(downsample, rows, 2 * p)
        for block in stage:
            rows = backbone.run(_run_block, rows, block, pixels, size)
        if i in out_indices:
            maps[i] = _to_map(rows, pixels, size)
    return tuple(maps[i] for i in out_indices)


def visible_pixels(mask: Tensor, p: int) -> Tensor:
    """Positions (B*K*p*p,) of packed rows among the pixels (B, h*p, w*p), flattened.

    In the order of packed rows: image, visible patch, row and column within the patch.
    """
    height, width = mask.shape[1] * p, mask.shape[2] * p
    image, row, column = mask.nonzero(as_tuple=True)
    first = (image * height + row * p) * width + column * p
    steps = torch.arange(p, device=mask.device)
    return (first[:, None, None] + steps[:, None] * width + steps).flatten()


class _Scatter(torch.autograd.Function):
    """Rows to the positions they have among `total` pixels, the others 0.

    Its gradient is a gather and that of `_Gather` a scatter. Autograd's own are sums over
    repeated positions, many times slower; positions here never repeat.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, pixels: Tensor, total: int) -> Tensor:
        ctx.save_for_backward(pixels)
        return rows.new_zeros(total, rows.shape[1]).index_copy_(0, pixels, rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (pixels,) = ctx.saved_tensors
        return grad.index_select(0, pixels), None, None


class _Gather(torch.autograd.Function):
    """The rows at the given positions; see `_Scatter`."""

    @staticmethod
    def forward(ctx: Any, grid: Tensor, pixels: Tensor) -> Tensor:
        ctx.save_for_backward(pixels)
        ctx.total = len(grid)
        return grid.index_select(0, pixels)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (pixels,) = ctx.saved_tensors
        return grad.new_zeros(ctx.total, grad.shape[1]).index_copy_(0, pixels, grad), None


def _to_map(rows: Tensor, pixels: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Packed rows to a map (B, C, H, W), channels last in memory."""
    b, height, width = size
    grid = _Scatter.apply(rows.flatten(0, 1), pixels, b * height * width)
    return grid.view(b, height, width, -1).permute(0, 3, 1, 2)


def _to_rows(x: Tensor, pixels: Tensor) -> Tensor:
    """A map (B, C, H, W) to packed rows."""
    grid = x.permute(0, 2, 3, 1).flatten(0, 2)  # (B*H*W, C)
    return _Gather.apply(grid, pixels).unflatten(0, (len(x), -1))


def _stem(stem: nn.Sequential, images: Tensor, pixels: Tensor) -> Tensor:
    conv, norm = cast("tuple[nn.Conv2d, LayerNorm2d]", tuple(stem))
    cells = _unfold(images, conv.kernel_size[0])  # (B*H/4*W/4, C*4*4)
    rows = cells.index_select(0, pixels).unflatten(0, (len(images), -1))
    return norm.rows(F.linear(rows, conv.weight.flatten(1), conv.bias))


def _unfold(images: Tensor, k: int) -> Tensor:
    """Images (B, C, H, W) to their k x k cells, in the order of a convolution's weight."""
    b, c, height, width = images.shape
    cells = images.reshape(b, c, height // k, k, width // k, k)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(-1, c * k * k)


def _downsample(downsample: nn.Sequential, rows: Tensor, p: int) -> Tensor:
    """Norm and 2x2 convolution of packed rows with p x p pixels a patch."""
    norm, conv = cast("tuple[LayerNorm2d, nn.Conv2d]", tuple(downsample))
    b, _, c = rows.shape
    half = p // 2
    cells = norm.rows(rows).view(b, -1, half, 2, half, 2, c)
    cells = cells.permute(0, 1, 2, 4, 3, 5, 6).reshape(b, -1, 4 * c)  # (B, K*p/2*p/2, 2*2*C)
    return F.linear(cells, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)


def _run_block(rows: Tensor, block: Block, pixels: Tensor, size: tuple[int, int, int]) -> Tensor:
    def convolve(conv: nn.Conv2d, rows: Tensor) -> Tensor:
        return _to_rows(conv(_to_map(rows, pixels, size)), pixels)

    return rows + block.drop_path(block.mlp(convolve(block.dwconv, rows), convolve))
