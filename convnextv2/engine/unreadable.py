"""What becomes of images that cannot be read: counted, named, and too many stop the run."""

import logging
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from convnextv2.registry import HOOKS

from .types import walk_built_datasets


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Name each unreadable file once in the log, and all of them at the end of every epoch.

    It takes ``unreadable``, in which a `SeededDataset` names them, out of each batch.

    Args:
        max_share: Share of the training files that may be unreadable; more stop the run.

    Raises:
        RuntimeError: There are more than that; the message lists them.
    """

    def __init__(self, max_share: float = 0.1) -> None:
        self.max_share = max_share
        # "train", "val", "test" -> lines in the order of their discovery
        self.found: dict[str, dict[str, None]] = {"train": {}, "val": {}, "test": {}}

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, mode: str = "train"
    ) -> None:
        """Collect what the samples of this process' batch say."""
        texts = data_batch.pop("unreadable", []) if isinstance(data_batch, dict) else []
        for line in (line for text in texts for line in text.splitlines()):
            if line not in self.found[mode]:
                self.found[mode][line] = None
                runner.logger.warning(f"skipped {line}")
                if mode == "train":
                    self._check(runner, self.found[mode])

    def after_train_epoch(self, runner: Runner) -> None:
        """Name those of all processes."""
        self._check(runner, self._summarize(runner, "train"))

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Name those of all processes."""
        self._summarize(runner, "val")

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Name those of all processes."""
        self._summarize(runner, "test")

    def _summarize(self, runner: Runner, mode: str) -> dict[str, None]:
        gathered = all_gather_object(list(self.found[mode]))
        found = dict.fromkeys(line for lines in gathered for line in lines)
        names = "".join(f"\n  {line}" for line in sorted(found))
        text = f"{len(found)} of {_count(runner, mode)} images could not be read{names}"
        if found or mode == "train":
            runner.logger.log(logging.WARNING if found else logging.INFO, text)
        return found

    def _check(self, runner: Runner, found: dict[str, None]) -> None:
        total = _count(runner, "train")
        if len(found) > self.max_share * total:
            names = "".join(f"\n  {line}" for line in sorted(found))
            raise RuntimeError(
                f"{len(found)} of {total} images could not be read, more than the share of "
                f"{self.max_share} that UnreadableImagesHook(max_share=...) lets pass:{names}"
            )


def _count(runner: Runner, mode: str) -> int:
    """Images of a loader, however often wrappers repeat them."""
    dataset = getattr(runner, f"{mode}_dataloader").dataset
    found: dict[int, Any] = {id(inner): inner for inner in walk_built_datasets(dataset)}
    return sum(len(inner) for inner in found.values())
