"""Reading a config, and checks before long work.

Nothing heavy is imported at the top, so that `--help` of the commands answers at once.
"""

import argparse
import logging
import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.errors import InputError, suggest
from convnextv2.engine.types import list_metrics, walk_datasets

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIG_SUFFIXES = (".py", ".yaml", ".yml", ".json")


def load_config(args: argparse.Namespace) -> "Config":
    """Read the config and apply the arguments that all commands have."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
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

    Raises:
        InputError: There is no such config, it cannot be run, a key exists nowhere, or a value
            cannot be.
    """
    from mmengine.logging import print_log

    from convnextv2.engine.effects import find_ineffective
    from convnextv2.engine.overrides import override
    from convnextv2.engine.settings import check_settings

    cfg = _read_file(path)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        # mmengine marks every type of a base by scope, and hands this mark to the function.
        if collate := (cfg.get(loader) or {}).get("collate_fn"):
            collate.pop("_scope_", None)
    for name in find_ineffective(cfg, path, options):
        text = f"{name} is set, but nothing reads it: the base has used its own value already"
        print_log(text, logger="current", level=logging.WARNING)
    override(cfg, options or [])
    check_settings(cfg)
    return cfg


def _read_file(path: str) -> "Config":
    """The config of a file, or of what is installed under a scope."""
    from mmengine.config import Config
    from mmengine.hub import get_config

    if "::" not in path:
        check_config_path(path)
    try:
        return get_config(path) if "::" in path else Config.fromfile(path)
    except Exception as error:
        raise InputError(describe_config_error(error, path)) from error


def check_config_path(path: str) -> None:
    """Stop if there is no config at a path, with the names that resemble it.

    Raises:
        InputError: There is none.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise InputError(f"the config {path} is a folder; give one of the .py files in it")
    if not file.exists():
        folder = file.parent
        if not folder.is_dir():
            raise InputError(f"the config {path} does not exist, nor does its folder")
        names = [entry.name for entry in folder.glob("*.py")]
        raise InputError(f"the config {path} does not exist{suggest(file.name, names)}")
    if file.suffix not in CONFIG_SUFFIXES:
        raise InputError(f"{path} is no config: its name must end in {', '.join(CONFIG_SUFFIXES)}")


def describe_config_error(error: BaseException, path: str) -> str:
    """What went wrong while a config was read, with the file, which may be a base, and the line."""
    files, line = [path], None
    for frame, number in traceback.walk_tb(error.__traceback__):
        name = frame.f_locals.get("filename")
        if frame.f_code.co_name in ("_file2dict", "_parse_lazy_import") and name:
            files.append(os.path.abspath(name))
        if frame.f_code.co_filename == files[-1]:
            line = number
    where = os.path.relpath(files[-1]) if len(files) > 1 else path
    if isinstance(error, SyntaxError):
        text = f": {error.text.strip()}" if error.text else ""
        return f"{where}, line {error.lineno}: {error.msg}{text}"
    if isinstance(error, FileNotFoundError) and not os.path.exists(files[-1]):
        return f"{os.path.relpath(files[-2])}: its _base_ {where} does not exist"
    if isinstance(error, ImportError) and error.__cause__:
        error = error.__cause__  # mmengine adds all of sys.path
    reason = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return f"{where}{f', line {line}' if line else ''}: {reason}"


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

    def need_file(path: str | None, setting: str) -> None:
        need(path, setting)
        if path and Path(path).expanduser().is_dir():
            missing.append(f"  {path}   is a folder, not a file   ({setting})")
        elif path and Path(path).is_file() and not Path(path).stat().st_size:
            missing.append(f"  {path}   is empty   ({setting})")

    def dataset(entry: dict, setting: str) -> None:
        root = entry.get("data_root") or ""
        need(root, f"{setting}.data_root")
        if not root or Path(root).exists():
            if entry.get("ann_file"):
                need_file(os.path.join(root, entry["ann_file"]), f"{setting}.ann_file")
            for key, folder in (entry.get("data_prefix") or {}).items():
                if folder:
                    need(os.path.join(root, folder), f"{setting}.data_prefix.{key}")

    for loader in loaders:
        if cfg.get(loader):
            for setting, entry in walk_datasets(cfg[loader]["dataset"], f"{loader}.dataset"):
                dataset(entry, setting)
            name = loader.replace("dataloader", "evaluator")
            for evaluator in list_metrics(cfg.get(name)):
                need_file(evaluator.get("ann_file"), f"{name}.ann_file")
    init_cfg = cfg.get("model", {}).get("backbone", {}).get("init_cfg") or {}
    if isinstance(init_cfg, dict) and "train_dataloader" in loaders:
        need_file(init_cfg.get("checkpoint"), "model.backbone.init_cfg.checkpoint")
    preprocessor = cfg.get("model", {}).get("data_preprocessor") or {}
    need_file(
        preprocessor.get("statistics"),
        "model.data_preprocessor.statistics, from "
        "tools/dataset_converters/compute_statistics.py CONFIG",
    )
    need_file(cfg.get("load_from"), "load_from, or the checkpoint on the command line")
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
