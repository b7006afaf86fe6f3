"""Operations of torch that are one Triton kernel each: who counts them counts kernels."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor


def operation(launch: Callable[..., None]) -> Callable[[Callable], Any]:
    """A decorator: of what allocates a kernel's outputs, the operation that also fills them.

    On fake tensors only the function itself runs, and Triton is not needed.

    Args:
        launch: Starts the kernel: (outputs, *inputs).
    """

    def decorate(allocate: Callable) -> Any:
        @wraps(allocate)
        def run(x: Tensor, *args: Any) -> Any:
            outputs = allocate(x, *args)
            with torch.cuda.device_of(x):  # Triton launches where torch is, not where tensors are
                launch(outputs, x, *args)
            return outputs

        name = allocate.__name__.removeprefix("_")
        made = torch.library.custom_op(f"convnextv2::{name}", run, mutates_args=())
        made.register_fake(allocate)
        return made

    return decorate


def options(x: Tensor) -> dict[str, Any]:
    """What kernels of `x` are compiled for: the type in which they add."""
    import triton.language as tl

    return {"ACC": tl.float64 if x.dtype == torch.float64 else tl.float32}


def sums_type(x: Tensor) -> torch.dtype:
    """The type in which kernels of `x` add."""
    return torch.promote_types(x.dtype, torch.float32)


def cdiv(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def power_of_2(n: int) -> int:
    """The smallest one that is at least n."""
    return 1 << (n - 1).bit_length()
