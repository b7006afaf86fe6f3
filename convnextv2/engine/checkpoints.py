"""Checkpoints: written completely or not at all, of plain data, and the newest that is whole."""

import logging
import re
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from convnextv2 import files  # noqa: F401  (registers the backend)
from convnextv2.engine.tasks import find_score
from convnextv2.engine.types import walk_built_datasets
from convnextv2.registry import HOOKS

from .plain_data import keep_plain
from .weights import read_content


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's `CheckpointHook`, writing through `AtomicLocalBackend`.

    With ``save_best='auto'`` the best is the best by the metric of the task: mAP of masks, or of
    boxes where there are no masks, mIoU. mmengine would take the first metric that comes.

    Args:
        max_keep_ckpts: Not 1: the oldest checkpoint is removed before the newest is written, so
            that a run killed in between would be left with none.
    """

    def __init__(self, *args: object, max_keep_ckpts: int = 3, **kwargs: object) -> None:
        if max_keep_ckpts == 1:
            raise ValueError("max_keep_ckpts must be 2 or more, or -1 to keep all")
        kwargs.setdefault("backend_args", {"backend": "convnextv2_atomic"})
        super().__init__(*args, max_keep_ckpts=max_keep_ckpts, **kwargs)
        self._dropped: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Also warn if checkpoints will fall between two steps of the optimizer.

        A resumed checkpoint says which files to remove when newer ones are written. Of that, only
        what this hook has written into this run's folder is meant: the file may be anybody's, or
        the folder a copy.
        """
        info = runner.message_hub.runtime_info
        if "keep_ckpt_ids" in info:
            info["keep_ckpt_ids"] = [i for i in info["keep_ckpt_ids"] if type(i) is int]
        super().before_train(runner)
        self._best = {key: self._in_this_run(path) for key, path in self._best.items()}
        counts = runner.cfg.get("optim_wrapper", {}).get("accumulative_counts", 1)
        iters = self.interval * (len(runner.train_dataloader) if self.by_epoch else 1)
        if self.interval > 0 and iters % counts:
            runner.logger.warning(
                f"a checkpoint every {iters} iterations, a step of the optimizer every {counts}: "
                "a run resumed in between loses the gradients gathered so far. For an exact "
                "resume: default_hooks.checkpoint.by_epoch=False and an interval that is a "
                f"multiple of {counts}"
            )

    @property
    def _best(self) -> dict[str, str | None]:
        """Metric -> path of its best checkpoint; mmengine keeps it in one of two ways."""
        if not self.save_best:
            return {}
        if len(self.key_indicators) == 1:
            return {self.key_indicators[0]: self.best_ckpt_path}
        return dict(self.best_ckpt_path_dict)

    @_best.setter
    def _best(self, paths: dict[str, str | None]) -> None:
        if len(paths) == 1:
            (self.best_ckpt_path,) = paths.values()
        elif paths:
            self.best_ckpt_path_dict = paths

    def _in_this_run(self, path: object) -> str | None:
        name = Path(str(path)).name
        own = re.fullmatch(r"best_.+\.pth", name)
        return self.file_backend.join_path(self.out_dir, name) if own else None

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Remove the best checkpoint only when the better one is written, not before."""
        if not self.save_best:
            return
        if "auto" in self.key_indicators and not self._find_indicator(runner, metrics):
            return
        before = self._best
        self._best = dict.fromkeys(before)
        super()._save_best_checkpoint(runner, metrics)
        after = dict(zip(before, self._best.values(), strict=True))
        self._best = {key: path or before[key] for key, path in after.items()}
        for key, path in before.items():
            if path and after[key] not in (None, path) and is_main_process():
                self._remove(path)
                runner.logger.info(f"the best checkpoint before, {path}, is removed")

    def _find_indicator(self, runner: Runner, metrics: dict) -> bool:
        """Whether there is a metric to tell the best by; from now on it is that one."""
        name = find_score(runner.cfg, metrics)
        try:
            self._init_rule(self.rules, [name])
        except ValueError:
            runner.logger.warning(
                f"no best checkpoint is kept: whether more or less of {name} is better is not "
                "known (default_hooks.checkpoint.save_best, rule)"
            )
            self.save_best = None
        return self.save_best is not None

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed's are folders
            self.file_backend.rmtree(path)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep how the data set's annotation file numbers the classes, and plain data only.

        What other hooks and metrics put in that is no plain data is left out, and named once: it
        could not be read again, and the checkpoint with it.
        """
        super().before_save_checkpoint(runner, checkpoint)
        first = next(walk_built_datasets(runner.train_dataloader.dataset))
        meta = checkpoint["meta"].get("dataset_meta")
        if meta and hasattr(first, "cat_ids"):  # mmdet's, of COCO's format
            checkpoint["meta"]["dataset_meta"] = {**meta, "category_ids": list(first.cat_ids)}
        dropped: list[str] = []
        for part in ("meta", "message_hub"):
            if part in checkpoint:
                checkpoint[part] = keep_plain(checkpoint[part], part, dropped)
        for name in dropped:
            if name not in self._dropped:
                runner.logger.warning(f"{name} is no plain data and is left out of checkpoints")
        self._dropped |= set(dropped)


def newest_checkpoint(work_dir: str) -> str | None:
    """The newest whole one of the checkpoints that training writes at its intervals.

    They are renamed into place when complete, so that what is there can be trusted more than the
    note `last_checkpoint`, which a kill can leave empty. A disk can damage one afterwards: that is
    passed over, with a line in the log.

    Returns:
        Its path; None if there is no checkpoint.

    Raises:
        ValueError: There are some, and none is whole.
    """
    found = {}
    for path in Path(work_dir).glob("*.pth"):
        if match := re.fullmatch(r"(?:epoch|iter)_(\d+)", path.stem):
            found[int(match[1])] = path
    for number in sorted(found, reverse=True):
        try:
            read_content(str(found[number]), map_location="meta")
            return str(found[number])
        except (OSError, ValueError) as error:
            print_log(
                f"the checkpoint before is taken: {error}",
                logger="current",
                level=logging.WARNING,
            )
    if found:
        raise ValueError(
            f"no checkpoint in {work_dir} is whole; without --resume, training begins anew"
        )
    return None
