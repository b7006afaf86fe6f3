"""The depthwise convolution, with a backward pass that is fast on CPUs.

Of the backward pass that torch gives it there, the gradient of the bias takes as long as the
convolution, that of the kernel ten times as long, and in bfloat16 more. A GPU keeps torch's.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Pixels of a map up to which sums of shifted products are faster than torch's own gradient of the
# kernel, by the bytes of a number. Measured on an AMD EPYC with AVX-512.
_SMALL_MAPS = {2: 8192, 4: 256}


def weight_gradient(x: Tensor, grad: Tensor, size: int) -> Tensor:
    """Gradient (C, 1, k, k) of a depthwise kernel.

    Args:
        x: What was convolved, (B, C, H, W).
        grad: The gradient of what came out, likewise, channels last in memory.
        size: k.
    """
    small = x.shape[2] * x.shape[3] <= _SMALL_MAPS.get(x.element_size(), 0)
    return (shifted_products if small else torch_weight_gradient)(x, grad, size)


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution of maps (B, C, H, W) that keeps their size.

    `weight_gradient` is what its backward pass calls on a CPU.

    Args:
        dim: Channels.
        kernel_size: Side of the kernel, odd.
    """

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.weight_gradient: Callable[[Tensor, Tensor, int], Tensor] = weight_gradient

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and torch.is_grad_enabled():
            return _CPUDepthwiseConv.apply(x, self.weight, self.bias, self.weight_gradient)
        return super().forward(x)


class _CPUDepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, weight_gradient: Callable
    ) -> Tensor:
        y = F.conv2d(x, weight, bias, padding=weight.shape[2] // 2, groups=len(weight))
        ctx.dtypes = x.dtype, weight.dtype
        ctx.weight_gradient = weight_gradient
        ctx.save_for_backward(x.to(y.dtype), weight.to(y.dtype))  # as autocast cast them
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        x_dtype, weight_dtype = ctx.dtypes
        size = weight.shape[2]
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            turned = weight.flip(2, 3)
            grad_x = F.conv2d(grad, turned, padding=size // 2, groups=len(weight)).to(x_dtype)
        if ctx.needs_input_grad[1]:
            grad_weight = ctx.weight_gradient(x, grad, size).to(weight_dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2, 3), dtype=weight_dtype)
        return grad_x, grad_weight, grad_bias, None


def shifted_products(x: Tensor, grad: Tensor, size: int) -> Tensor:
    """See `weight_gradient`: at (i, j) the sum of gradients times inputs i and j pixels away."""
    height, width = grad.shape[2:]
    half, dtype = size // 2, torch.promote_types(x.dtype, torch.float32)
    x = F.pad(x.permute(0, 2, 3, 1).contiguous(), (0, 0, half, half, half, half))
    grad = grad.permute(0, 2, 3, 1)  # (B, H, W, C), x by k - 1 higher and wider
    sums = [
        (x[:, i : i + height, j : j + width] * grad).sum((0, 1, 2), dtype=dtype)
        for i in range(size)
        for j in range(size)
    ]
    return torch.stack(sums, 1).view(-1, 1, size, size)


def torch_weight_gradient(x: Tensor, grad: Tensor, size: int) -> Tensor:
    """See `weight_gradient`: torch's own."""
    channels = x.shape[1]
    weight, half = x.new_empty(channels, 1, size, size), [size // 2] * 2
    _, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [1, 1], half, [1, 1], False, [0, 0], channels, [False, True, False]
    )
    return grad_weight
