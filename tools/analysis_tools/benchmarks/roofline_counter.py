"""Bytes moved, operations and launches of what runs on fake tensors: nothing is computed.

Each operation that torch would start is taken to read its inputs once and to write its outputs
once, through memory that remembers nothing from one operation to the next, and to be one kernel
(backward passes of convolutions and norms are two or three; so launches are a lower bound).
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.functional import layer_norm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, register_flop_formula

import convnextv2.backbone  # noqa: F401  which has operations of its own

aten = torch.ops.aten
# They give memory and write nothing.
ALLOCATE = {aten.empty, aten.new_empty, aten.empty_like, aten.empty_strided, aten.new_empty_strided}
# They change what a tensor's shape is, and none of its numbers.
RESHAPE = {aten.squeeze_, aten.unsqueeze_, aten.t_, aten.transpose_}
# They write their first argument, or what is like it, without having read it.
OVERWRITE = {aten.zero_, aten.fill_, aten.copy_, aten.bernoulli_, aten.normal_, aten.uniform_}
OVERWRITE |= {aten._foreach_copy_}
OVERWRITE |= {aten.new_zeros, aten.new_ones, aten.new_full}
OVERWRITE |= {aten.zeros_like, aten.ones_like, aten.full_like}
# Of their first argument they read as much as they return.
PICK = {aten.index_select, aten.index, aten.gather, aten.embedding}
# Of their first argument they write as much as their last one holds.
PLACE = {aten.index_copy_, aten.index_put_, aten._index_put_impl_, aten.scatter_}
# Of (output's gradient, input, weight, ..., which gradients are wanted).
CONVOLUTION_BACKWARD = {
    aten.convolution_backward,
    torch.ops.convnextv2.depthwise_backward,
    torch.ops.convnextv2.compiled_depthwise_backward,
}


ours = torch.ops.convnextv2


@register_flop_formula([ours.linear_squares, ours.response_grad_weight, ours.response_grad_input])
def _count_products(rows: Sequence[int], *_: object, out_shape: Any) -> int:
    return 2 * math.prod(rows) * out_shape[0][-1]  # each row by a matrix (C, 4C)


@register_flop_formula([ours.depthwise_norm, ours.depthwise_grad_input, ours.depthwise_grad_weight])
def _count_taps(rows: Sequence[int], *_: object, out_shape: Any) -> int:
    return 2 * 49 * math.prod(rows)


@dataclass
class Traffic:
    """What was counted: bytes read and written, floating-point operations, kernels by name."""

    moved: int = 0
    flops: int = 0
    kernels: Counter = field(default_factory=Counter)
    moved_by: Counter = field(default_factory=Counter)

    @property
    def launches(self) -> int:
        """Kernels started."""
        return sum(self.kernels.values())

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.moved + other.moved,
            self.flops + other.flops,
            self.kernels + other.kernels,
            self.moved_by + other.moved_by,
        )


class TrafficCounter(TorchDispatchMode):
    """Counts, as `traffic`, what is done to fake tensors; real ones are the host's and are free.

    Args:
        fake_mode: Of the tensors; a real tensor that meets a fake one becomes one of it.
    """

    def __init__(self, fake_mode: FakeTensorMode) -> None:
        super().__init__()
        self.fake_mode = fake_mode
        self.traffic = Traffic()

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not any(isinstance(t, FakeTensor) for t in inputs):
            return func(*args, **kwargs)
        with self.fake_mode:
            out = func(*args, **kwargs)
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        moved = _moved(func, args, inputs, outputs)
        if moved is not None:
            name = func.overloadpacket.__name__
            self.traffic.moved += moved
            self.traffic.kernels[name] += 1
            self.traffic.moved_by[name] += moved
            self.traffic.flops += _operations(func, args, kwargs, out)
        return out


class GPUAutocast(TorchFunctionMode):
    """What autocast does on a GPU and not on a CPU: LayerNorm is in single precision."""

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func is layer_norm and torch.is_autocast_enabled("cpu"):
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))


@contextmanager
def bfloat16_as_on_gpu(enabled: bool = True) -> Iterator[None]:
    """A context in which fake tensors of the CPU are cast as autocast casts a GPU's."""
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled), GPUAutocast():
        yield


def size_of(tensor: Tensor) -> int:
    """Bytes of the memory that a tensor looks at; what `expand` repeats counts once."""
    number = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        number *= size if stride else min(size, 1)
    return number


def _moved(func: Any, args: tuple, inputs: list[Tensor], outputs: list[Tensor]) -> int | None:
    """Bytes that an operation reads and writes; None if it starts no kernel."""
    packet = func.overloadpacket
    if packet in ALLOCATE | RESHAPE or not outputs + _written(func, args):
        return None
    written = _written(func, args)
    held = {_memory(t) for t in inputs}
    if not written and all(_memory(t) in held for t in outputs):
        return None  # a view, or a cast to the type that it has
    if packet in PLACE:
        return 2 * size_of(inputs[-1]) + sum(size_of(t) for t in inputs[1:-1])
    read = {id(t): t for t in inputs}
    if packet in OVERWRITE or packet in PICK:
        for tensor in tree_leaves(args[0]):
            read.pop(id(tensor), None)
    new = [t for t in outputs if _memory(t) not in held]
    total = sum(size_of(t) for t in (*read.values(), *new, *written))
    return total + (size_of(outputs[0]) if packet in PICK else 0)


def _operations(func: Any, args: tuple, kwargs: dict, out: Any) -> int:
    """Floating-point operations of matrix products and convolutions; of others 0."""
    if func.overloadpacket in CONVOLUTION_BACKWARD:
        # torch counts a grouped one as if each channel met all others.
        grad, _, weight = args[:3]
        return sum(args[-1][:2]) * 2 * grad.numel() * weight[0].numel()
    count = flop_registry.get(func.overloadpacket)
    return count(*args, **kwargs, out_val=out) if count else 0


def _written(func: Any, args: tuple) -> list[Tensor]:
    """The arguments that an operation changes in place."""
    found = []
    for argument, value in zip(func._schema.arguments, args, strict=False):
        # AdamW writes gradients only where it undoes a loss's scale.
        is_written = argument.alias_info is not None and argument.alias_info.is_write
        if is_written and argument.name != "grads":
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
