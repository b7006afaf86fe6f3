"""Mixed precision where there is no GPU: in bfloat16, on CPUs that multiply it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS as ALL_OPTIM_WRAPPERS
from torch import nn

from convnextv2.registry import OPTIM_WRAPPERS

from .types import find_class, is_a

if TYPE_CHECKING:
    from mmengine.config import Config


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """mmengine's `AmpOptimWrapper` for CPUs, which it refuses: bfloat16, with no loss to scale."""

    cast_dtype = torch.bfloat16  # as `AmpOptimWrapper` has it

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run what is in the context in mixed precision."""
        with super().optim_context(model), torch.autocast("cpu", self.cast_dtype):
            yield


def put_amp_on_cpu(cfg: "Config") -> None:
    """Exchange a config's mixed precision for that of this CPU, or for none, and say which."""
    wrapper = find_class(cfg.get("optim_wrapper"), ALL_OPTIM_WRAPPERS, cfg.get("default_scope"))
    if not is_a(wrapper, "mmengine.optim.AmpOptimWrapper"):
        return
    for option in ("loss_scale", "dtype", "use_fsdp"):
        cfg.optim_wrapper.pop(option, None)
    if reason := why_not_bfloat16(cfg):
        cfg.optim_wrapper.type = "OptimWrapper"
        text = f"training in full precision, without AMP: {reason}"
    else:
        cfg.optim_wrapper.type = "convnextv2.CPUAmpOptimWrapper"
        text = "training in bfloat16, which this CPU computes with"
    print_log(f"no GPU: {text}", logger="current")


def why_not_bfloat16(cfg: "Config") -> str | None:
    """What keeps a config from being trained in bfloat16 here; None if nothing does."""
    from .tasks import find_task

    if not computes_bfloat16():
        return "this CPU has no instructions for bfloat16 (avx512_bf16 or amx_bf16)"
    task = find_task(cfg)
    return task.full_precision if task else None


def computes_bfloat16() -> bool:
    """Whether matrix products in bfloat16 have instructions of their own on this CPU.

    Elsewhere they are emulated, and slower than in float32.
    """
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(found.get(name) for name in ("avx512_bf16", "amx_bf16"))
    asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch before 2.12
    return any(getattr(torch.cpu, ask)() for ask in asks if hasattr(torch.cpu, ask))
