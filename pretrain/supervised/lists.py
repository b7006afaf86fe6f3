"""Lists of images and their labels: text, csv and json."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from convnextv2.files import is_hidden

# Columns of csv files, and keys of json, by what they hold.
PATHS = ("img_path", "path", "file_name", "filename", "file", "image", "img", "image_path")
LABELS = ("gt_label", "label", "class", "class_name", "category", "label_name", "target")
LONGEST = 4096  # characters of a label


class Labelled(NamedTuple):
    """An image and its label as they are written, and where that is, for messages."""

    path: str
    label: str
    place: str


def read_list(path: str | Path) -> Iterator[Labelled]:
    """The images of a list; hidden files are left out.

    A text file has ``PATH LABEL`` in each line, the label after the last space, or after a tab. A
    csv has two columns, or a header that names them. A json has a list of objects or pairs, the
    labels by path, or MM's ``data_list``. Names need not be UTF-8.

    Args:
        path: Of the list; what it is, its suffix says.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is no such list, or an image has no label.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the list of images {path.absolute()} does not exist")
    kinds: dict[str, Callable[[IO[str], Path], Iterator[Labelled]]] = {
        ".json": _read_json,
        ".csv": _read_csv,
        ".tsv": _read_csv,
    }
    read = kinds.get(path.suffix.lower(), _read_text)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for entry in read(file, path):
            if not entry.path or not entry.label or len(entry.label) > LONGEST:
                lacks = "path" if not entry.path else "label"
                raise ValueError(
                    f"{entry.place} has no {lacks}: {entry.path!r} {entry.label!r:.80}"
                )
            if not is_hidden(entry.path):
                yield entry


def read_listed_classes(path: str | Path) -> Any:
    """What a json list says of its classes, in MM's ``metainfo``; None if it says nothing."""
    if Path(path).suffix.lower() != ".json":
        return None
    with open(path, encoding="utf-8-sig") as file:
        content = _parse(file, Path(path))
    metainfo = content.get("metainfo") if isinstance(content, dict) else None
    return metainfo.get("classes") if isinstance(metainfo, dict) else None


def _read_text(file: IO[str], path: Path) -> Iterator[Labelled]:
    for number, raw in enumerate(file, 1):
        line = raw.strip()
        if not line:
            continue
        parts = line.rsplit("\t" if "\t" in line else None, maxsplit=1)
        place = f"{path}, line {number}"
        if len(parts) < 2:
            raise ValueError(f"{place}: {line!r} has no label; expected PATH LABEL")
        yield Labelled(parts[0].strip(), parts[1].strip(), place)


def _read_csv(file: IO[str], path: Path) -> Iterator[Labelled]:
    head = file.readline()
    file.seek(0)
    delimiter = max(",;\t", key=head.count)
    rows = csv.reader(file, delimiter=delimiter)
    columns = (0, 1)
    try:
        for row in rows:
            place = f"{path}, line {rows.line_num}"
            if rows.line_num == 1 and (found := _find_columns(row)):
                columns = found
                continue
            if not row:
                continue
            if (
                len(row) <= max(columns)
                or (columns == (0, 1) and len(row) != 2)
                or (rows.line_num == 1 and _is_half_known(row))
            ):
                raise ValueError(
                    f"{place} has {len(row)} columns, {delimiter.join(row)!r:.80}; expected "
                    f"PATH{delimiter}LABEL, or a header "
                    f"with one of {', '.join(PATHS)} and one of {', '.join(LABELS)}"
                )
            yield Labelled(row[columns[0]].strip(), row[columns[1]].strip(), place)
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: no csv: {error}") from error


def _find_columns(header: list[str]) -> tuple[int, int] | None:
    names = [name.strip().lower() for name in header]
    paths = [names.index(name) for name in PATHS if name in names]
    labels = [names.index(name) for name in LABELS if name in names]
    return (paths[0], labels[0]) if paths and labels else None


def _is_half_known(row: list[str]) -> bool:
    """Whether the first row is a header of which one name alone is known, and no image."""
    known = any(name.strip().lower() in (*PATHS, *LABELS) for name in row)
    return known and not any(Path(name.strip()).suffix for name in row)


def _read_json(file: IO[str], path: Path) -> Iterator[Labelled]:
    content = _parse(file, path)
    if isinstance(content, dict) and isinstance(content.get("data_list"), list):
        content = content["data_list"]
    entries = list(content.items()) if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise ValueError(f"{path}: neither a list of images nor their labels by path")
    for number, entry in enumerate(entries):
        place = f"{path}, entry {number}"
        if isinstance(entry, dict):
            entry = [next((entry[k] for k in keys if k in entry), "") for keys in (PATHS, LABELS)]
        if not isinstance(entry, (list, tuple)) or len(entry) != 2:
            raise ValueError(f"{place}: {entry!r:.80} is no image with its label")
        name, label = entry
        if isinstance(label, list) and len(label) == 1:
            label = label[0]
        if not isinstance(name, str) or type(label) not in (int, str):
            raise ValueError(
                f"{place}: the label of {name!r:.80} is {label!r:.80}; expected one class, its "
                "name or its number"
            )
        yield Labelled(name, str(label), place)


def _parse(file: IO[str], path: Path) -> Any:
    try:
        return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no json: {error}") from error
