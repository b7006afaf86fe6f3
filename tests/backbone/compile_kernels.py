"""Compile what FusedBlock launches, for a GPU that need not be there.

    python compile_kernels.py CAPABILITY DIM

prints each kernel and the bytes of shared memory that a program of it takes.
"""

import sys

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from convnextv2.backbone import FusedBlock

TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.int32: "i32"}


def main(capability: int, dim: int) -> None:
    """Run a block whose launches are compiled and not run."""
    target = GPUTarget("cuda", capability, 32)
    kernels: dict[str, int] = {}

    def compile_launch(kernel: JITFunction, *args: object, **kwargs: object) -> None:
        values = dict(zip(kernel.arg_names, args, strict=False))
        values |= {k: v for k, v in kwargs.items() if k in kernel.arg_names}
        fixed = {p.name for p in kernel.params if p.is_constexpr or values[p.name] is None}
        signature = {n: "constexpr" if n in fixed else kind(values[n]) for n in kernel.arg_names}
        for p in kernel.params:
            whole = isinstance(values[p.name], int) and p.name not in fixed
            # Only what a network has, and not its images, may make another kernel.
            assert not whole or p.do_not_specialize or p.name in ("C", "K"), (kernel, p.name)
        source = ASTSource(
            kernel,
            signature,
            constexprs={name: values[name] for name in fixed},
            attrs={
                (i,): [["tt.divisibility", 16]]
                for i, name in enumerate(kernel.arg_names)
                if isinstance(values[name], torch.Tensor)
            },
        )
        options = {"num_warps": kwargs["num_warps"]} if "num_warps" in kwargs else {}
        made = triton.compile(source, target=target, options=options)
        kernels[kernel.__name__] = made.metadata.shared

    JITFunction.__getitem__ = lambda kernel, grid: (
        lambda *args, **kwargs: compile_launch(kernel, *args, **kwargs)
    )
    FusedBlock.fuses = lambda block, device: True
    x = torch.zeros(2, dim, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = FusedBlock(dim)(x)
    y.sum().backward()
    for name, shared in kernels.items():
        print(name, shared)


def kind(value: object) -> str:
    """The type of a kernel's argument."""
    if isinstance(value, torch.Tensor):
        return "*" + TYPES[value.dtype]
    return "i32" if isinstance(value, int) else "fp32"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
