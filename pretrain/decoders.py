"""The decoder of FCMAE: one ConvNeXt V2 block by default (paper, section 3.1), and others.

Every decoder takes `encoder_dims` (channels of the encoder's four stages), `dim` (its width),
`depth` (its blocks) and `cell_pixels` (numbers to predict for each cell of the last stage, stride *
stride * channels of the image), and names in `in_stages` the stages whose features it wants.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnextv2.backbone import GRN, Block, init_weights
from convnextv2.backbone.layers import Maker, resolve
from convnextv2.registry import MODELS

from .encoders.dense import resize_mask
from .masks import patchify, unpatchify

CELL = 32  # stride of the encoder's last stage


class FillHidden(nn.Module):
    """Features of visible pixels in a decoder's width, the mask token where hidden.

    Args:
        encoder_dim: Channels of the features.
        dim: Width of the decoder.
    """

    no_weight_decay = frozenset({"mask_token"})

    def __init__(self, encoder_dim: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(encoder_dim, dim, kernel_size=1)
        self.mask_token = nn.Parameter(torch.zeros(dim))

    def fill(self, features: Tensor, visible: Tensor) -> Tensor:
        """Features (B, encoder_dim, h, w) and bool (B, 1, h, w) to (B, h, w, dim)."""
        x = _pointwise(self.proj, features.permute(0, 2, 3, 1))
        return torch.where(visible.permute(0, 2, 3, 1), x, self.mask_token.to(x.dtype))


@MODELS.register_module()
class FCMAEDecoder(FillHidden):
    """ConvNeXt blocks on the cells of the last stage.

    Args:
        encoder_dims: See above, as the next three.
        dim: Width.
        depth: Number of blocks.
        cell_pixels: Numbers to predict for each cell.
        response_norm: Of the blocks, see `Block`.
        layer_scale: Likewise.
        block: Makes the blocks, as the backbone's option of this name does.
    """

    in_stages = (3,)

    def __init__(
        self,
        encoder_dims: Sequence[int],
        dim: int,
        depth: int,
        cell_pixels: int,
        response_norm: Maker = GRN,
        layer_scale: Maker = nn.Identity,
        block: Maker = Block,
    ) -> None:
        super().__init__(encoder_dims[-1], dim)
        make_block = resolve(block)
        blocks = (make_block(dim, 0.0, response_norm, layer_scale) for _ in range(depth))
        self.blocks = nn.Sequential(*blocks)
        self.pred = nn.Conv2d(dim, cell_pixels, kernel_size=1)
        _init(self)

    def forward(self, features: Sequence[Tensor], visible: Tensor) -> Tensor:
        """Predict the pixels of all cells.

        Args:
            features: Of each of `in_stages`, (B, encoder_dim, h * s, w * s).
            visible: bool (B, 1, h, w); the mask token stands in for the others.

        Returns:
            (B, h*w, cell_pixels), in the order of `patchify`.
        """
        x = self.fill(features[0], visible)  # (B, h, w, dim)
        x = self.blocks(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return _pointwise(self.pred, x).flatten(1, 2)


@MODELS.register_module()
class TransformerDecoder(FillHidden):
    """Transformer blocks on the cells of the last stage, as the decoder of MAE (arXiv 2111.06377).

    Heads of 32 channels, positions by sines and cosines. Arguments and calls are those of
    `FCMAEDecoder`.

    Raises:
        ValueError: `dim` is no multiple of 32.
    """

    in_stages = (3,)

    def __init__(self, encoder_dims: Sequence[int], dim: int, depth: int, cell_pixels: int) -> None:
        if dim % 32:
            raise ValueError(f"decoder_dim of a transformer must be a multiple of 32, got {dim}")
        super().__init__(encoder_dims[-1], dim)
        options: Any = {"activation": "gelu", "batch_first": True, "norm_first": True}
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(dim, dim // 32, 4 * dim, 0.0, **options)
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pred = nn.Linear(dim, cell_pixels)
        _init(self)

    def forward(self, features: Sequence[Tensor], visible: Tensor) -> Tensor:
        """Predict the pixels of all cells."""
        x = self.fill(features[0], visible)  # (B, h, w, dim)
        x = x + sine_positions(*x.shape[1:]).to(x)
        return self.pred(self.norm(self.blocks(x.flatten(1, 2))))


def sine_positions(height: int, width: int, dim: int) -> Tensor:
    """Sines and cosines (height, width, dim) of the row in one half of the channels, of the column
    in the other, at `dim` / 4 wavelengths from 2 pi to 20000 pi.
    """
    rates = 10000 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    parts = []
    for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"):
        angles = axis[..., None] * rates
        parts += [angles.sin(), angles.cos()]
    return torch.cat(parts, dim=-1)


@MODELS.register_module()
class UNetDecoder(nn.Module):
    """ConvNeXt blocks at every stride from 32 up to 4, half as wide from one to the next.

    From a stride to the next the map is enlarged by a 2x2 transposed convolution; features of the
    encoder at that stride, if they are in `in_stages`, are added, with a mask token where hidden.

    Args:
        encoder_dims: See above, as the next three.
        dim: Width at stride 32, a multiple of 8.
        depth: Number of blocks at each stride.
        cell_pixels: Numbers to predict for each cell.
        in_stages: Of the encoder; ``(3,)`` is without skip connections.
        response_norm: Of the blocks, see `Block`.
        layer_scale: Likewise.
        block: Makes the blocks, as the backbone's option of this name does.

    Raises:
        ValueError: `dim` is no multiple of 8, or `in_stages` lacks the last stage.
    """

    def __init__(
        self,
        encoder_dims: Sequence[int],
        dim: int,
        depth: int,
        cell_pixels: int,
        in_stages: Sequence[int] = (0, 1, 2, 3),
        response_norm: Maker = GRN,
        layer_scale: Maker = nn.Identity,
        block: Maker = Block,
    ) -> None:
        if dim % 8:
            raise ValueError(f"decoder_dim of a UNet must be a multiple of 8, got {dim}")
        if 3 not in in_stages or not set(in_stages) <= {0, 1, 2, 3}:
            raise ValueError(f"in_stages must be 3 and others of 0, 1, 2, got {in_stages}")
        super().__init__()
        self.in_stages = tuple(in_stages)
        dims = [dim // 8, dim // 4, dim // 2, dim]
        self.filled = nn.ModuleDict(
            {str(i): FillHidden(encoder_dims[i], dims[i]) for i in self.in_stages}
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(dims[i + 1], dims[i], kernel_size=2, stride=2) for i in range(3)
        )
        make_block = resolve(block)
        self.levels = nn.ModuleList(
            nn.Sequential(*(make_block(d, 0.0, response_norm, layer_scale) for _ in range(depth)))
            for d in dims
        )
        self.pred = nn.Conv2d(dims[0], cell_pixels // (CELL // 4) ** 2, kernel_size=1)
        _init(self)

    def forward(self, features: Sequence[Tensor], visible: Tensor) -> Tensor:
        """Predict the pixels of all cells; see `FCMAEDecoder.forward`."""
        given = dict(zip(self.in_stages, features, strict=True))
        filled = {i: self._fill(i, given[i], visible) for i in given}
        x = self.levels[3](filled[3])
        for i in (2, 1, 0):
            x = self.enlarge[i](x)
            x = self.levels[i](x + filled[i] if i in filled else x)
        x = _pointwise(self.pred, x.permute(0, 2, 3, 1))  # (B, 8h, 8w, 4*4*C)
        size = [4 * s for s in x.shape[1:3]]
        return patchify(unpatchify(x.flatten(1, 2), 4, *size), CELL)

    def _fill(self, stage: int, features: Tensor, visible: Tensor) -> Tensor:
        part = cast("FillHidden", self.filled[str(stage)])
        visible = resize_mask(visible[:, 0], features.shape[2:])
        return part.fill(features, visible).permute(0, 3, 1, 2)


def _init(decoder: nn.Module) -> None:
    decoder.apply(init_weights)
    for module in decoder.modules():
        if isinstance(module, FillHidden):
            nn.init.trunc_normal_(module.mask_token, std=0.02)


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    # A linear layer is several times faster than a 1x1 convolution on a CPU.
    return F.linear(x, conv.weight.flatten(1), conv.bias)
