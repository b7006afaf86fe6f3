"""A warm-up whose length is a share of the run."""

from typing import Any

from mmengine.optim import LinearLR

from convnextv2.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmUpLR(LinearLR):
    """mmengine's `LinearLR` from the start of a run, of which `end` may be a part of an epoch."""

    @classmethod
    def build_iter_from_epoch(
        cls, *args: Any, end: float, epoch_length: int, by_epoch: bool = True, **kwargs: Any
    ) -> "WarmUpLR":
        """As mmengine's, with at least the two steps that a ramp has."""
        steps = max(2, round(end * epoch_length))
        return cls(*args, end=steps, by_epoch=False, **kwargs)
