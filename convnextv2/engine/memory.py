"""Memory: given back where it is free; and where it runs out while training, what to lower."""

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convnextv2.engine.errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config

# Of errors that have no class of their own: the CPU's, and those of libraries below torch.
WORDS = (
    "not enough memory: you tried to allocate",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
WORKER = ("killed by signal: Killed", "Bus error", "insufficient shared memory")


def give_back_memory() -> None:
    """Return to the system what the C library (glibc; others: nothing) has freed but holds.

    Its heap cannot shrink below what lies on top. Where large arrays come and go between small
    results that stay, it therefore grows with their number, though it is nearly empty.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another system, another library
        return


def keep_one_heap() -> None:
    """Let threads that begin from now on take memory from the C library's one heap (of glibc).

    Each would have a heap of its own otherwise, which holds what it has freed.
    """
    arena_max = -8  # M_ARENA_MAX of malloc.h
    try:
        ctypes.CDLL("libc.so.6").mallopt(arena_max, 1)
    except (OSError, AttributeError):  # another system, another library
        return


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the machine, had not the memory that was asked for."""
    import torch

    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


@contextmanager
def explain_out_of_memory(cfg: "Config") -> Iterator[None]:
    """A context in which an error of memory becomes a sentence that says what to lower.

    Raises:
        InputError: Memory ran out.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise InputError(describe_saving(cfg, str(error))) from error
        if isinstance(error, RuntimeError) and any(word in str(error) for word in WORKER):
            raise InputError(
                "a process that loads images was killed, most likely because memory ran out: "
                f"lower train_dataloader.num_workers (now {cfg.train_dataloader.num_workers}) or "
                "the size of the images"
            ) from error
        raise


def describe_saving(cfg: "Config", text: str = "") -> str:
    """How the training of a config would need less memory.

    Args:
        cfg: The whole config.
        text: Of the error, which may say how much was asked for.
    """
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", text)
    batch, lines = cfg.train_dataloader.get("batch_size", 1), []
    if batch > 1:
        lines.append(
            f"a smaller batch: --batch {batch // 2} instead of {batch}; --batch auto finds the "
            "largest that fits, optim_wrapper.accumulative_counts=2 makes up for half of it"
        )
    lines.append("smaller images: the crop or scale of the training pipeline")
    if not cfg.model.get("backbone", {}).get("with_cp"):
        lines.append("--cfg-options model.backbone.with_cp=True: less memory, a third slower")
    if "Amp" not in str(cfg.optim_wrapper.get("type")):
        lines.append("on a GPU, --amp: mixed precision")
    wanted = f" ({asked[1]} more were asked for)" if asked else ""
    return "\n".join([f"out of memory{wanted}. What needs less:", *(f"  {line}" for line in lines)])
