"""What a user sets in a config, or on the command line, and what nothing reads."""

import ast
import inspect
import os
import re
from collections.abc import Collection, Iterator, Sequence
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
    found = [option.split("=")[0] for option in options or () if "." not in option.split("=")[0]]
    found = [name for name in found if name in cfg]
    if path.endswith(".py") and Path(path).is_file():
        text = Path(path).read_text(encoding="utf-8")
        bases = cfg.text.replace(text, "")
        tree = ast.parse(text)
        found += [
            name
            for name in _set_names(tree)
            if name not in _used_names(tree) and re.search(rf"^{name} *=", bases, re.MULTILINE)
        ]
    return _unread(found, ())


def find_unread(path: str, options: Sequence[str], known: Collection[str]) -> list[str]:
    """Names that a child of a template sets at its top, and that nothing reads.

    Args:
        path: Of the child. Its bases are looked at too, up to the template.
        options: ``KEY=VALUE`` of the command line.
        known: What is read beside what mmengine's runners take.
    """
    trees = list(_children(path))
    used = {name for tree in trees for name in _used_names(tree)}
    found = [option.partition("=")[0].split(".")[0] for option in options]
    found = [name for name in found if not name.startswith("+")]  # which is meant to be new
    found += [name for tree in trees for name in _set_names(tree) if name not in used]
    return _unread(dict.fromkeys(found), known)


def _children(path: str) -> Iterator[ast.Module]:
    """A config of Python and its bases, up to that which is a template."""
    if not path.endswith(".py") or not Path(path).is_file():
        return
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    yield tree
    names = list(_set_names(tree))
    if "template" in names or "_base_" not in names:
        return
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_base_":
            bases = ast.literal_eval(node.value)
            for base in [bases] if isinstance(bases, str) else bases:
                yield from _children(os.path.join(os.path.dirname(path), base))


def _unread(names: Collection[str], known: Collection[str]) -> list[str]:
    from mmengine.runner import FlexibleRunner, Runner

    read = {
        name for runner in (Runner, FlexibleRunner) for name in inspect.signature(runner).parameters
    }
    read |= _READ | set(known)
    return [name for name in names if name not in read and not name.startswith("_")]


def _set_names(tree: ast.Module) -> Iterator[str]:
    """Names that a file sets at its top."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            yield from (name.id for name in names if isinstance(name, ast.Name))


def _used_names(tree: ast.Module) -> set[str]:
    """Names that a file uses anywhere, those of its bases included."""
    nodes = list(ast.walk(tree))
    names = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return names | {n.attr for n in nodes if isinstance(n, ast.Attribute)}
