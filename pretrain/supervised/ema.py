"""The moving average of the weights over a training (EMA), which is what the next stage takes."""

from typing import Any

from mmengine import hooks, model
from mmengine.runner import Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from convnextv2.engine.errors import InputError
from convnextv2.registry import HOOKS, MODELS


@MODELS.register_module()
class WeightAverage(model.ExponentialMovingAverage):
    """average = (1 - momentum) * average + momentum * weights, from the initial weights on.

    mmengine's own begins with the weights after the first step instead.

    Args:
        kwargs: Of mmengine's class: `model`, `momentum`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps += 1  # to it, at 0 there is no average yet


@HOOKS.register_module()
class EMAHook(hooks.EMAHook):
    """mmengine's `EMAHook`, averaging once a step of the optimizer (paper, Tables 9 to 13).

    Validations and tests are of the average. In a checkpoint it is ``state_dict``, which tests,
    inference and later stages load; ``ema_state_dict`` has the weights as trained, with which a
    resumed run goes on exactly.

    Args:
        momentum: 1 - decay: 1e-4 for the paper's .9999.
        kwargs: Of mmengine's hook and of the average.

    Raises:
        InputError: When the run begins: the weights lie in shards.
    """

    def __init__(self, momentum: float = 1e-4, **kwargs: Any) -> None:
        options = {"ema_type": "convnextv2.WeightAverage", "strict_load": True, **kwargs}
        super().__init__(momentum=momentum, **options)
        self._said = False

    def before_run(self, runner: Runner) -> None:
        """Begin with a copy of the model."""
        if isinstance(runner.model, FullyShardedDataParallel):
            raise InputError(
                "the moving average needs whole weights, which a sharded strategy does not have: "
                "leave out the strategy, or the average by default_hooks.ema=None"
            )
        super().before_run(runner)

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Average where the optimizer made a step; not while gradients are gathered."""
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, *args, **kwargs)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Exchange the two, and say so once."""
        super().before_save_checkpoint(runner, checkpoint)
        if not self._said:
            self._said = True
            runner.logger.info(
                "checkpoints hold the moving average of the weights (EMA, momentum "
                f"{self.ema_cfg['momentum']:g}) as state_dict, which is what a later stage takes; "
                "the weights as trained, to resume with, are ema_state_dict"
            )
