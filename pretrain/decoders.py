"""The decoder of FCMAE: one ConvNeXt V2 block by default (paper, section 3.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnextv2.backbone import Block, init_weights


class FCMAEDecoder(nn.Module):
    """From features of visible pixels to the pixels of every cell of the image.

    Args:
        encoder_dim: Channels of the encoder's last stage.
        dim: Width of the decoder.
        depth: Number of blocks.
        cell_pixels: Numbers to predict for each cell, stride * stride * channels of the image.
    """

    no_weight_decay = frozenset({"mask_token"})

    def __init__(self, encoder_dim: int, dim: int, depth: int, cell_pixels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(encoder_dim, dim, kernel_size=1)
        self.mask_token = nn.Parameter(torch.zeros(dim))
        self.blocks = nn.Sequential(*(Block(dim) for _ in range(depth)))
        self.pred = nn.Conv2d(dim, cell_pixels, kernel_size=1)
        self.apply(init_weights)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """Predict the pixels of all cells.

        Args:
            features: (B, encoder_dim, h, w).
            visible: bool (B, 1, h, w); the mask token stands in for the others.

        Returns:
            (B, h*w, cell_pixels), in the order of `patchify`.
        """
        x = _pointwise(self.proj, features.permute(0, 2, 3, 1))  # (B, h, w, dim)
        x = torch.where(visible.permute(0, 2, 3, 1), x, self.mask_token.to(x.dtype))
        x = self.blocks(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return _pointwise(self.pred, x).flatten(1, 2)


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    # A linear layer is several times faster than a 1x1 convolution on a CPU.
    return F.linear(x, conv.weight.flatten(1), conv.bias)
