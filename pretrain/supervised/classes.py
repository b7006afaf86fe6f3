"""Names of classes: what a config says of them, and what labels in a list mean."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from convnextv2.engine.errors import suggest
from convnextv2.files import printable

# Of labels that are numbers, without names: a class is made of each up to the largest.
MOST_UNNAMED = 1_000_000
# Sub-folders with these names are parts of the data.
_PARTS = {"train", "training", "val", "valid", "validation", "test", "testing", "eval"}


def list_classes(folder: str | Path) -> tuple[str, ...]:
    """Names of the folders in a folder, sorted; hidden ones are none.

    Raises:
        FileNotFoundError: There is no such folder, or none in it.
        ValueError: They are the parts of the data.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of classes {folder.absolute()} does not exist")
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    where = printable(folder.absolute())
    if not names:
        raise FileNotFoundError(
            f"no folders of classes in {where}: expected {where}/CLASS/IMAGE, or a list of "
            "images and labels as ann_file"
        )
    if {name.lower() for name in names} <= _PARTS and len(names) > 1:
        raise ValueError(
            f"{where} holds {', '.join(names)}, which are parts of the data and no classes: "
            "name one of them, as data_root, data_prefix=dict(img=...) or a template's "
            "train=dict(images=...)"
        )
    return tuple(names)


def read_classes(source: object) -> tuple[str, ...] | None:
    """The classes that a config names; None if it names none.

    Args:
        source: The names; or the path of a text file with a name a line, of a json file (a list,
            or the names by their numbers), or of a folder whose sub-folders they are.

    Raises:
        ValueError: It is none of these, or names a class twice.
    """
    if source is None:
        return None
    names = _read_names(source) if isinstance(source, (str, os.PathLike)) else source
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"classes are names, such as ('cat', 'dog'), not {source!r}")
    twice = sorted({name for name in names if names.count(name) > 1}) if _has_twins(names) else []
    if twice or not names:
        raise ValueError(f"classes names {twice[0]!r} twice" if twice else "classes names none")
    return tuple(names)


def name_numbered(names: Mapping) -> list:
    """Names in the order of their numbers, of ``{"0": "cat"}`` or of ``{"cat": 0}``.

    Raises:
        ValueError: The numbers are not 0, 1, 2, ...
    """
    pairs = [(str(key), value) for key, value in names.items()]
    if pairs and all(isinstance(value, int) for _, value in pairs):
        pairs = [(str(value), key) for key, value in pairs]
    known = dict(pairs)
    if set(known) != {str(number) for number in range(len(names))}:
        raise ValueError(f"{len(names)} classes must have the numbers 0 to {len(names) - 1}")
    return [known[str(number)] for number in range(len(names))]


def resolve(
    labels: Sequence[str], places: Sequence[str], classes: tuple[str, ...] | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """What different labels of a list mean.

    A label that is a class' name is that class. Else all of them are numbers from 0 on, of
    `classes`, or, without, of classes that have no other names.

    Args:
        labels: The different ones.
        places: Where each was seen first, for messages.
        classes: As far as they are known.

    Returns:
        The classes, and the number of each label's.

    Raises:
        ValueError: A label is no class, or names and numbers are mixed.
    """
    numbers = [int(label) if re.fullmatch(r"\d{1,9}", label) else -1 for label in labels]
    if classes is None:
        if min(numbers) < 0:
            classes = tuple(sorted(labels))
        elif max(numbers) < MOST_UNNAMED:
            return tuple(map(str, range(max(numbers) + 1))), np.array(numbers)
        else:
            place = places[numbers.index(max(numbers))]
            raise ValueError(f"{place}: the label {max(numbers)} is too large for a class' number")
    known = {name: number for number, name in enumerate(classes)}
    named = [label in known for label in labels]
    if not any(named) and min(numbers) >= 0:
        _check_range(numbers, places, len(classes))
        return classes, np.array(numbers)
    if not all(named):
        wrong = named.index(False)
        label = labels[wrong]
        raise ValueError(
            f"{places[wrong]}: the label {label!r} is none of the {len(classes)} classes"
            f"{suggest(label, classes) or ', ' + shorten(classes)}"
        )
    return classes, np.array([known[label] for label in labels])


def shorten(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _check_range(numbers: list[int], places: Sequence[str], count: int) -> None:
    if max(numbers) >= count:
        place = places[numbers.index(max(numbers))]
        hint = ""
        if min(numbers) == 1 and max(numbers) == count:
            hint = "; no label is 0: are they counted from 1?"
        raise ValueError(
            f"{place}: the label {max(numbers)} is out of range, {count} classes are 0 to "
            f"{count - 1}{hint}"
        )


def _has_twins(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def _read_names(source: str | os.PathLike) -> object:
    path = Path(source)
    if path.is_dir():
        return list_classes(path)
    if not path.is_file():
        raise ValueError(
            f"classes is the text {str(source)!r}, and no such file or folder exists; of one "
            f"class write ({str(source)!r},), with a comma"
        )
    text = path.read_text("utf-8-sig")
    if path.suffix != ".json":
        return [line for raw in text.splitlines() if (line := raw.strip())]
    try:
        names = json.loads(text)
        return name_numbered(names) if isinstance(names, dict) else names
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no json list of classes: {error}") from error
