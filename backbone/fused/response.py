"""Linear, GELU, GRN and Linear of rows, as one operation with a gradient."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..grn import GRN
from .operation import cdiv, operation, options, power_of_2, sums_type


def response_mlp(x: Tensor, linear1: nn.Linear, grn: GRN, linear2: nn.Linear) -> Tensor:
    """Rows (B, N, C) through a linear layer C->K, GELU, GRN and a linear layer K->C.

    For the backward pass only `x` and what the first layer gives is kept.

    Returns:
        Rows (B, N, C), in the dtype of `x`.
    """
    parameters = (linear1.weight, linear1.bias, grn.gamma, grn.beta, linear2.weight, linear2.bias)
    return _ResponseMLP.apply(x, *parameters, grn.eps)


class _ResponseMLP(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight1: Tensor,
        bias1: Tensor,
        gamma: Tensor,
        beta: Tensor,
        weight2: Tensor,
        bias2: Tensor,
        eps: float,
    ) -> Tensor:
        w1, b1, w2, b2 = _cast((weight1, bias1, weight2, bias2), x.dtype)
        rows = x.flatten(0, 1)
        h, squares = _linear_squares(rows, w1, b1, len(x))
        norms, mean, scale = _response_scale(squares, gamma, eps, x.shape[1])
        y = torch.addmm(b2, _gelu_respond(h, scale, beta), w2.t())
        ctx.save_for_backward(x, h, w1, gamma, beta, weight2, w2, norms, mean, scale)
        return y.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, h, w1, gamma, beta, weight2, w2, norms, mean, scale = ctx.saved_tensors
        grad, rows = grad.to(x.dtype).contiguous().flatten(0, 1), x.flatten(0, 1)
        grad_weight2, grad_bias2, grad_scale = _response_grad_weight(grad, h, scale, beta, weight2)
        grad_weight2, grad_bias2 = _add_up(grad_weight2), _add_up(grad_bias2)
        along, grad_gamma = _response_along(grad_scale, gamma, norms, mean)
        grad_h, partial = _response_grad_input(grad, h, w2, scale, along)
        vectors = _response_grad_vectors(partial, grad_gamma, grad_bias2, weight2)
        grads = (grad_h.t() @ rows, *vectors, grad_weight2, grad_bias2)
        return (grad_h @ w1).view_as(x), *(g.to(gamma.dtype) for g in grads), None


def _cast(tensors: tuple[Tensor, ...], dtype: torch.dtype) -> list[Tensor]:
    """The tensors as `dtype`, by one kernel."""
    if all(t.dtype == dtype for t in tensors):
        return list(tensors)
    copies = [torch.empty_like(t, dtype=dtype) for t in tensors]
    torch._foreach_copy_(copies, list(tensors))
    return copies


def _add_up(partial: Tensor) -> Tensor:
    return partial.sum(0) if len(partial) > 1 else partial[0]


# Tiles of the kernels that multiply matrices.
_LINEAR = {"BLOCK_R": 128, "BLOCK_C": 32, "BLOCK_K": 128, "num_warps": 8}
_GRAD_WEIGHT = {"BLOCK_N": 32, "BLOCK_C": 64, "BLOCK_K": 128, "num_warps": 8}
_GRAD_INPUT = {"BLOCK_R": 64, "BLOCK_C": 32, "BLOCK_K": 128, "num_warps": 8}


def _launch_linear(out: tuple, x: Tensor, weight: Tensor, bias: Tensor, images: int) -> None:
    from .response_kernels import linear_squares as kernel

    (rows, channels), width, parts = x.shape, len(weight), out[1].shape[1]
    kernel[(cdiv(rows, _LINEAR["BLOCK_R"]), cdiv(width, _LINEAR["BLOCK_K"]))](
        x, weight, bias, *out, rows, rows // images, channels, width, parts,
        PRECISION=_precision(), **options(x), **_LINEAR,
    )  # fmt: skip


@operation(_launch_linear)
def _linear_squares(x: Tensor, weight: Tensor, bias: Tensor, images: int) -> tuple[Tensor, Tensor]:
    parts = (len(x) // images - 1) // _LINEAR["BLOCK_R"] + 2
    h = x.new_empty(len(x), len(weight))
    return h, h.new_empty(images, parts, len(weight), dtype=sums_type(x))


def _launch_scale(out: tuple, squares: Tensor, gamma: Tensor, eps: float, pixels: int) -> None:
    from .response_kernels import response_scale as kernel

    images, parts, width = squares.shape
    kernel[(images,)](
        squares, gamma, *out, pixels, width, parts, eps,
        BLOCK_R=_LINEAR["BLOCK_R"], **_whole_rows(width), **options(squares),
    )  # fmt: skip


@operation(_launch_scale)
def _response_scale(
    squares: Tensor, gamma: Tensor, eps: float, pixels: int
) -> tuple[Tensor, Tensor, Tensor]:
    images, _, width = squares.shape
    return (
        squares.new_empty(images, width),
        squares.new_empty(images),
        squares.new_empty(images, width),
    )


def _launch_respond(out: Tensor, h: Tensor, scale: Tensor, beta: Tensor) -> None:
    from .response_kernels import gelu_respond as kernel

    (rows, width), pixels = h.shape, len(h) // len(scale)
    kernel[(cdiv(rows, 32), cdiv(width, 128))](
        h, scale, beta, out, rows, pixels, width, BLOCK_R=32, BLOCK_K=128, **options(h)
    )


@operation(_launch_respond)
def _gelu_respond(h: Tensor, scale: Tensor, beta: Tensor) -> Tensor:
    return torch.empty_like(h)


def _launch_grad_weight(
    out: tuple, grad: Tensor, h: Tensor, scale: Tensor, beta: Tensor, weight: Tensor
) -> None:
    from .response_kernels import response_grad_weight as kernel

    pixels = len(h) // len(scale)
    images, chunks = _share(len(scale), pixels, *weight.shape)
    kernel[(*_weight_tiles(*weight.shape), len(out[0]))](
        grad, h, scale, beta, weight, *out, len(scale), pixels, *weight.shape,
        images, cdiv(pixels, chunks), chunks, PRECISION=_precision(), **options(h), **_GRAD_WEIGHT,
    )  # fmt: skip


@operation(_launch_grad_weight)
def _response_grad_weight(
    grad: Tensor, h: Tensor, scale: Tensor, beta: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    channels, width = weight.shape
    images, chunks = _share(len(scale), len(h) // len(scale), channels, width)
    parts = cdiv(len(scale), images) * chunks
    return (
        scale.new_empty(parts, channels, width),
        scale.new_empty(parts, channels),
        scale.new_empty(len(scale), chunks * _weight_tiles(channels, width)[0], width),
    )


def _launch_along(
    out: tuple, grad_scale: Tensor, gamma: Tensor, norms: Tensor, mean: Tensor
) -> None:
    from .response_kernels import response_along as kernel

    images, parts, width = grad_scale.shape
    kernel[(images,)](
        grad_scale, gamma, norms, mean, *out, parts, width,
        **_whole_rows(width), **options(grad_scale),
    )  # fmt: skip


@operation(_launch_along)
def _response_along(
    grad_scale: Tensor, gamma: Tensor, norms: Tensor, mean: Tensor
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(norms), torch.empty_like(norms)


def _launch_grad_input(
    out: tuple, grad: Tensor, h: Tensor, weight: Tensor, scale: Tensor, along: Tensor
) -> None:
    from .response_kernels import response_grad_input as kernel

    (rows, width), channels = h.shape, grad.shape[1]
    kernel[(len(out[1]), cdiv(width, _GRAD_INPUT["BLOCK_K"]))](
        grad, h, weight, scale, along, *out, rows, rows // len(scale), channels, width,
        PRECISION=_precision(), **options(h), **_GRAD_INPUT,
    )  # fmt: skip


@operation(_launch_grad_input)
def _response_grad_input(
    grad: Tensor, h: Tensor, weight: Tensor, scale: Tensor, along: Tensor
) -> tuple[Tensor, Tensor]:
    parts = cdiv(len(h), _GRAD_INPUT["BLOCK_R"])
    return torch.empty_like(h), scale.new_empty(parts, h.shape[1])


def _launch_vectors(
    out: Tensor, partial: Tensor, grad_gamma: Tensor, grad_bias: Tensor, weight: Tensor
) -> None:
    from .response_kernels import response_grad_vectors as kernel

    channels, width = weight.shape
    kernel[(cdiv(width, 64),)](
        partial, grad_gamma, grad_bias, weight, out, len(partial), len(grad_gamma), channels, width,
        BLOCK_P=32, BLOCK_K=64, **options(partial),
    )  # fmt: skip


@operation(_launch_vectors)
def _response_grad_vectors(
    partial: Tensor, grad_gamma: Tensor, grad_bias: Tensor, weight: Tensor
) -> Tensor:
    return partial.new_empty(3, partial.shape[1])


def _weight_tiles(channels: int, width: int) -> tuple[int, int]:
    return cdiv(channels, _GRAD_WEIGHT["BLOCK_C"]), cdiv(width, _GRAD_WEIGHT["BLOCK_K"])


def _share(images: int, pixels: int, channels: int, width: int) -> tuple[int, int]:
    """Images that a program adds up, and programs that share an image; enough to fill a GPU."""
    tiles = _weight_tiles(channels, width)
    wanted = max(1, 128 // (tiles[0] * tiles[1]))
    if wanted <= images:
        return cdiv(images, wanted), 1
    return 1, min(cdiv(wanted, images), cdiv(pixels, 512))


def _precision() -> str:
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee"


def _whole_rows(width: int) -> dict[str, int]:
    """Tiles of all channels, and of as many rows as fit."""
    block_k = power_of_2(width)
    return {"BLOCK_P": max(1, 8192 // block_k), "BLOCK_K": block_k}
