"""The layers of ConvNeXt V2: GRN, LayerNorm on maps, stochastic depth and the block.

Shapes: maps are (B, C, H, W) in `torch.channels_last` memory; inside a block, and wherever only
some pixels exist, features are *rows* (B, N, C) with N pixels of each image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GRN(nn.Module):
    """Global Response Normalization (paper, section 3.2, Algorithm 1).

    ``y = gamma * (x * Nx) + beta + x`` with ``Nx = Gx / (mean_c Gx + eps)`` and ``Gx`` the L2
    norm of each channel over the pixels of one image. `gamma` and `beta` start at 0, so that a
    new layer is the identity. Both are 1-D, shape (C,).
    """

    no_weight_decay = frozenset({"gamma", "beta"})

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.zeros(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def scale(self, x: Tensor) -> Tensor:
        """``1 + gamma * Nx`` of rows (B, N, C), shape (B, 1, C), in float32 or better.

        The squares are summed in float32 even for half-precision rows: at 64 x 64 pixels a
        float16 sum would overflow from values of 4 on.
        """
        dtype = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
        gx = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=dtype)
        nx = gx / (gx.mean(dim=-1, keepdim=True) + self.eps)
        return 1 + self.gamma * nx

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows (B, N, C); the N pixels are those that count for the norm."""
        return (x * self.scale(x) + self.beta).to(x.dtype)


class LayerNorm2d(nn.LayerNorm):
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


class Block(nn.Module):
    """ConvNeXt V2 block (paper, Figure 5): depthwise 7x7, then `mlp`, plus the input."""

    def __init__(self, dim: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.grn = GRN(4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to a map of the same shape."""
        rows = self.dwconv(x).permute(0, 2, 3, 1).flatten(1, 2)  # (B, H*W, C)
        rows = self.drop_path(self.mlp(rows))
        return x + rows.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)

    def mlp(self, x: Tensor) -> Tensor:
        """LayerNorm, Linear C->4C, GELU, GRN, Linear 4C->C on rows (B, N, C).

        GRN is folded into the second Linear, so that its 4C-wide output is never stored:
        ``W(x * scale + beta) + b = (W * scale) x + (W beta + b)``, W scaled for each image.
        Where an image has fewer pixels than W has rows, scaling x is the smaller work.
        """
        x = F.gelu(self.pwconv1(self.norm(x)))
        weight, bias = self.pwconv2.weight, self.pwconv2.bias
        bias = F.linear(self.grn.beta, weight, bias)
        scale = self.grn.scale(x)  # (B, 1, 4C)
        if x.shape[1] < weight.shape[0]:
            return F.linear(x * scale.to(x.dtype), weight, bias)
        return torch.baddbmm(bias, x, (weight * scale).transpose(1, 2))


def init_weights(module: nn.Module) -> None:
    """Truncated normal of std .02 for convolutions and linear layers, biases 0 (paper, A.1)."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
