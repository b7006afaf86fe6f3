"""A signal ends a training after a checkpoint, from which it goes on as if nothing had been."""

import os
import re
import shlex
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import distributed

from convnextv2 import files  # noqa: F401  (registers the backend)
from convnextv2.engine.processes import TIMEOUT
from convnextv2.registry import HOOKS

if TYPE_CHECKING:
    from mmengine.config import Config

# SIGUSR1 is what Slurm's `--signal=USR1@60` sends before the time is up. Windows has none.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)
)
# Launchers forward a signal that the system has sent to their processes as well: what comes
# within these seconds is the same request, where there are several processes.
ECHO = 2.0
# Between two agreements of several processes while they validate, where their images differ.
VAL_BATCHES = 10


def stop_on_signals(cfg: "Config") -> None:
    """Give a run the hook that stops it, and a loop that can go on in the middle of an epoch."""
    from convnextv2.engine.loops import ResumableEpochLoop

    cfg.setdefault("default_hooks", {})["stop_on_signal"] = {"type": "convnextv2.StopOnSignalHook"}
    loop = cfg.get("train_cfg") or {}
    kind = loop.get("type")
    if kind is None and loop.get("by_epoch"):  # mmengine's older way to say it
        kind = loop["type"] = EpochBasedTrainLoop
        loop.pop("by_epoch")
    if (LOOPS.get(kind) if isinstance(kind, str) else kind) is EpochBasedTrainLoop:
        loop["type"] = f"convnextv2.{ResumableEpochLoop.__name__}"


