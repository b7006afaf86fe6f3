"""The data checks that check_data.py reports and that train.py insists on.

What is checked of a data set is its kind's, a `Part` that its task describes. A finding is
``(level, text)``; ``fatal`` ones keep a training from starting.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.data_parts import Finding, Part
from convnextv2.engine.tasks import list_tasks
from convnextv2.engine.types import find_class, is_a, walk_datasets

if TYPE_CHECKING:
    from mmengine.config import Config

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def refuse_fatal(cfg: Config) -> None:
    """Stop a training whose data have fatal faults; looks at no image.

    Raises:
        SystemExit: There are; the first are named.
    """
    parts = [part for part in list_parts(cfg, LOADERS[:2]) if part.before_training]
    for part in parts:
        part.read()
    findings = [f for part in parts for f in part.findings] + check_heads(cfg, parts)
    fatal = [text for level, text in findings if level == "fatal"]
    if fatal:
        more = f"\n  and {len(fatal) - 10} more" if len(fatal) > 10 else ""
        raise SystemExit(
            "The data cannot be trained on:\n  " + "\n  ".join(fatal[:10]) + more + "\n"
            "python tools/dataset_converters/check_data.py CONFIG names all of it and "
            "looks into the images too."
        )


def list_parts(cfg: Config, loaders: tuple[str, ...] = LOADERS) -> list[Part]:
    """The data sets of a config, each once, none of which was read."""
    from mmengine.registry import DATASETS, init_default_scope

    scope = cfg.get("default_scope", "mmengine")
    init_default_scope(scope)
    kinds = [kind for task in list_tasks() for kind in task.parts]
    parts: dict[str, Part] = {}
    for loader in loaders:
        for _, entry in walk_datasets((cfg.get(loader) or {}).get("dataset")):
            found = find_class(entry, DATASETS, scope)
            kind = next((kind for kind in kinds if is_a(found, kind.dataset)), Part)
            same = str({key: value for key, value in entry.items() if key != "pipeline"})
            parts.setdefault(same, kind(loader.split("_")[0], entry))
    return list(parts.values())


def check_heads(cfg: Config, parts: list[Part]) -> list[Finding]:
    """Compare the number of classes of the model's heads with that of the data."""
    classes = {len(part.classes) for part in parts if part.classes}
    return [
        ("fatal", f"{where}.num_classes is {count}, the data have {number} classes")
        for number in classes
        for where, count in _num_classes(cfg.model, "model")
        if count != number
    ]


def check_overlap(parts: list[Part]) -> list[Finding]:
    """Images of the training part that are in another too, by their content.

    Only files of one size are read.
    """
    by_size: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for part in parts:
        for path in part.images:
            if os.path.isfile(path):
                by_size[os.path.getsize(path)][part.name].append(path)
    return [
        ("warning", f"in training and elsewhere: {path} is {twin}")
        for groups in by_size.values()
        for path, twin in _find_twins(groups)
    ]


def _find_twins(groups: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Paths of the training part, and those of others with the same content."""
    others = [path for name, paths in groups.items() if name != "train" for path in paths]
    if "train" not in groups or not others:
        return
    contents = defaultdict(list)
    for path in others:
        contents[_digest(path)].append(path)
    for path in groups["train"]:
        yield from ((path, twin) for twin in contents.get(_digest(path), ()))


def _num_classes(model: object, where: str) -> Iterator[tuple[str, int]]:
    children: Iterable[tuple] = model.items() if isinstance(model, dict) else ()
    if isinstance(model, (list, tuple)):
        children = enumerate(model)
    for key, value in children:
        if key == "num_classes" and where.endswith("head"):
            yield where, value
        else:
            yield from _num_classes(value, f"{where}.{key}")


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
