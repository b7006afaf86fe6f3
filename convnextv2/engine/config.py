"""Reading a config, and checks before long work.

Nothing heavy is imported at the top, so that `--help` of the commands answers at once.
"""

import argparse
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.environment import LibraryError, check_core, check_scope

if TYPE_CHECKING:
    from mmengine.config import Config


def load_config(args: argparse.Namespace) -> "Config":
    """Read the config and apply the arguments that all commands have."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    try:
        cfg = read_config(args.config, args.cfg_options)
    except LibraryError as error:
        raise SystemExit(str(error)) from error
    from mmengine.config import Config

    name = Path(args.config).stem
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or f"work_dirs/{name}"
    cfg.setdefault("experiment_name", name)
    # mmengine copies the config into the work dir. Under its own name, mim would afterwards find
    # two configs of that name below the repository and refuse both.
    return Config(cfg.to_dict(), cfg_text=cfg.pretty_text, filename="config.py")


def read_config(path: str, options: list[str] | None = None) -> "Config":
    """Read a config and override entries of it, ``KEY=VALUE`` as on the command line.

    Raises:
        LibraryError: A library that the config needs is missing, too old or there twice.
    """
    check_core()
    from mmengine.config import Config, DictAction

    try:
        with warnings.catch_warnings():
            # 0.10.7 finds `mmdet::` by it.
            warnings.filterwarnings("ignore", "pkg_resources is deprecated")
            cfg = Config.fromfile(path)
    except ImportError:  # of a `_base_` in a library
        check_scope("mmdet")
        raise
    check_scope(cfg.get("default_scope"))
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
        "model.data_preprocessor.statistics, from "
        "tools/dataset_converters/compute_statistics.py CONFIG",
    )
    need(cfg.get("load_from"), "load_from, or the checkpoint on the command line")
    if missing:
        raise SystemExit(
            "These do not exist:\n" + "\n".join(missing) + "\n"
            "Correct the config, or set them on the command line: --cfg-options SETTING=PATH."
        )


def fetch_checkpoints(cfg: "Config") -> None:
    """Download checkpoints that are given by address, and let ``load_from`` name the copy.

    To call in every process before the runner is made: it would load addresses in mmengine's own
    way, and a long download would meet the time limit of the process group.

    Raises:
        OSError: The server does not give the file.
        ValueError: It is no weight file, or not the right one.
    """
    from convnextv2.downloads import fetch_weights
    from convnextv2.transfers import is_address

    init_cfg = cfg.get("model", {}).get("backbone", {}).get("init_cfg")
    if isinstance(init_cfg, dict) and is_address(str(init_cfg.get("checkpoint"))):
        fetch_weights(init_cfg["checkpoint"])
    if is_address(str(cfg.get("load_from"))):
        cfg.load_from = str(fetch_weights(cfg.load_from))
