"""The log of a run."""

import math
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook as MMEngineLoggerHook
from mmengine.runner import Runner

from convnextv2.registry import HOOKS

LINES = 20  # of a validation or a test, at most


@HOOKS.register_module()
class LoggerHook(MMEngineLoggerHook):
    """mmengine's `LoggerHook` with short validations and tests, whose scores one process writes.

    With mmengine's a run that logs each of its few steps logs each image of a validation too, and
    in a test all processes write the scores at once into one file, which garbles it now and then.
    """

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log one batch in ``interval``, or fewer, so that there are 20 lines at most."""
        if self._shows(batch_idx, len(runner.val_dataloader)):
            super().after_val_iter(runner, batch_idx, data_batch, outputs)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """As `after_val_iter`, of a test."""
        if self._shows(batch_idx, len(runner.test_dataloader)):
            super().after_test_iter(runner, batch_idx, data_batch, outputs)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log the scores and write them beside the log."""
        if is_main_process():
            super().after_test_epoch(runner, metrics)

    def _shows(self, batch_idx: int, batches: int) -> bool:
        # A multiple, as mmengine's asks for the interval again.
        every = self.interval * math.ceil(batches / (LINES * self.interval))
        return self.every_n_inner_iters(batch_idx, every)
