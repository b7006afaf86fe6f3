"""Several processes: where they come from, and what they need without GPUs."""

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config


def use_cpu_where_no_gpu(cfg: "Config") -> None:
    """On a machine without a GPU: full precision, and several processes through gloo with BN.

    Raises:
        SystemExit: Several processes are asked for and nothing started them.
    """
    import torch

    if torch.cuda.is_available():
        return
    from mmengine.logging import print_log
    from mmengine.registry import OPTIM_WRAPPERS

    from convnextv2.engine.types import find_class, is_a

    wrapper = find_class(cfg.get("optim_wrapper"), OPTIM_WRAPPERS, cfg.get("default_scope"))
    if is_a(wrapper, "mmengine.optim.AmpOptimWrapper"):
        print_log("no GPU: training in full precision, without AMP", logger="current")
        cfg.optim_wrapper.type = "OptimWrapper"
        for option in ("loss_scale", "dtype", "use_fsdp"):
            cfg.optim_wrapper.pop(option, None)
    if cfg.launcher == "none":
        return
    if cfg.launcher == "slurm":
        name_slurm_ranks()
    if missing := [k for k in ("RANK", "WORLD_SIZE", "MASTER_ADDR") if k not in os.environ]:
        raise SystemExit(
            f"--launcher {cfg.launcher}, but {', '.join(missing)} are not set: "
            "start the processes with tools/dist_train.sh or tools/dist_test.sh"
        )
    print_log("no GPU: the processes talk through gloo, and SyncBN becomes BN", logger="current")
    # mmengine would select a CUDA device first; it leaves a group that exists as it is.
    torch.distributed.init_process_group("gloo")
    cfg.model_wrapper_cfg = {
        "type": "MMDistributedDataParallel",
        "device_ids": None,  # mmengine would name a GPU
        "broadcast_buffers": False,
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
    }
    replace_sync_bn(cfg.model, cfg.get("default_scope"))


def name_slurm_ranks() -> None:
    """Set what torch reads of a process that `srun` started, as mmengine does where GPUs are.

    Raises:
        SystemExit: `srun` did not start it.
    """
    names = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
    if missing := [k for k in (*names.values(), "SLURM_NODELIST") if k not in os.environ]:
        raise SystemExit(
            f"--launcher slurm, but {', '.join(missing)} are not set: "
            "start the processes with tools/slurm_train.sh or tools/slurm_test.sh"
        )
    os.environ.update({name: os.environ[slurm] for name, slurm in names.items()})
    if "MASTER_ADDR" not in os.environ:
        command = ["scontrol", "show", "hostnames", os.environ["SLURM_NODELIST"]]
        hosts = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        os.environ["MASTER_ADDR"] = hosts.split()[0]
    os.environ.setdefault("MASTER_PORT", "29500")


def replace_sync_bn(cfg: object, scope: str | None = None) -> None:
    """Turn every synchronised batch norm below a config entry into ``BN``, in place.

    With one process mmengine does so by itself; several processes without a GPU need this.

    Args:
        cfg: Such as ``cfg.model``.
        scope: The config's ``default_scope``.
    """
    from mmengine.registry import MODELS

    from convnextv2.engine.types import find_class, is_a

    if isinstance(cfg, dict):
        names = ("torch.nn.SyncBatchNorm", "mmcv.ops.sync_bn.SyncBatchNorm")
        if is_a(find_class(cfg, MODELS, scope), *names):
            cfg["type"] = "BN"
        cfg = list(cfg.values())
    if isinstance(cfg, (list, tuple)):
        for entry in cfg:
            replace_sync_bn(entry, scope)
