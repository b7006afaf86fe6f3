"""Does a model have as many classes as the data, wherever it is told their number?"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from convnextv2.data_parts import Part
from convnextv2.engine.types import find_class
from convnextv2.findings import Finding

# What is in these has a number of classes of its own: ImageNet's, objects alone, stuff, words.
OTHERS = ("backbone", "data_preprocessor", "rpn_head", "semantic_head", "language_model", "reid")


def check_heads(model: Any, parts: Sequence[Part]) -> list[Finding]:
    """Compare the number of classes of a model's heads with that of the data.

    Args:
        model: The config's.
        parts: They were read.
    """
    named = [part for part in parts if part.classes]
    findings = [
        Finding("fatal", "numbers of classes unlike the data's", text)
        for number in dict.fromkeys(len(part.classes) for part in named)
        for text in _list_unlike(model, "model", number)
    ]
    for part in named[1:]:
        if part.classes != named[0].classes:
            text = f"{part.name} has the classes {_shorten(part.classes)}, but {named[0].name} "
            text += f"{_shorten(named[0].classes)}: {_compare(part, named[0])}"
            findings.append(Finding("fatal", "parts with different classes", text))
    for part in named:
        twice = sorted({name for name in part.classes if part.classes.count(name) > 1})
        if twice:
            text = f"{part.name}: classes names {', '.join(map(repr, twice))} more than once"
            findings.append(Finding("fatal", "names of several classes", text))
    return findings


def _list_unlike(entry: Any, where: str, number: int) -> Iterator[str]:
    """Texts about the places, at any depth, that have another number of classes."""
    if isinstance(entry, (list, tuple)):
        for place, child in enumerate(entry):
            yield from _list_unlike(child, f"{where}.{place}", number)
    if not isinstance(entry, dict):
        return
    said = f"the data have {number} classes"
    for name, count in _read_counts(entry):
        if count != number:
            yield f"{where}.{name} is {count}, {said}"
    weights = entry.get("class_weight")
    # One more is for what is no object.
    if isinstance(weights, (list, tuple)) and len(weights) not in (number, number + 1):
        yield f"{where}.class_weight has {len(weights)} weights, {said}"
    if "language_model" in entry:  # its heads count words
        return
    for key, child in entry.items():
        if key not in OTHERS:
            yield from _list_unlike(child, f"{where}.{key}", number)


def _read_counts(entry: dict) -> Iterator[tuple[str, int]]:
    """Settings of one entry that are numbers of classes; also those that its class has set."""
    if "num_things_classes" in entry:
        things, stuff = entry["num_things_classes"], entry.get("num_stuff_classes") or 0
        name = "num_things_classes + num_stuff_classes" if stuff else "num_things_classes"
        yield name, things + stuff
    elif "num_classes" in entry:
        if not entry.get("class_agnostic"):
            yield "num_classes", entry["num_classes"]
    elif "type" in entry and (default := _find_default(entry)) is not None:
        yield "num_classes, not set,", default


def _find_default(entry: dict) -> int | None:
    """The number that an entry's class takes where none is given."""
    from mmengine.registry import MODELS

    found = find_class(entry, MODELS)
    for kind in inspect.getmro(found) if found else ():
        start = vars(kind).get("__init__")
        parameter = inspect.signature(start).parameters.get("num_classes") if start else None
        if parameter is not None:
            default = parameter.default
            return default if isinstance(default, int) and not isinstance(default, bool) else None
    return None


def _compare(part: Part, other: Part) -> str:
    """How the classes of two parts differ."""
    words = [
        f"{one.name} alone has {_shorten(alone, 5)}"
        for one, two in ((part, other), (other, part))
        if (alone := sorted(set(one.classes) - set(two.classes)))
    ]
    return "; ".join(words) or "the same ones in another order"


def _shorten(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
