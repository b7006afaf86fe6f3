"""The depthwise convolution of rows with LayerNorm behind it, as an operation with a gradient."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..grid import Neighbours
from .operation import cdiv, operation, options, power_of_2, sums_type


def depthwise_norm(
    x: Tensor, conv: nn.Conv2d, norm: nn.LayerNorm, neighbours: Neighbours, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The norm of the convolution of rows (B, N, C), as `dtype`, and the rows again.

    What is added to what becomes of the first must be the second: its gradient is then added
    where the convolution's gradient is computed.
    """
    parameters = (conv.weight, conv.bias, norm.weight, norm.bias)
    return _DepthwiseNorm.apply(x, *parameters, norm.eps, neighbours, dtype)


class _DepthwiseNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        gain: Tensor,
        shift: Tensor,
        eps: float,
        neighbours: Neighbours,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        taps = weight.flatten(1).t().contiguous()  # (49, C), channels side by side
        y, normed = _depthwise_norm(x, dtype, *neighbours, taps, bias, gain, shift, eps)
        ctx.save_for_backward(x, y, taps, gain, neighbours.rows, neighbours.places)
        ctx.size, ctx.eps = neighbours[:2], eps
        return normed, x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, skip: Tensor) -> tuple[Tensor | None, ...]:
        x, y, taps, gain, *table = ctx.saved_tensors
        place = (*ctx.size, *table)
        grad_y, norm_sums = _norm_backward(grad.contiguous(), y, gain, ctx.eps)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _depthwise_grad_input(grad_y, skip.contiguous(), *place, taps)
        tap_sums = _depthwise_grad_weight(grad_y, x, *place)
        grads = _depthwise_grad_vectors(tap_sums, norm_sums)
        return grad_x, *(g.to(gain.dtype) for g in grads), None, None, None


def _launch_depthwise_norm(
    out: tuple, x: Tensor, _: Any, height: int, width: int, rows: Any, places: Any, *rest: Any
) -> None:
    from .depthwise_kernels import depthwise_norm as kernel

    count, channels, block_c = *_flat(x), power_of_2(x.shape[-1])
    block_r = _rows_of_tile(block_c)
    *parameters, eps = rest
    kernel[(cdiv(count, block_r),)](
        x, rows, places, *parameters, *out, count, channels, height, width, eps,
        PACKED=rows is not None, BLOCK_R=block_r, BLOCK_C=block_c, **options(x),
    )  # fmt: skip


@operation(_launch_depthwise_norm)
def _depthwise_norm(
    x: Tensor,
    dtype: torch.dtype,
    height: int,
    width: int,
    rows: Tensor | None,
    places: Tensor | None,
    taps: Tensor,
    bias: Tensor,
    gain: Tensor,
    shift: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, dtype=dtype), torch.empty_like(x, dtype=dtype)


def _launch_norm_backward(out: tuple, grad: Tensor, y: Tensor, gain: Tensor, eps: float) -> None:
    from .depthwise_kernels import norm_backward as kernel

    count, channels, block_c = *_flat(y), power_of_2(y.shape[-1])
    kernel[(len(out[1]),)](
        grad, y, gain, *out, count, channels, eps,
        BLOCK_R=_rows_of_tile(block_c), BLOCK_C=block_c, **options(y),
    )  # fmt: skip


@operation(_launch_norm_backward)
def _norm_backward(grad: Tensor, y: Tensor, gain: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    count, channels = _flat(y)
    programs = min(cdiv(count, 8 * _rows_of_tile(power_of_2(channels))), 256)
    return torch.empty_like(y), y.new_empty(programs, 2, channels, dtype=sums_type(y))


def _launch_grad_input(
    out: Tensor, grad: Tensor, skip: Tensor, height: int, width: int, rows: Any, places: Any,
    taps: Tensor,
) -> None:  # fmt: skip
    from .depthwise_kernels import depthwise_grad_input as kernel

    count, channels = _flat(grad)
    block_c = min(power_of_2(channels), 128)
    kernel[(cdiv(count, 16), cdiv(channels, block_c))](
        grad, skip, rows, places, taps, out, count, channels, height, width,
        PACKED=rows is not None, BLOCK_R=16, BLOCK_C=block_c, **options(grad),
    )  # fmt: skip


@operation(_launch_grad_input)
def _depthwise_grad_input(
    grad: Tensor,
    skip: Tensor,
    height: int,
    width: int,
    rows: Tensor | None,
    places: Tensor | None,
    taps: Tensor,
) -> Tensor:
    return torch.empty_like(skip)


def _launch_grad_weight(
    out: Tensor, grad: Tensor, x: Tensor, height: int, width: int, rows: Any, places: Any
) -> None:
    from .depthwise_kernels import depthwise_grad_weight as kernel

    count, channels = _flat(grad)
    kernel[(len(out), cdiv(channels, 32))](
        grad, x, rows, places, out, count, channels, height, width, cdiv(count, len(out)),
        PACKED=rows is not None, BLOCK_R=4, BLOCK_C=32, **options(grad),
    )  # fmt: skip


@operation(_launch_grad_weight)
def _depthwise_grad_weight(
    grad: Tensor,
    x: Tensor,
    height: int,
    width: int,
    rows: Tensor | None,
    places: Tensor | None,
) -> Tensor:
    # Long sums, since each program writes 50 numbers a channel.
    programs = min(cdiv(_flat(grad)[0], 256), 128)
    return grad.new_empty(programs, 50, grad.shape[-1], dtype=sums_type(grad))


def _launch_grad_vectors(out: tuple, taps: Tensor, norm: Tensor) -> None:
    from .depthwise_kernels import depthwise_grad_vectors as kernel

    channels = taps.shape[2]
    kernel[(cdiv(channels, 16),)](
        taps, norm, *out, len(taps), len(norm), channels, BLOCK_P=64, BLOCK_C=16, **options(taps)
    )


@operation(_launch_grad_vectors)
def _depthwise_grad_vectors(taps: Tensor, norm: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    channels = taps.shape[2]
    bias, gain, shift = (taps.new_empty(channels) for _ in range(3))
    return taps.new_empty(channels, 1, 7, 7), bias, gain, shift


def _flat(x: Tensor) -> tuple[int, int]:
    return x[..., 0].numel(), x.shape[-1]


def _rows_of_tile(block_c: int) -> int:
    """As many whole rows as a program's registers hold."""
    return max(1, min(16, 4096 // block_c))
