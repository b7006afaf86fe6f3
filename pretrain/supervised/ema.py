"""The moving average of the weights over a training (EMA), which is what the next stage takes."""

from typing import Any

from mmengine import hooks
from mmengine.runner import Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from convnextv2.engine.errors import InputError
from convnextv2.registry import HOOKS


@HOOKS.register_module()
class EMAHook(hooks.EMAHook):
    """mmengine's `EMAHook` as the paper averages (Tables 9 to 13): once a step of the optimizer.

    average = (1 - momentum) * average + momentum * weights, from the weights before the first step
    on. Validations and tests are of the average. In a checkpoint it is ``state_dict``, which
    tests, inference and later stages load; ``ema_state_dict`` has the weights as trained, with
    which a resumed run goes on exactly.

    Args:
        momentum: 1 - decay: 1e-4 for the paper's .9999.
        kwargs: Of mmengine's hook.

    Raises:
        InputError: When the run begins: the weights lie in shards.
    """

    def __init__(self, momentum: float = 1e-4, **kwargs: Any) -> None:
        super().__init__(momentum=momentum, **kwargs)
        self._said = False

    def before_run(self, runner: Runner) -> None:
        """Make room for the average."""
        if isinstance(runner.model, FullyShardedDataParallel):
            raise InputError(
                "the moving average needs whole weights, which a sharded strategy does not have: "
                "leave out the strategy, or EMAHook from custom_hooks"
            )
        super().before_run(runner)

    def before_train(self, runner: Runner) -> None:
        """Begin with the weights as they are now, initialised or loaded; resumed, as they were."""
        super().before_train(runner)
        if self.ema_model.steps == 0:
            self.ema_model.update_parameters(self.src_model)  # the first time a copy

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Average where the optimizer made a step; not while gradients are gathered."""
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, *args, **kwargs)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Exchange the two back; a checkpoint to resume from fills all of the average."""
        self.strict_load = bool(runner._resume)
        super().after_load_checkpoint(runner, checkpoint)

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
