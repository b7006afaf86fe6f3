"""What `train.py` and `test.py` share: arguments, the config, and checks before long work.

Nothing heavy is imported at the top, so that `--help` answers at once; mim asks for it first.
"""

import argparse
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config


def make_parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser with the arguments that MM's training and test commands have in common."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="path of the config")
    parser.add_argument("--work-dir", help="default: work_dirs/NAME_OF_THE_CONFIG")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        metavar="KEY=VALUE",
        help='override config entries, such as model.backbone.arch=base or a="[(1,2),(3,4)]"',
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    # torch.distributed.launch, which mim uses, passes the second spelling.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def load_config(args: argparse.Namespace) -> "Config":
    """Read the config and apply the arguments that all commands have."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    # mmengine reads a checkpoint again without protection when the protected way fails. This
    # makes torch refuse.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"

    from mmengine.config import Config

    cfg = read_config(args.config, args.cfg_options)
    name = Path(args.config).stem
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or f"work_dirs/{name}"
    cfg.setdefault("experiment_name", name)
    # mmengine copies the config into the work dir. Under its own name, mim would afterwards find
    # two configs of that name below the repository and refuse both.
    return Config(cfg.to_dict(), cfg_text=cfg.pretty_text, filename="config.py")


def read_config(path: str, options: list[str] | None = None) -> "Config":
    """Read a config and override entries of it, ``KEY=VALUE`` as on the command line."""
    from mmengine.config import Config, DictAction

    cfg = Config.fromfile(path)
    if options:
        holder = argparse.Namespace()
        DictAction("--cfg-options", "cfg_options")(None, holder, options)
        cfg.merge_from_dict(holder.cfg_options)
    return cfg


def check_files(cfg: "Config", loaders: tuple[str, ...]) -> None:
    """Stop, naming them all, if files or folders that the run will need are not there.

    Args:
        cfg: The whole config.
        loaders: Names of the data loaders that will be used, such as ``train_dataloader``.

    Raises:
        SystemExit: Something is missing.
    """
    missing = []

    def need(path: str | None, setting: str) -> None:
        if path and "://" not in path and not Path(path).expanduser().exists():
            missing.append(f"  {path}   ({setting})")

    def dataset(entry: dict, setting: str) -> None:
        root = entry.get("data_root") or ""
        need(root, f"{setting}.data_root")
        if not root or Path(root).exists():
            if entry.get("ann_file"):
                need(os.path.join(root, entry["ann_file"]), f"{setting}.ann_file")
            for key, folder in (entry.get("data_prefix") or {}).items():
                if folder:
                    need(os.path.join(root, folder), f"{setting}.data_prefix.{key}")
        inner = entry.get("dataset") or entry.get("datasets") or []
        for child in inner if isinstance(inner, list) else [inner]:
            dataset(child, f"{setting}.dataset")

    for loader in loaders:
        if cfg.get(loader):
            dataset(cfg[loader]["dataset"], f"{loader}.dataset")
            name = loader.replace("dataloader", "evaluator")
            evaluators = cfg.get(name) or []
            for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
                need(evaluator.get("ann_file"), f"{name}.ann_file")
    init_cfg = cfg.get("model", {}).get("backbone", {}).get("init_cfg") or {}
    if isinstance(init_cfg, dict) and "train_dataloader" in loaders:
        need(init_cfg.get("checkpoint"), "model.backbone.init_cfg.checkpoint")
    preprocessor = cfg.get("model", {}).get("data_preprocessor") or {}
    need(
        preprocessor.get("statistics"),
        "model.data_preprocessor.statistics, from tools/compute_statistics.py CONFIG",
    )
    need(cfg.get("load_from"), "load_from, or the checkpoint on the command line")
    if missing:
        raise SystemExit(
            "These do not exist:\n" + "\n".join(missing) + "\n"
            "Correct the config, or set them on the command line: --cfg-options SETTING=PATH."
        )


def use_cpu_where_no_gpu(cfg: "Config") -> None:
    """On a machine without a GPU: full precision, and several processes through gloo with BN.

    Raises:
        SystemExit: Several processes are asked for and nothing started them.
    """
    import torch

    if torch.cuda.is_available():
        return
    from mmengine.logging import print_log

    from convnextv2.segmentation.norm import replace_sync_bn

    if cfg.get("optim_wrapper", {}).get("type") == "AmpOptimWrapper":
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
    replace_sync_bn(cfg.model)


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
