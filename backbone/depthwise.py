"""The depthwise convolution, with a backward pass that is fast on CPUs.

Of the backward pass that torch gives it there, the gradient of the bias takes longer than the
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


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution of maps (B, C, H, W) that keeps their size.

    Args:
        dim: Channels.
        kernel_size: Side of the kernel, odd.
    """

    bias: nn.Parameter

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(x)
        mixed = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if mixed else x.dtype
        tensors = (t.to(dtype) for t in (x, self.weight, self.bias))
        return _CPUDepthwiseConv.apply(*tensors, self.cpu_backward)

    @staticmethod
    def cpu_backward(
        grad: Tensor, x: Tensor, weight: Tensor, needed: list[bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `make_backward`."""
        return backward(grad, x, weight, needed)


class _CPUDepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, cpu_backward: Callable
    ) -> Tensor:
        ctx.cpu_backward = cpu_backward
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[:3]
        grads = ctx.cpu_backward(grad, *ctx.saved_tensors, list(needed))
        return *(g if wanted else None for wanted, g in zip(needed, grads, strict=True)), None


def make_backward(name: str, weight_gradient: Callable[[Tensor, Tensor, int], Tensor]) -> Any:
    """An operation of torch: the backward pass of a depthwise convolution, on a CPU.

    It takes the gradient of what came out and what was convolved, (B, C, H, W) each, the kernel
    (C, 1, k, k) and which gradients are wanted; it returns those of the input, the kernel and the
    bias, empty where they are not. To torch it is one operation, as its own backward pass is.

    Args:
        name: Of the operation, below ``convnextv2::``.
        weight_gradient: (input, output's gradient, k) to the gradient of the kernel.
    """

    def run(
        grad: Tensor, x: Tensor, weight: Tensor, needed: list[bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        size = weight.shape[2]
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x, grad_weight, grad_bias = (grad.new_empty(0) for _ in needed)
        if needed[0]:
            turned = weight.flip(2, 3)
            grad_x = F.conv2d(grad, turned, padding=size // 2, groups=len(weight))
        if needed[1]:
            grad_weight = weight_gradient(x, grad, size).to(grad.dtype)
        if needed[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias

    def describe(
        grad: Tensor, x: Tensor, weight: Tensor, needed: list[bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        grad_x = torch.empty_like(x if needed[0] else x[:0], memory_format=torch.channels_last)
        grad_weight = weight.new_empty(weight.shape if needed[1] else 0)
        return grad_x, grad_weight, weight.new_empty(len(weight) if needed[2] else 0)

    operation = torch.library.custom_op(f"convnextv2::{name}", run, mutates_args=())
    operation.register_fake(describe)
    return operation


def weight_gradient(x: Tensor, grad: Tensor, size: int) -> Tensor:
    """Gradient (C, 1, k, k) of a depthwise kernel.

    Args:
        x: What was convolved, (B, C, H, W).
        grad: The gradient of what came out, likewise, channels last in memory.
        size: k.
    """
    small = x.shape[2] * x.shape[3] <= _SMALL_MAPS.get(x.element_size(), 0)
    return (shifted_products if small else torch_weight_gradient)(x, grad, size)


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


backward = make_backward("depthwise_backward", weight_gradient)
