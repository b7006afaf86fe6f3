"""What the entries of a config are: decided by the class that the registry finds.

A type may be written short, scoped, in full or, in pure Python configs, be the class itself.
"""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.registry import Registry


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


def walk_datasets(entry: dict | None, where: str = "dataset") -> Iterator[tuple[str, dict]]:
    """The data sets inside of wrappers of any depth, each with its setting's name.

    Args:
        entry: A data set's, such as ``cfg.train_dataloader.dataset``; None has none.
        where: Name of its setting.
    """
    for setting, found in walk_entries(entry, where):
        if not list(_list_inner(found, setting)):
            yield setting, found


def walk_entries(entry: dict | None, where: str = "dataset") -> Iterator[tuple[str, dict]]:
    """The same with the wrappers, each before what is in it."""
    if entry:
        yield where, entry
        for setting, child in _list_inner(entry, where):
            yield from walk_entries(child, setting)


def _list_inner(entry: dict, where: str) -> Iterator[tuple[str, dict]]:
    """What a wrapper wraps, each with its setting's name; nothing of a data set."""
    inner = entry.get("dataset") or entry.get("datasets")
    if isinstance(inner, dict):
        yield f"{where}.dataset", inner
    elif isinstance(inner, (list, tuple)):
        for number, child in enumerate(inner):
            yield f"{where}.datasets.{number}", child


def walk_built_datasets(dataset: object) -> Iterator[object]:
    """What `walk_datasets` finds, of data sets that are built."""
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


def without_labels(pipeline: list, scope: str | None) -> list:
    """The steps of a pipeline that do not load annotations; those inside of others are left out.

    Args:
        pipeline: Entries of transforms, or lists of them; some are changed.
        scope: The config's ``default_scope``.
    """
    from mmengine.registry import TRANSFORMS

    labels = "mmcv.transforms.loading.LoadAnnotations"
    kept = [
        step
        for step in pipeline
        if isinstance(step, list) or not is_a(find_class(step, TRANSFORMS, scope), labels)
    ]
    for step in kept:
        if "transforms" in step:  # TestTimeAug has lists of alternatives, of which none is empty
            alternatives = [without_labels(entry, scope) for entry in step["transforms"]]
            step["transforms"] = [entry for entry in alternatives if entry]
    return kept
