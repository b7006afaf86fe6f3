"""The end of a training: a report on it, and the commands that come next."""

import shlex
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from convnextv2.registry import HOOKS
from convnextv2.report import write_curves, write_review
from convnextv2.reviews import Review

from .signals import command_to_go_on
from .tasks import PredictingTask, Task, add_review, find_task
from .validation_pictures import read_image


@HOOKS.register_module()
class ReportHook(Hook):
    """Write the folder ``report`` of the work dir when the training ends or is stopped.

    It holds what `convnextv2.report` says, of all that was logged and of the last validation,
    whose predictions are compared while they are made. What cannot be written is logged.
    """

    priority = "LOWEST"

    def __init__(self) -> None:
        self._review: Review | None = None

    def before_train(self, runner: Runner) -> None:
        """Have the validation reviewed."""
        task = find_task(runner.cfg)
        self._review = add_review(task, runner.val_loop) if task else None

    def after_train(self, runner: Runner) -> None:
        """Write, and say what comes next."""
        self._report(runner, {"resume": command_to_go_on()})

    def before_stop(self, runner: Runner) -> None:
        """Write, after `StopOnSignalHook` has saved; it names the command to go on itself."""
        self._report(runner, {})

    def _report(self, runner: Runner, more: dict[str, str]) -> None:
        if not is_main_process():
            return
        folder = Path(_short(runner.work_dir), "report")
        task = find_task(runner.cfg)
        try:
            pictures = self._write(runner, task, folder)
        except Exception as error:  # a report is no reason to lose a training
            runner.logger.warning(f"no report: {error!r}")
            pictures = []
        commands = {**(_list_next(runner, task, folder) if task else {}), **more}
        width = max(map(len, commands), default=0)
        lines = [f"  {what:{width}}  {command}" for what, command in commands.items()]
        if pictures:
            runner.logger.info(f"report: {folder} ({', '.join(pictures)})")
        if lines:
            runner.logger.info("\n".join(["what comes next", *lines]))

    def _write(self, runner: Runner, task: Task | None, folder: Path) -> list[str]:
        pictures = write_curves(task, Path(runner.work_dir), folder)
        if isinstance(task, PredictingTask) and self._review is not None and self._review.images:
            read = partial(read_image, runner.val_dataloader.dataset)
            pictures += write_review(task, self._review, read, folder)
        return pictures


def _list_next(runner: Runner, task: Task, folder: Path) -> dict[str, str]:
    """What for -> command line, of the best checkpoint or, if there is none, of the last."""
    work_dir = folder.parent
    config, checkpoint = work_dir / Path(runner.cfg.filename or "").name, None
    best = Path(str(runner.message_hub.runtime_info.get("best_ckpt"))).name
    with suppress(OSError):
        last = Path((work_dir / "last_checkpoint").read_text()).name
        checkpoint = work_dir / (best if (work_dir / best).is_file() else last)
    if checkpoint is None or not checkpoint.is_file() or not config.is_file():
        return {}
    tools = Path(sys.argv[0]).parent
    commands = task.list_next(str(config), str(checkpoint), str(folder))
    return {
        what: shlex.join(["python", str(tools / script), *words])
        for what, (script, *words) in commands.items()
    } | {"curves": shlex.join(["tensorboard", "--logdir", str(work_dir)])}


def _short(path: str) -> str:
    """A path as one would type it here."""
    with suppress(ValueError):
        return str(Path(path).relative_to(Path.cwd()))
    return path
