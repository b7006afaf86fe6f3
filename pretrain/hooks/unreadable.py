"""What becomes of images that cannot be read: counted, named, and too many stop the run."""

import logging

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from convnextv2.registry import HOOKS


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Name each unreadable file once in the log, and all of them at the end of every epoch.

    Args:
        max_share: Share of the data set's files that may be unreadable; more stop the run.

    Raises:
        RuntimeError: There are more than that; the message lists them.
    """

    def __init__(self, max_share: float = 0.1) -> None:
        self.max_share = max_share
        self.found: dict[str, None] = {}  # in the order of their discovery

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs=None
    ) -> None:
        """Collect what the samples of this process' batch say."""
        texts = (data_batch or {}).get("unreadable", [])
        for line in (line for text in texts for line in text.splitlines()):
            if line not in self.found:
                self.found[line] = None
                runner.logger.warning(f"skipped {line}")
                self._check(runner, self.found)

    def after_train_epoch(self, runner: Runner) -> None:
        """Name those of all processes."""
        gathered = all_gather_object(list(self.found))
        found = dict.fromkeys(line for lines in gathered for line in lines)
        total = len(runner.train_dataloader.dataset)
        level = logging.WARNING if found else logging.INFO
        names = "".join(f"\n  {line}" for line in sorted(found))
        runner.logger.log(level, f"{len(found)} of {total} images could not be read{names}")
        self._check(runner, found)

    def _check(self, runner: Runner, found: dict[str, None]) -> None:
        total = len(runner.train_dataloader.dataset)
        if len(found) > self.max_share * total:
            names = "".join(f"\n  {line}" for line in sorted(found))
            raise RuntimeError(
                f"{len(found)} of {total} images could not be read, more than the share of "
                f"{self.max_share} that UnreadableImagesHook(max_share=...) lets pass:{names}"
            )
