"""Reading a config, and checks before long work.

Nothing heavy is imported at the top, so that `--help` of the commands answers at once.
"""

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.types import list_metrics, walk_datasets

if TYPE_CHECKING:
    from mmengine.config import Config


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
    """Read a config and override entries of it, ``KEY=VALUE`` as on the command line.

    What is set and cannot take effect is logged by name.

    Args:
        path: Of the file, or ``convnextv2::detection/NAME.py`` of one that is installed.
        options: ``KEY=VALUE``.
    """
    from mmengine.config import Config, DictAction
    from mmengine.hub import get_config
    from mmengine.logging import print_log

    from convnextv2.engine.effects import find_ineffective

    cfg = get_config(path) if "::" in path else Config.fromfile(path)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        # mmengine marks every type of a base by scope, and hands this mark to the function.
        if collate := (cfg.get(loader) or {}).get("collate_fn"):
            collate.pop("_scope_", None)
    for name in find_ineffective(cfg, path, options):
        text = f"{name} is set, but nothing reads it: the base has used its own value already"
        print_log(text, logger="current", level=logging.WARNING)
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

    for loader in loaders:
        if cfg.get(loader):
            for setting, entry in walk_datasets(cfg[loader]["dataset"], f"{loader}.dataset"):
                dataset(entry, setting)
            name = loader.replace("dataloader", "evaluator")
            for evaluator in list_metrics(cfg.get(name)):
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
