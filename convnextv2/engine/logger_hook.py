"""The log of a run."""

from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook as MMEngineLoggerHook
from mmengine.runner import Runner

from convnextv2.registry import HOOKS


@HOOKS.register_module()
class LoggerHook(MMEngineLoggerHook):
    """mmengine's `LoggerHook`, of which only the first process writes the scores of a test.

    mmengine's writes them in every process at once into one file, which garbles it now and then.
    """

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log the scores and write them beside the log."""
        if is_main_process():
            super().after_test_epoch(runner, metrics)
