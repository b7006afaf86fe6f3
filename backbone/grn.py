"""Global Response Normalization, and with the linear layer behind it as one operation.

With ``s = 1 + gamma * Nx`` of an image, ``W (gamma * (x * Nx) + beta + x) + b`` is
``(W * s) x + (W beta + b)``: GRN costs a scaled copy of the weights instead of a 4C-wide map that
is written, read and kept for the backward pass. The backward pass is by hand because the sum over
pixels that the gradient of `s` asks for is a by-product of the gradient of W or of x.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convnextv2.registry import MODELS

# Runs a convolution of stride 1, which keeps the size, among the pixels of rows (B, N, C).
Convolve = Callable[[nn.Conv2d, Tensor], Tensor]


class ResponseNorm(nn.Module):
    """What stands between a block's linear layers; rows (B, N, C) to rows of the same shape.

    The N pixels of an image are those that exist, in pre-training the visible ones, in any order.
    A subclass has `forward(x)` or, if it looks at a pixel's neighbours, `respond`.
    """

    def respond(self, x: Tensor, convolve: Convolve) -> Tensor:
        """The normalised rows; `convolve` is for those that look at neighbours."""
        return self(x)

    def then_linear(self, x: Tensor, linear: nn.Linear, convolve: Convolve) -> Tensor:
        """The linear layer of the normalised rows."""
        return linear(self.respond(x, convolve))


@MODELS.register_module()
class GRN(ResponseNorm):
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

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows (B, N, C); the N pixels are those that count for the norm."""
        return self.normalize(x, channel_norms(x))

    def normalize(self, x: Tensor, gx: Tensor) -> Tensor:
        """The formula, for features (..., C) and the norms of their channels, broadcast."""
        nx = gx / (gx.mean(dim=-1, keepdim=True) + self.eps)
        return (self.gamma * (x * nx) + self.beta + x).to(x.dtype)

    def then_linear(self, x: Tensor, linear: nn.Linear, convolve: Convolve) -> Tensor:
        """The linear layer of the normalised rows, folded into one operation."""
        return grn_linear(x, self.gamma, self.beta, linear.weight, linear.bias, self.eps)


def grn_linear(
    x: Tensor, gamma: Tensor, beta: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> Tensor:
    """Linear layer of the GRN of rows.

    Args:
        x: Rows (B, N, K), N pixels of each image.
        gamma: (K,), of GRN.
        beta: (K,), of GRN.
        weight: (C, K), of the linear layer.
        bias: (C,), of the linear layer.
        eps: Of GRN.

    Returns:
        Rows (B, N, C), in the dtype of `x`.
    """
    return _GRNLinear.apply(x, gamma, beta, weight, bias, eps)


def channel_norms(x: Tensor) -> Tensor:
    """L2 norm of each channel over the pixels of rows (B, N, K), shape (B, 1, K).

    The squares are summed in float32 even for half-precision rows: at 64 x 64 pixels a float16
    sum would overflow from values of 4 on.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        return torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32)
    if x.device.type == "cpu":
        # vector_norm along an outer axis is 3 to 10 times slower than this on a CPU.
        return x.square().sum(1, keepdim=True).sqrt()
    return torch.linalg.vector_norm(x, dim=1, keepdim=True)


class _GRNLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> Tensor:
        gx = channel_norms(x)
        mean = gx.mean(dim=-1, keepdim=True) + eps
        scale = 1 + gamma * (gx / mean)
        ctx.save_for_backward(x, gamma, beta, weight, gx, mean, scale)
        bias = F.linear(beta, weight, bias).to(x.dtype)
        if _few_pixels(x, weight):
            return F.linear(x * scale.to(x.dtype), weight.to(x.dtype), bias)
        return torch.baddbmm(bias, x, (weight * scale).to(x.dtype).transpose(1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, beta, weight, gx, mean, scale = ctx.saved_tensors
        grad = grad.to(x.dtype)
        grad_bias = grad.sum((0, 1), dtype=weight.dtype)
        grad_beta = grad_bias @ weight
        if _few_pixels(x, weight):
            grad_x = grad @ weight.to(x.dtype)  # (B, N, K), of the scaled rows
            scaled = x * scale.to(x.dtype)
            grad_weight = (grad.flatten(0, 1).t() @ scaled.flatten(0, 1)).to(weight.dtype)
            grad_scale = torch.sum(grad_x * x, dim=1, keepdim=True, dtype=weight.dtype)
            grad_x.mul_(scale.to(x.dtype))
        else:
            by_image = torch.bmm(grad.transpose(1, 2), x).to(weight.dtype)  # (B, C, K)
            grad_weight = (by_image * scale).sum(0)
            grad_scale = (by_image * weight).sum(1, keepdim=True)  # (B, 1, K)
            grad_x = torch.bmm(grad, (weight * scale).to(x.dtype))
        grad_weight.addr_(grad_bias, beta)

        nx = gx / mean
        grad_gamma = (grad_scale * nx).sum((0, 1))
        grad_nx = grad_scale * gamma
        grad_gx = (grad_nx - (grad_nx * nx).mean(dim=-1, keepdim=True)) / mean
        # d|x| / dx = x / |x|; 0 where a channel is 0 everywhere.
        along_x = (grad_gx / gx).masked_fill_(gx == 0, 0).to(x.dtype)
        return grad_x.addcmul_(x, along_x), grad_gamma, grad_beta, grad_weight, grad_bias, None


def _few_pixels(x: Tensor, weight: Tensor) -> bool:
    """Whether scaling the rows is less work than scaling a copy of the weights."""
    # An exported graph is one for all sizes; scaled rows never cost much more.
    return isinstance(x.shape[1], torch.SymInt) or x.shape[1] < weight.shape[0]
