"""What the entries of a config are: decided by the class that the registry finds.

A type may be written short, scoped, in full or, in pure Python configs, be the class itself.
"""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.registry import Registry

# Task -> the class that the models of a task descend from.
_TASKS = {
    "pretraining": "convnextv2.pretrain.fcmae.FCMAE",
    "detection": "mmdet.models.detectors.base.BaseDetector",
    "segmentation": "mmseg.models.segmentors.base.BaseSegmentor",
    "classification": "mmpretrain.models.classifiers.base.BaseClassifier",
}


def find_class(entry: object, registry: "Registry", scope: str | None = None) -> type | None:
    """The class that an entry would be built of; None if the registry knows none.

    Args:
        entry: A dict with a ``type``, or a type alone.
        registry: mmengine's, for what the entry describes.
        scope: The config's ``default_scope``.
    """
    from mmengine.registry import DefaultScope

    kind = entry.get("type") if isinstance(entry, dict) else entry
    if hasattr(kind, "build") and not isinstance(kind, type):  # mmengine's lazy object
        kind = kind.build()
    if not isinstance(kind, str):
        return kind if isinstance(kind, type) else None
    inner = entry.get("_scope_") if isinstance(entry, dict) else None
    with (
        DefaultScope.overwrite_default_scope(scope),
        registry.switch_scope_and_registry(inner) as found,
    ):
        try:
            known = found.get(kind)
        except RuntimeError:
            return None
    return known if isinstance(known, type) else None


def is_a(found: type | None, *names: str) -> bool:
    """Whether a class is, or descends from, one of those with these full names.

    Nothing is imported: whatever descends from a class has had its module imported.
    """
    for name in names:
        module, _, attribute = name.rpartition(".")
        parent = getattr(sys.modules.get(module), attribute, None)
        if found is not None and parent is not None and issubclass(found, parent):
            return True
    return False


def find_task(cfg: "Config") -> str | None:
    """``pretraining``, ``classification``, ``detection`` or ``segmentation``, by the model.

    None of a model of none of these kinds.
    """
    from mmengine.registry import MODELS

    found = find_class(cfg.get("model"), MODELS, cfg.get("default_scope"))
    return next((task for task, name in _TASKS.items() if is_a(found, name)), None)


def walk_datasets(entry: dict | None, where: str = "dataset") -> Iterator[tuple[str, dict]]:
    """The data sets inside of wrappers of any depth, each with its setting's name.

    Args:
        entry: A data set's, such as ``cfg.train_dataloader.dataset``; None has none.
        where: Name of its setting.
    """
    if not entry:
        return
    inner = entry.get("dataset") or entry.get("datasets")
    if isinstance(inner, dict):
        yield from walk_datasets(inner, f"{where}.dataset")
    elif isinstance(inner, (list, tuple)):
        for number, child in enumerate(inner):
            yield from walk_datasets(child, f"{where}.datasets.{number}")
    else:
        yield where, entry


def walk_built_datasets(dataset: object) -> Iterator[object]:
    """The same of data sets that are built."""
    inner = getattr(dataset, "dataset", None)
    for child in getattr(dataset, "datasets", () if inner is None else (inner,)):
        yield from walk_built_datasets(child)
    if inner is None and not hasattr(dataset, "datasets"):
        yield dataset


def list_metrics(evaluator: dict | list | None) -> list[dict]:
    """The metrics of an evaluator's entry: one, several, or below ``metrics``."""
    if isinstance(evaluator, dict) and "metrics" in evaluator:
        evaluator = evaluator["metrics"]
    return evaluator if isinstance(evaluator, list) else [evaluator] if evaluator else []
