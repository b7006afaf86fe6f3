"""Several processes: where they come from, and what they need without GPUs."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

# Seconds after which a process that waits for another one in vain ends the job.
TIMEOUT = 600
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def first_process() -> bool:
    """Whether this is the only or the first process of the run."""
    names = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
    return all(int(os.environ.get(name, 0)) == 0 for name in names)


def end_with_launcher(launcher: str) -> None:
    """Let this process be killed when the one that started it has ended, however it ended.

    Otherwise its processes would go on when a launcher is killed by ``kill -9``, and a restarted
    job would meet them in its work dir. Nothing is done where no launcher started it: a process
    of a user's shell may outlive the shell.

    Args:
        launcher: ``none``, or what started several processes.
    """
    if launcher == "none":
        return
    # convnextv2.engine.torchrun tells who it is: it may have ended before we ask.
    parent = int(os.environ.get("CONVNEXTV2_LAUNCHER_PID", os.getppid()))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def limit_waiting(cfg: "Config") -> None:
    """Where the config says nothing of it, let nobody wait longer than `TIMEOUT` for a process."""
    dist_cfg = cfg.setdefault("env_cfg", {}).setdefault("dist_cfg", {})
    dist_cfg.setdefault("timeout", TIMEOUT)


def do_without_gpu(cfg: "Config") -> None:
    """On a machine without a GPU: the CPU's precision, several processes through gloo with BN.

    Raises:
        SystemExit: Several processes are asked for and nothing started them.
    """
    import torch

    from .cpu_amp import put_amp_on_cpu

    if torch.cuda.is_available():
        return
    put_amp_on_cpu(cfg)
    if cfg.launcher != "none":
        connect_through_gloo(cfg)
        replace_sync_bn(cfg.model, cfg.get("default_scope"))


def connect_through_gloo(cfg: "Config") -> None:
    """Join the process group, and let the config's model be wrapped without naming a GPU.

    Raises:
        SystemExit: Nothing started several processes.
    """
    import torch
    from mmengine.logging import print_log

    if cfg.launcher == "slurm":
        name_slurm_ranks()
    if missing := [k for k in ("RANK", "WORLD_SIZE", "MASTER_ADDR") if k not in os.environ]:
        raise SystemExit(
            f"--launcher {cfg.launcher}, but {', '.join(missing)} are not set: "
            "start the processes with tools/dist_train.sh or tools/dist_test.sh"
        )
    print_log("no GPU: the processes talk through gloo, and SyncBN becomes BN", logger="current")
    # mmengine would select a CUDA device first; it leaves a group that exists as it is.
    seconds = cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout", TIMEOUT)
    torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=seconds))
    cfg.model_wrapper_cfg = {
        "type": "MMDistributedDataParallel",
        "device_ids": None,  # mmengine would name a GPU
        "broadcast_buffers": False,
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
    }


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
