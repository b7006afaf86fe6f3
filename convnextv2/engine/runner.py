"""The runners of every task: with a strategy and without, they promise the same.

- No code from a checkpoint is run.
- A checkpoint to resume from or to test fills the whole model. One to start a training from
  (``load_from``) may fill a part, as everywhere in MM; the log names the rest.
- Every draw of the training data follows from its place in the run (`seeded_dataset.py`).
- Weights begin the same, whichever family of libraries is installed.
- Where the learning rate follows the batch (``auto_scale_lr``), the log says from what to what.
- The console begins with what matters; environment, config and hooks are in the log file.
"""

import torch
from mmengine._strategy import SingleDeviceStrategy
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, FlexibleRunner, Runner
from torch import Tensor, nn

from .seeded_dataset import RunnerBase, SeededSamplesMixin
from .summary import PrintsToLog, SummaryHook, begin_briefly, end_brevity
from .weights import read_for_mmengine


def build_runner(cfg: Config) -> Runner | FlexibleRunner:
    """The runner of a config: only mmengine's flexible one knows ``strategy``."""
    return (StrictFlexibleRunner if "strategy" in cfg else StrictRunner).from_cfg(cfg)


class _Promises(RunnerBase):
    """What both runners share; comes before mmengine's class."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        read_for_mmengine()
        super().__init__(*args, **kwargs)
        self.register_hook(SummaryHook())

    def _log_env(self, *args: object) -> None:
        """Log environment and config; it is the first that mmengine logs."""
        begin_briefly(self.logger)
        super()._log_env(*args)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop; what it draws leaves the weights, which come next, as they are.

        mmengine 0.10.7 begins to iterate the loader here, which draws a seed for its workers.
        """
        with torch.random.fork_rng(devices=[]), PrintsToLog(self.logger):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop; what its data set prints goes into the log file."""
        with PrintsToLog(self.logger):
            return super().build_val_loop(loop)

    def test(self) -> dict:
        """Test, and show all that is logged of it."""
        end_brevity(self.logger)
        return super().test()

    @property
    def starts_training(self) -> bool:
        """Whether weights that are loaded now are where a training starts."""
        return isinstance(self._train_loop, BaseLoop) and not self._resume

    def resume(self, filename: str, *args: object, **kwargs: object) -> None:
        """Resume, and warn if the checkpoint's learning rate is that of another batch."""
        expected = self._initial_rates()
        super().resume(filename, *args, **kwargs)
        if (resumed := self._initial_rates()) != expected:
            self.logger.warning(
                f"{filename} was trained with the learning rate {resumed[-1]}, which it keeps; the "
                f"config and this number of processes and images would give {expected[-1]}"
            )

    def _initial_rates(self) -> list[float | None]:
        groups = self.optim_wrapper.param_groups
        return [group.get("initial_lr") for group in groups if group["params"]]


