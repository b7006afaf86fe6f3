"""The default encoder: only visible pixels are computed.

Features are *packed rows* (B, K*p*p, C): the p x p pixels of each of the K visible patches of
an image, patch after patch. K is the same for all images of a batch. LayerNorm, linear layers,
GELU and GRN work on rows as they are. The stem and the downsampling convolutions never leave a
patch, so that they are linear layers on regrouped rows. Only the depthwise 7x7 looks across
patches: for it the rows are laid out into maps that are zero where hidden, or fused blocks find
them by a table.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnextv2.backbone import Block, ConvNeXtV2, LayerNorm2d, Neighbours

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
        grid = PackedGrid(mask, p, images.device)
        if i == 0:
            rows = _stem(downsample, images, grid.pixels)
        else:
            rows = _downsample(downsample, rows, 2 * p)
        for block in stage:
            rows = backbone.run(cast("Block", block).on_rows, rows, grid)
        if i in out_indices:
            maps[i] = grid.to_map(rows)
    return tuple(maps[i] for i in out_indices)


class PackedGrid:
    """Where packed rows lie, see `convnextv2.backbone.Grid`; found on the host, where masks are.

    Args:
        mask: bool (B, h, w), True = visible.
        p: Pixels along a patch.
        device: Of the rows.

    Attributes:
        pixels: (B*K*p*p,), see `visible_pixels`.
    """

    def __init__(self, mask: Tensor, p: int, device: torch.device) -> None:
        self.size = (len(mask), mask.shape[1] * p, mask.shape[2] * p)
        self.host_pixels = visible_pixels(mask, p)
        self.pixels = self.host_pixels.to(device, non_blocking=True)

    @cached_property
    def neighbours(self) -> Neighbours:
        """See `Grid`."""
        b, height, width = self.size
        line, column = self.host_pixels // width, self.host_pixels % width
        line += line // height * 6 + 3  # with the margins of the images above
        places = (line * (width + 6) + column + 3).int()
        rows = torch.full((b, height + 6, width + 6), -1, dtype=torch.int32)
        rows.view(-1)[places] = torch.arange(len(places), dtype=torch.int32)
        tables = (t.to(self.pixels.device, non_blocking=True) for t in (rows, places))
        return Neighbours(height, width, *tables)

    def convolve(self, conv: nn.Conv2d, rows: Tensor) -> Tensor:
        """See `Grid`."""
        return _to_rows(conv(self.to_map(rows)), self.pixels)

    def to_map(self, rows: Tensor) -> Tensor:
        """Packed rows to a map (B, C, H, W), 0 where hidden, channels last in memory."""
        b, height, width = self.size
        grid = _Scatter.apply(rows.flatten(0, 1), self.pixels, b * height * width)
        return grid.view(b, height, width, -1).permute(0, 3, 1, 2)


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
    cells = _as_computed(norm.rows(rows)).view(b, -1, half, 2, half, 2, c)
    cells = cells.permute(0, 1, 2, 4, 3, 5, 6).reshape(b, -1, 4 * c)  # (B, K*p/2*p/2, 2*2*C)
    return F.linear(cells, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)


def _as_computed(x: Tensor) -> Tensor:
    """In the type that a linear layer will ask for: fewer bytes are regrouped."""
    device = x.device.type
    mixed = torch.is_autocast_enabled(device)
    return x.to(torch.get_autocast_dtype(device)) if mixed else x