class SignalWatch:
    """Note the first of `SIGNALS`, and end the process at once at a second.

    Args:
        echo: Seconds after the first in which another one is not a second.
    """

    def __init__(self, echo: float = 0.0) -> None:
        self.received = 0
        self._echo = echo
        self._since = 0.0
        self._pid = os.getpid()
        self._previous: dict[int, Any] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._leave_to_parent)

    def start(self) -> None:
        """Take the signals; those of before are kept for `stop`."""
        self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}

    def stop(self) -> None:
        """Put back what handled the signals before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def ignore(self) -> None:
        """Let no further signal disturb the end."""
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, _frame: object) -> None:
        now = _seconds()
        if not self.received:
            self.received, self._since = number, now
            name = signal.Signals(number).name
            _say(f"{name}: the run stops after this step; a second signal ends it at once")
        elif now - self._since >= self._echo:
            _say("a second signal: the end, without a checkpoint")
            os._exit(128 + number)

    def _leave_to_parent(self) -> None:
        """In a data-loader worker: the rank decides; a signal to the whole group means it alone."""
        if not self._previous:
            return
        own = set(self._previous)
        if not hasattr(signal, "sigwaitinfo"):  # macOS: who sent a SIGTERM is not known there
            own.discard(signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_BLOCK, own)
        if signal.SIGTERM in own:
            threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End at a SIGTERM of the parent, by which torch ends a worker, and at no other."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def _seconds() -> float:
    return os.times().elapsed


def _say(text: str) -> None:
    # Not print: a signal can arrive in the middle of another one's use of the same buffer.
    os.write(2, f"{text}\n".encode())


def command_to_go_on() -> str:
    """The command line that started this run, quoted for a shell, with ``--resume`` at its end."""
    started = os.environ.get("CONVNEXTV2_COMMAND")
    words = shlex.split(started) if started else [sys.executable, *sys.argv]
    kept, skip = [], False
    for word in words:
        if word == "--resume" or word.startswith("--resume="):
            skip = word == "--resume"
        elif skip and not word.startswith("-"):
            skip = False
        else:
            kept.append(word)
            skip = False
    return shlex.join([*kept, "--resume"])


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """At SIGTERM, SIGINT or SIGUSR1: write a checkpoint before the next step, and exit.

    Hooks with a method ``before_stop(runner)`` are called in between, in every process.

    The exit status is the shell's, 128 + the signal's number. All processes stop before the same
    step, whichever of them got the signal. The checkpoint ``iter_N.pth`` lies in the work dir;
    when the resumed run has written the next regular one, it is removed. A validation that was
    cut short is done anew by the resumed run.
    """

    # Before a step no hook must have noted anything of it.
    priority = "HIGHEST"

    def __init__(self) -> None:
        self._watch: SignalWatch | None = None
        self._group: distributed.ProcessGroup | None = None
        self._begin = 0
        self._val_batches = 0
        self._left: tuple[Path, str | None] | None = None

    def before_train(self, runner: Runner) -> None:
        """Take the signals, and note what an earlier stop has left."""
        several = get_world_size() > 1
        if several:
            seconds = runner.cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout", TIMEOUT)
            # On the CPU: an answer from a GPU would wait for all that it has still to do.
            self._group = distributed.new_group(backend="gloo", timeout=timedelta(seconds=seconds))
        self._begin = runner.iter
        info = runner.message_hub.runtime_info
        name = str(info.get("stop_checkpoint"))
        if re.fullmatch(r"iter_\d+\.pth", name):  # a checkpoint may be anybody's
            self._left = Path(runner.work_dir, name), info.get("last_ckpt")
        self._watch = SignalWatch(ECHO if several else 0.0)
        self._watch.start()

    def before_train_epoch(self, runner: Runner) -> None:
        """Validate, if a validation was cut short."""
        self._validate_if_due(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Stop, unless gradients that have been gathered would be lost."""
        self._remove_what_is_left(runner)
        number = self._agreed()
        if number and runner.iter % _accumulated(runner) == 0:
            self._stop(runner, number)

    def before_val_epoch(self, runner: Runner) -> None:
        """Count the batches that every process has."""
        count = torch.tensor(len(runner.val_dataloader))
        if self._group is not None:
            distributed.all_reduce(count, distributed.ReduceOp.MIN, group=self._group)
        self._val_batches = int(count)

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Stop a validation, too."""
        every = VAL_BATCHES if self._group is not None else 1
        here = self._watch and batch_idx < self._val_batches and batch_idx % every == 0
        if here and (number := self._agreed()):
            self._stop_validation(runner, number)

    def after_train(self, runner: Runner) -> None:
        """Put back what handled the signals before."""
        self._validate_if_due(runner)
        self._remove_what_is_left(runner)
        assert self._watch is not None  # since before_train
        if self._watch.received:
            runner.logger.warning("a signal came with the last step: the run is complete")
        self._watch.stop()

    def _agreed(self) -> int:
        """The number of the signal that any of the processes got, or 0."""
        assert self._watch is not None  # since before_train
        number = torch.tensor(self._watch.received)
        if self._group is not None:
            distributed.all_reduce(number, distributed.ReduceOp.MAX, group=self._group)
        return int(number)

    def _stop_validation(self, runner: Runner, number: int) -> None:
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):  # while validating the averages are in the model
                hook.after_val_epoch(runner)
        if lost := runner.iter % _accumulated(runner):
            runner.logger.warning(
                f"the gradients of the last {lost} iterations wait for a step of the optimizer: "
                "they are lost, so that the resumed run differs from an undisturbed one"
            )
        runner.message_hub.update_info("validation_due", True)
        self._stop(runner, number)

    def _stop(self, runner: Runner, number: int) -> None:
        assert self._watch is not None  # since before_train
        self._watch.ignore()
        name = signal.Signals(number).name
        due = runner.message_hub.runtime_info.get("validation_due", False)
        if runner.iter == self._begin and not due:
            text = "nothing was trained since the start"
        else:
            text = f"everything is in {self._save(runner)}"
        runner.call_hook("before_stop")
        runner.logger.info(
            f"stopped by {name} after {runner.iter} iterations; {text}. To go on:\n"
            f"{command_to_go_on()}"
        )
        # Launchers kill the others when the first one ends.
        barrier()
        sys.exit(128 + number)

    def _save(self, runner: Runner) -> Path:
        name = f"iter_{runner.iter}.pth"
        info = runner.message_hub.runtime_info
        regular = Path(info.get("last_ckpt") or "").name == name
        runner.message_hub.update_info("stop_checkpoint", None if regular else name)
        if not isinstance(
            runner.train_loop, (IterBasedTrainLoop, LOOPS.get("convnextv2.ResumableEpochLoop"))
        ):
            runner.logger.warning(
                f"{type(runner.train_loop).__name__} cannot go on within an epoch: a resumed run "
                "begins this epoch anew"
            )
        runner.save_checkpoint(
            runner.work_dir,
            name,
            meta={"epoch": runner.epoch, "iter": runner.iter},
            by_epoch=False,
            backend_args={"backend": "convnextv2_atomic"},
        )
        path = Path(runner.work_dir, name)
        if is_main_process():
            Path(runner.work_dir, "last_checkpoint").write_text(str(path))
        return path

    def _validate_if_due(self, runner: Runner) -> None:
        if runner.message_hub.runtime_info.get("validation_due"):
            runner.message_hub.update_info("validation_due", False)
            if runner.val_loop is not None:
                runner.logger.info("the validation that was cut short is done anew")
                runner.val_loop.run()

    def _remove_what_is_left(self, runner: Runner) -> None:
        if self._left is None:
            return
        path, last = self._left
        if runner.message_hub.runtime_info.get("last_ckpt") != last:
            if is_main_process():
                path.unlink(missing_ok=True)
            runner.message_hub.update_info("stop_checkpoint", None)
            self._left = None


def _accumulated(runner: Runner) -> int:
    """The iterations whose gradients make one step of the optimizer."""
    return runner.cfg.get("optim_wrapper", {}).get("accumulative_counts", 1)
