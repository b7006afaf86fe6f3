"""Blocks of which torch compiles what it can: fewer kernels start, and fewer bytes move."""

import os
import shutil
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor

from convnextv2.registry import MODELS

from .depthwise import DepthwiseConv2d, make_backward, weight_gradient
from .grn import Convolve, ResponseNorm
from .layers import Block


class CompiledDepthwiseConv2d(DepthwiseConv2d):
    """`DepthwiseConv2d`, the gradient of whose kernel is compiled on a CPU."""

    @staticmethod
    def cpu_backward(
        grad: Tensor, x: Tensor, weight: Tensor, needed: list[bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `depthwise.make_backward`."""
        return compiled_backward(grad, x, weight, needed)


@MODELS.register_module()
class CompiledBlock(Block):
    """`Block` with the same parameters and values, compiled where it is trained.

    Compiled are `mlp`, and on a CPU the gradient of the depthwise kernel. A graph serves images of
    every size. Where no compiler is (of C++ for a CPU, Triton for a GPU) this is `Block`, which
    the log says once; so are blocks whose `response_norm` looks at a pixel's neighbours.
    """

    convolution = CompiledDepthwiseConv2d

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.looks_around = type(self.grn).respond is not ResponseNorm.respond

    def mlp(self, x: Tensor, convolve: Convolve) -> Tensor:
        """As `Block.mlp`; compiled if its gradients are wanted."""
        learns = torch.is_grad_enabled() and (x.requires_grad or self.pwconv1.weight.requires_grad)
        if learns and not self.looks_around:
            return self.compiled_mlp(x)
        return super().mlp(x, convolve)

    def compiled_mlp(self, x: Tensor) -> Tensor:
        """`mlp` of a block that does not look around, compiled where a compiler is."""
        run = _compile(mlp_of_pixels) if can_compile(x.device.type) else mlp_of_pixels
        return run(self, x)


def mlp_of_pixels(block: Block, x: Tensor) -> Tensor:
    """`Block.mlp` of a block that looks at each pixel alone, but for the norms of GRN."""
    return Block.mlp(block, x, _look_around)


def compiled_weight_gradient(x: Tensor, grad: Tensor, size: int) -> Tensor:
    """See `depthwise.weight_gradient`: the sums of shifted products, compiled row by row."""
    if not can_compile(x.device.type):
        return weight_gradient(x, grad, size)
    height, half = grad.shape[2], size // 2
    x = F.pad(x.permute(0, 2, 3, 1).contiguous(), (0, 0, half, half, half, half))
    grad = grad.permute(0, 2, 3, 1)  # (B, H, W, C), x by k - 1 higher and wider
    sums = _compile(_row_of_products)
    return torch.stack([sums(x[:, i : i + height], grad) for i in range(size)], 1)[:, None]


@cache
def can_compile(device: str) -> bool:
    """Whether torch finds a compiler for ``cpu`` or ``cuda``; the log has a line if not."""
    if device == "cpu":
        names = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"]
        missing = None if any(map(shutil.which, names)) else f"C++ compiler ({', '.join(names)})"
    else:
        missing = None if find_spec("triton") else "Triton"
    if missing:
        print_log(f"blocks are not compiled: no {missing} here", logger="current")
    return missing is None


@cache
def _compile(function: Callable) -> Callable:
    return torch.compile(function, dynamic=True)


def _look_around(*args: object) -> Tensor:
    raise AssertionError("only blocks that do not look around are compiled")


def _row_of_products(x: Tensor, grad: Tensor) -> Tensor:
    """Row (C, k) of the kernel's gradient, of inputs (B, H, W+k-1, C), gradients (B, H, W, C)."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    x, grad = x.to(dtype), grad.to(dtype)
    width = grad.shape[2]
    shifts = range(x.shape[2] - width + 1)
    return torch.stack([(x[:, :, j : j + width] * grad).sum((0, 1, 2)) for j in shifts], 1)


compiled_backward = make_backward("compiled_depthwise_backward", compiled_weight_gradient)
