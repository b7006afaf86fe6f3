"""The layers of ConvNeXt V2: LayerNorm on maps, stochastic depth and the block.

Shapes: maps are (B, C, H, W) in `torch.channels_last` memory; inside a block, and wherever only
some pixels exist, features are *rows* (B, N, C) with N pixels of each image.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Size, Tensor, nn

from convnextv2.engine.types import find_class
from convnextv2.registry import MODELS

from .depthwise import DepthwiseConv2d
from .grid import Grid
from .grn import GRN, Convolve, ResponseNorm

# What makes a module: its class, its name in the registry, or a config of its name and options.
Maker = Callable[..., nn.Module] | str | Mapping


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the last axis, in mixed precision in the dtype of its parameters.

    So does autocast on GPUs. On CPUs it would stay in bfloat16, in which torch 2.13 sums the
    gradients of weight and bias, over thousands of pixels: most of them are lost.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


class LayerNorm2d(LayerNorm):
    """LayerNorm over the channels of each pixel of a map (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.rows(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def rows(self, x: Tensor) -> Tensor:
        """The same on features whose last axis is the channels."""
        return super().forward(x)


class DropPath(nn.Module):
    """Stochastic depth: zero the residual branch of a whole image with probability `drop_prob`."""

    def __init__(self, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.drop_prob == 0:
            return x
        keep = 1 - self.drop_prob
        return x * x.new_empty((len(x),) + (1,) * (x.dim() - 1)).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:.3f}"


@MODELS.register_module()
class Block(nn.Module):
    """ConvNeXt V2 block (paper, Figure 5): depthwise 7x7, then `mlp`, plus the input.

    Args:
        dim: Channels.
        drop_path: Probability of `DropPath`.
        response_norm: Makes the `ResponseNorm` of so many channels between the linear layers, see
            `variants.py` for others.
        layer_scale: Makes what scales the residual branch of so many channels: in V2 nothing.
    """

    convolution: ClassVar[type[DepthwiseConv2d]] = DepthwiseConv2d

    def __init__(
        self,
        dim: int,
        drop_path: float = 0.0,
        response_norm: Maker = GRN,
        layer_scale: Maker = nn.Identity,
    ) -> None:
        super().__init__()
        self.dwconv = self.convolution(dim, kernel_size=7)
        self.norm = LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.grn: ResponseNorm = resolve(response_norm)(4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.layer_scale = resolve(layer_scale)(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to a map of the same shape."""
        size = x.shape[2:]

        def convolve(conv: nn.Conv2d, rows: Tensor) -> Tensor:
            return to_rows(conv(to_map(rows, size)))

        rows = self.drop_path(self.mlp(to_rows(self.dwconv(x)), convolve))
        return x + to_map(rows, size)

    def on_rows(self, x: Tensor, grid: Grid) -> Tensor:
        """The same on rows (B, N, C) that lie as `grid` says."""
        return x + self.drop_path(self.mlp(grid.convolve(self.dwconv, x), grid.convolve))

    def mlp(self, x: Tensor, convolve: Convolve) -> Tensor:
        """LayerNorm, Linear C->4C, GELU, GRN, Linear 4C->C on rows (B, N, C).

        Args:
            x: Of the pixels that exist.
            convolve: Runs a convolution among them.
        """
        x = F.gelu(self.pwconv1(self.norm(x)))
        return self.layer_scale(self.grn.then_linear(x, self.pwconv2, convolve))


def resolve(maker: Maker) -> Callable[..., Any]:
    """What makes a module, of a class, a name such as ``convnextv2.GRN``, or a config.

    Raises:
        ValueError: Nothing of that name is known.
    """
    if callable(maker):
        return maker
    found = find_class(maker, MODELS)
    if found is None:
        raise ValueError(
            f"{maker!r} names no known class: give a class, a name such as 'convnextv2.GRN', or a "
            "config with the name as its type"
        )
    options = {k: v for k, v in maker.items() if k != "type"} if isinstance(maker, Mapping) else {}
    return partial(found, **options)


def to_rows(x: Tensor) -> Tensor:
    """A map (B, C, H, W) as rows (B, H*W, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_map(rows: Tensor, size: Size) -> Tensor:
    """The inverse; channels are last in memory."""
    return rows.unflatten(1, size).permute(0, 3, 1, 2)


def init_weights(module: nn.Module) -> None:
    """Truncated normal of std .02 for convolutions and linear layers, biases 0 (paper, A.1)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
