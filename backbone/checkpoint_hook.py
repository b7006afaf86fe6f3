"""Checkpoints that are there completely or not at all."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook

from convnextv2.registry import HOOKS


class AtomicLocalBackend(LocalBackend):
    """Local files that appear under their name only when completely written."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file beside the target, then rename it over the target."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with open(partial, "wb") as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


register_backend("convnextv2_atomic", AtomicLocalBackend)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's `CheckpointHook`, writing through `AtomicLocalBackend`.

    Args:
        max_keep_ckpts: Not 1: the oldest checkpoint is removed before the newest is written, so
            that a run killed in between would be left with none.
    """

    def __init__(self, *args: object, max_keep_ckpts: int = 3, **kwargs: object) -> None:
        if max_keep_ckpts == 1:
            raise ValueError("max_keep_ckpts must be 2 or more, or -1 to keep all")
        kwargs.setdefault("backend_args", {"backend": "convnextv2_atomic"})
        super().__init__(*args, max_keep_ckpts=max_keep_ckpts, **kwargs)
