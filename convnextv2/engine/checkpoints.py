"""When checkpoints are written, and how: completely or not at all."""

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from convnextv2 import files  # noqa: F401  (registers the backend)
from convnextv2.engine.types import walk_built_datasets
from convnextv2.registry import HOOKS


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

    def before_train(self, runner: Runner) -> None:
        """Also warn if checkpoints will fall between two steps of the optimizer."""
        super().before_train(runner)
        counts = runner.cfg.get("optim_wrapper", {}).get("accumulative_counts", 1)
        iters = self.interval * (len(runner.train_dataloader) if self.by_epoch else 1)
        if self.interval > 0 and iters % counts:
            runner.logger.warning(
                f"a checkpoint every {iters} iterations, a step of the optimizer every {counts}: "
                "a run resumed in between loses the gradients gathered so far. For an exact "
                "resume: default_hooks.checkpoint.by_epoch=False and an interval that is a "
                f"multiple of {counts}"
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep how the data set's annotation file numbers the classes, in their order."""
        super().before_save_checkpoint(runner, checkpoint)
        first = next(walk_built_datasets(runner.train_dataloader.dataset))
        meta = checkpoint["meta"].get("dataset_meta")
        if meta and hasattr(first, "cat_ids"):  # mmdet's, of COCO's format
            checkpoint["meta"]["dataset_meta"] = {**meta, "category_ids": list(first.cat_ids)}
