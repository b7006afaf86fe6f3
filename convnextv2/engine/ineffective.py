"""What a user sets in a config, or on the command line, and what nothing reads."""

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

# Read beside what mmengine's runners take.
_READ = {
    "auto_scale_lr",
    "custom_imports",
    "find_unused_parameters",
    "model_wrapper_cfg",
    "tta_model",
    "tta_pipeline",
}


def find_ineffective(cfg: "Config", path: str, options: list[str] | None = None) -> list[str]:
    """Names of a base that are set anew where nothing reads them any more.

    A base's helper, such as ``data_root``, has done its work when the base was read: a child that
    sets it, and does not use it itself, changes nothing.

    Args:
        cfg: What was read of the file.
        path: Of the file.
        options: ``KEY=VALUE`` of the command line.
    """
    from mmengine.runner import FlexibleRunner, Runner

    read = {
        name for runner in (Runner, FlexibleRunner) for name in inspect.signature(runner).parameters
    }
    read |= _READ
    found = [option.split("=")[0] for option in options or () if "." not in option.split("=")[0]]
    found = [name for name in found if name in cfg]
    if path.endswith(".py") and Path(path).is_file():
        text = Path(path).read_text(encoding="utf-8")
        bases = cfg.text.replace(text, "")
        found += [
            name
            for name in _set_and_unused(ast.parse(text))
            if re.search(rf"^{name} *=", bases, re.MULTILINE)
        ]
    return [name for name in found if name not in read and not name.startswith("_")]


def _set_and_unused(tree: ast.Module) -> list[str]:
    """Names that a file sets at its top and uses nowhere itself."""
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    names = [getattr(target, "id", "_base_") for target in targets]
    return [name for name in names if name not in used]
