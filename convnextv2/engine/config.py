"""Reading a config: its file, what the command line sets in it, and what is wrong with them.

Nothing heavy is imported at the top, so that `--help` of the commands answers at once.
"""

import argparse
import logging
import os
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.errors import InputError, suggest
from convnextv2.environment import check_core, check_scope

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIG_SUFFIXES = (".py", ".yaml", ".yml", ".json")


def load_config(args: argparse.Namespace) -> "Config":
    """The config of a command's arguments, with its launcher and work dir.

    ``LOCAL_RANK`` is set where the launcher gave the rank as an argument: mmengine asks for it.

    Args:
        args: As `cli.make_runner_parser` reads them.

    Raises:
        InputError: As of `read_config`.
    """
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
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

    What is set and cannot take effect is logged by name; in a child of a template, whose settings
    are written into the rest here, it is an error.

    Args:
        path: Of the file, or ``convnextv2::detection/NAME.py`` of one that is installed.
        options: ``KEY=VALUE``.

    Raises:
        InputError: There is no such config, it cannot be run, a key exists nowhere, or a value
            cannot be.
        LibraryError: A library that the config needs is missing, too old or there twice.
    """
    check_core()
    from mmengine.logging import print_log

    from convnextv2.bands import leave_out_colour_steps
    from convnextv2.engine.ineffective import find_ineffective
    from convnextv2.engine.overrides import override
    from convnextv2.engine.settings import check_settings
    from convnextv2.engine.templates import fill_template, is_template

    cfg = _read_file(path)
    check_scope(cfg.get("default_scope"))
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        # mmengine marks every type of a base by scope, and hands this mark to the function.
        for name in ("collate_fn", "worker_init_fn"):
            if function := (cfg.get(loader) or {}).get(name):
                function.pop("_scope_", None)
    ineffective = [] if is_template(cfg) else find_ineffective(cfg, path, options)
    for name in ineffective:
        text = f"{name} is set, but nothing reads it: the base has used its own value already"
        print_log(text, logger="current", level=logging.WARNING)
    override(cfg, options or [])
    fill_template(cfg, path, options or [])
    check_settings(cfg)
    leave_out_colour_steps(cfg)
    return cfg


def _read_file(path: str) -> "Config":
    """The config of a file, or of what is installed under a scope."""
    from mmengine.config import Config
    from mmengine.hub import get_config

    if "::" not in path:
        check_config_path(path)
    try:
        with warnings.catch_warnings():
            # mmengine 0.10.7 finds `mmdet::` by it.
            warnings.filterwarnings("ignore", "pkg_resources is deprecated")
            return get_config(path) if "::" in path else Config.fromfile(path)
    except Exception as error:
        if isinstance(error, ImportError):  # of a `_base_` in a library
            check_scope("mmdet")
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
    if not file.is_file():
        raise InputError(f"the config {path} is no regular file")
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
