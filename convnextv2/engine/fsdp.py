"""Fully sharded data parallel training, for networks whose optimizer fills a GPU (Huge)."""

from contextlib import AbstractContextManager, nullcontext

import torch
from mmengine._strategy import FSDPStrategy
from mmengine.dist import is_main_process
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from convnextv2.files import written_whole
from convnextv2.registry import STRATEGIES


@STRATEGIES.register_module()
class ShardedStrategy(FSDPStrategy):
    """mmengine's `FSDPStrategy` with checkpoints that are whole, atomic, and can be resumed.

    ``--cfg-options strategy.type=convnextv2.ShardedStrategy`` uses it. The optimizer's state and
    the gradients lie in shards; during a step every process holds all weights, since the encoders
    use the parameters of the backbone's layers without calling these.

    Args:
        model_wrapper: As of `FSDPStrategy`.
    """

    def __init__(self, *, model_wrapper: dict | None = None, **kwargs: object) -> None:
        model_wrapper = {"type": "MMFullyShardedDataParallel", **(model_wrapper or {})}
        # Copying to the CPU what is there already crashes torch 2.13.
        to_cpu = torch.cuda.is_available()
        if not to_cpu:
            model_wrapper.setdefault("device_id", torch.device("cpu"))
        options = {"offload_to_cpu": to_cpu, "rank0_only": to_cpu}
        super().__init__(
            model_wrapper=model_wrapper,
            state_dict_cfg={
                "state_dict_type": "FULL_STATE_DICT",
                "state_dict_config": {"type": "FullStateDictConfig", **options},
                "optim_state_dict_config": {"type": "FullOptimStateDictConfig", **options},
            },
            **kwargs,
        )

    def save_checkpoint(self, filename: str, **kwargs: object) -> None:
        """Write a checkpoint beside the target, then rename it over the target."""
        if not is_main_process():  # which takes part in gathering the state
            super().save_checkpoint(filename, **kwargs)
            return
        with written_whole(filename) as partial:
            super().save_checkpoint(str(partial), **kwargs)

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Give each process its shard of the optimizer's state."""
        # By name: torch 2.3 changed the order that mmengine relies on.
        sharded = FullyShardedDataParallel.optim_state_dict_to_load(
            model=self.model, optim=self.optim_wrapper.optimizer, optim_state_dict=state_dict
        )
        self.optim_wrapper.load_state_dict(sharded)


def whole_parameters(model: nn.Module) -> AbstractContextManager:
    """A context in which a model's parameters can be used outside its forward, sharded or not."""
    if isinstance(model, FullyShardedDataParallel):
        return FullyShardedDataParallel.summon_full_params(model, writeback=False)
    return nullcontext()
