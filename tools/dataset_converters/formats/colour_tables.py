"""Tables of classes and their colours in RGB-coded masks."""

import csv
import re
from pathlib import Path

from convnextv2.engine.errors import InputError

from .yolo import read_yaml

Colour = tuple[int, int, int]


def read_colours(path: Path) -> dict[Colour, str]:
    """The class of each colour, in the table's order; several colours may be of one class.

    Read are lines of ``R G B name`` (CamVid's ``label_colors.txt``), csv of a name and three
    numbers under a heading (``class_dict.csv``), CVAT's ``labelmap.txt``, and yaml of
    ``name: [R, G, B]`` or ``name: '#rrggbb'``.

    Raises:
        InputError: It is none of these, or a colour comes twice.
    """
    if not path.is_file():
        raise InputError(f"--colours {path} does not exist")
    if path.suffix.lower() in (".yaml", ".yml"):
        rows = [_of_yaml(path, name, value) for name, value in read_yaml(path).items()]
    else:
        text = path.read_text("utf-8-sig", "replace")
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        read = _of_csv if path.suffix.lower() == ".csv" else _of_line
        rows = [row for i, line in enumerate(lines) if (row := read(path, line, i))]
    colours: dict[Colour, str] = {}
    for colour, name in rows:
        if max(colour) > 255 or not name:
            raise InputError(f"{path}: {name!r} has the colour {colour}, expected 0 to 255")
        if colours.setdefault(colour, name) != name:
            raise InputError(f"{path}: {colours[colour]!r} and {name!r} have one colour, {colour}")
    if not colours:
        raise InputError(f"{path} has no classes")
    return colours


def _of_line(path: Path, line: str, number: int) -> tuple[Colour, str]:
    cvat = re.fullmatch(r"\s*([^:]+):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*:.*", line)
    if cvat:
        return (int(cvat[2]), int(cvat[3]), int(cvat[4])), cvat[1].strip()
    plain = re.fullmatch(r"\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(.+?)\s*", line)
    if not plain:
        raise InputError(f"{path}: {line!r} is not R G B name")
    return (int(plain[1]), int(plain[2]), int(plain[3])), plain[4]


def _of_csv(path: Path, line: str, number: int) -> tuple[Colour, str] | None:
    cells = [cell.strip() for cell in next(csv.reader([line]))]
    numbers = [int(cell) for cell in cells if cell.isdecimal()]
    words = [cell for cell in cells if not cell.isdecimal()]
    if len(numbers) >= 3 and len(words) == 1:
        return (numbers[0], numbers[1], numbers[2]), words[0]
    if number == 0:
        return None  # the heading
    raise InputError(f"{path}: {line!r} is not name,R,G,B")


def _of_yaml(path: Path, name: object, value: object) -> tuple[Colour, str]:
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        value = [int(value[i : i + 2], 16) for i in (1, 3, 5)]
    if not isinstance(value, list) or len(value) != 3 or not all(type(v) is int for v in value):
        raise InputError(f"{path}: {name}: {value} is neither [R, G, B] nor '#rrggbb'")
    if min(value) < 0:
        raise InputError(f"{path}: {name}: {value} is below 0")
    return (value[0], value[1], value[2]), str(name).strip()