class StrictRunner(_Promises, SeededSamplesMixin, Runner):
    """mmengine's `Runner` with the promises above."""

    def load_checkpoint(
        self, filename: str, map_location: object = "cpu", strict: bool = False, **kwargs: object
    ) -> dict:
        """Load the model's weights and return the whole checkpoint.

        Raises:
            ValueError: The file is damaged, or holds anything but tensors and plain data.
            RuntimeError: It does not fit the model, and is to be resumed or tested.
        """
        strict = strict or not self.starts_training
        return super().load_checkpoint(filename, map_location, strict, **kwargs)

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rates by batch / base batch, `base_lr` of the log included."""
        rates = [group["lr"] for group in optim_wrapper.optimizer.param_groups]
        super().scale_lr(optim_wrapper, auto_scale_lr)
        ratio = optim_wrapper.optimizer.param_groups[0]["lr"] / rates[0]
        settings = optim_wrapper.base_param_settings or {"lr": max(rates)}
        rate, settings["lr"] = settings["lr"], settings["lr"] * ratio
        if auto_scale_lr and auto_scale_lr.get("enable"):
            self.logger.info(f"learning rate {rate:g} -> {settings['lr']:g} for this batch")


class StrictFlexibleRunner(_Promises, SeededSamplesMixin, FlexibleRunner):
    """mmengine's `FlexibleRunner`, which knows strategies, with the promises above."""

    def __init__(self, *args: object, auto_scale_lr: dict | None = None, **kwargs: object) -> None:
        # mmengine would scale the rates of the optimizer and forget `base_lr` of the log, with
        # which the schedulers begin.
        super().__init__(*args, **kwargs)
        self._scaling = auto_scale_lr or {}
        self.place: dict[str, int] = {}
        self.register_hook(WholeModelHook())

    def train(self) -> nn.Module:
        """Train, with the learning rate that follows the batch of all processes."""
        if self._scaling.get("enable"):
            images = self.cfg.train_dataloader.batch_size * self.world_size
            optimizer, base = self.optim_wrapper["optimizer"], self._scaling["base_batch_size"]
            rate, optimizer["lr"] = optimizer["lr"], optimizer["lr"] * images / base
            self.logger.info(
                f"LR is set based on batch size of {base} and the current batch size is {images}"
            )
            self.logger.info(f"learning rate {rate:g} -> {optimizer['lr']:g} for this batch")
        return super().train()

    def save_checkpoint(self, *args: object, meta: dict | None = None, **kwargs: object) -> None:
        """Save a checkpoint, of the epoch and iteration that `meta` gives if it does.

        mmengine would write later ones, so that a resumed run would leave out what is between.
        """
        self.place = {key: place for key, place in (meta or {}).items() if key in ("epoch", "iter")}
        super().save_checkpoint(*args, meta=meta, **kwargs)

    def load_or_resume(self) -> None:
        """Load or resume, after the strategy has built model and optimizer.

        Raises:
            ValueError: The strategy reads checkpoints by itself, code in them included.
        """
        own = isinstance(self.strategy, SingleDeviceStrategy)  # of which DDP and FSDP are kinds
        if not own and (self._resume or self._load_from):
            raise ValueError(
                f"{type(self.strategy).__name__} would run code that a checkpoint holds, so "
                "nothing is loaded with it; convnextv2.ShardedStrategy shards without that"
            )
        super().load_or_resume()


class WholeModelHook(Hook):
    """Compare a checkpoint's tensors with a strategy's model, before they are loaded.

    In a checkpoint that is saved it notes the place in the run that was asked for.

    Raises:
        RuntimeError: They do not fit the model, and are to be resumed or tested.
    """

    priority = "LOWEST"  # after hooks that exchange weights, such as EMAHook

    def before_save_checkpoint(self, runner: StrictFlexibleRunner, checkpoint: dict) -> None:
        """Write the epoch and iteration of `StrictFlexibleRunner.save_checkpoint`."""
        checkpoint["meta"].update(runner.place)

    def after_load_checkpoint(self, runner: StrictFlexibleRunner, checkpoint: dict) -> None:
        """Refuse, or, where a training starts from them, say what was left out."""
        expected = runner.strategy.model_state_dict()
        faults = find_differences(checkpoint["state_dict"], expected) if expected else []
        if faults and not runner.starts_training:
            raise RuntimeError("\n".join([NO_FIT, *faults]))
        if faults:
            runner.logger.warning("\n".join([NO_FIT, *faults]))


NO_FIT = "The model and loaded state dict do not match exactly"  # in mmengine's words


def find_differences(given: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """A line for each kind of difference between two state dicts, with the names."""
    shapes = [
        f"{name} {tuple(given[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(given.keys() & expected.keys())
        if given[name].shape != expected[name].shape
    ]
    kinds = {
        "unexpected": sorted(given.keys() - expected.keys()),
        "missing": sorted(expected.keys() - given.keys()),
        "of another shape": shapes,
    }
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
