"""What every reader gives: images with their objects, and a ledger of what was left out."""

import csv
import io
import json
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convnextv2.engine.errors import InputError

OUTSIDE = 1.0  # pixels by which an object may leave its image: rounding
LARGEST_JSON = 2 * 2**30  # bytes; COCO's own has half a gigabyte


class UnusableError(ValueError):
    """An image or an object that cannot be taken; `reason` is what such have in common."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass
class LabelledObject:
    """An object in pixels of its image: edges, continuous, from 0."""

    name: str
    box: list[float]
    """x, y, width, height."""
    polygons: list[list[float]] = field(default_factory=list)
    """Each x, y, x, y, ..."""
    mask: dict | None = None
    """COCO's compressed RLE, in place of polygons."""
    crowd: bool = False


@dataclass
class LabelledImage:
    """An image and what is in it."""

    name: str
    """Path below the folder of images."""
    path: str
    size: tuple[int, int]
    """(width, height)."""
    objects: list[LabelledObject] = field(default_factory=list)
    part: str = ""
    """``train`` or ``val`` where the source has parts of its own."""


class Ledger:
    """What was left out or changed: by reason, whose it was."""

    def __init__(self) -> None:
        self.entries: dict[str, list[str]] = defaultdict(list)

    def note(self, reason: str, where: str) -> None:
        """Add a place, such as ``a.xml, object 3: xmax 10``, to a reason."""
        # What a json or a file system has may be no text.
        self.entries[reason].append(where.encode("utf-8", "backslashreplace").decode())

    def note_error(self, error: UnusableError, where: str) -> None:
        """Add a place to the reason of an error."""
        self.note(error.reason, f"{where}: {error.detail}" if error.detail else where)

    def as_csv(self) -> bytes:
        """All of it, a line each."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("reason", "where"))
        writer.writerows((reason, where) for reason, all_ in self.entries.items() for where in all_)
        return text.getvalue().encode()


def make_object(
    name: object,
    size: tuple[int, int],
    box: Sequence[object] | None = None,
    polygons: Iterable[Sequence[object]] = (),
    mask: dict | None = None,
    crowd: bool = False,
) -> tuple[LabelledObject, bool]:
    """An object whose coordinates were looked at, and whether it was cut at the image's edge.

    Args:
        name: Of its class.
        size: (width, height) of its image.
        box: x, y, width, height; by default around polygons or mask.
        polygons: Each x, y, x, y, ...
        mask: COCO's compressed RLE.
        crowd: Whether training and scores leave it out.

    Raises:
        UnusableError: It has no name, no numbers, no area, or lies outside the image.
    """
    if not isinstance(name, str) or not name.strip():
        raise UnusableError("an object without a class name", repr(name))
    shapes = [_read_polygon(polygon) for polygon in polygons]
    if box is None:
        box = _around(shapes) if shapes else _around_mask(mask)
    numbers = read_numbers(box, 4)
    x, y, width, height = numbers
    if width <= 0 or height <= 0:
        raise UnusableError("a box without area", f"{numbers} (x, y, width, height)")
    if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        said = f"box {numbers} (x, y, width, height), image {size[0]}x{size[1]}"
        raise UnusableError("an object outside its image", said)
    beyond = max(-x, -y, x + width - size[0], y + height - size[1])
    if beyond > 0:
        left, top = max(x, 0.0), max(y, 0.0)
        numbers = [left, top, min(x + width, size[0]) - left, min(y + height, size[1]) - top]
    inside = [_clamp(shape, size) for shape in shapes]
    found = LabelledObject(name.strip(), _round(numbers), inside, mask, crowd)
    return found, beyond > OUTSIDE


def read_numbers(values: Sequence[object] | None, count: int | None = None) -> list[float]:
    """Finite numbers, of json or of text.

    Raises:
        UnusableError: They are none, or not so many.
    """
    try:
        if not isinstance(values, (list, tuple)):  # text would be taken letter by letter
            raise TypeError
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise UnusableError("coordinates that are no numbers", _shorten(values)) from None
    if not all(map(math.isfinite, numbers)):
        raise UnusableError("coordinates that are not finite", _shorten(values))
    if count is not None and len(numbers) != count:
        raise UnusableError(f"not {count} coordinates", _shorten(values))
    return numbers


def check_names(classes: Sequence[str]) -> None:
    """Refuse names that no file or screen can take, and one that is there twice.

    Raises:
        InputError: There is such a name.
    """
    for name in classes:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise InputError(f"the class name {name!r} holds control characters: rename it")
    if len(set(classes)) != len(classes):
        raise InputError(f"a class is named twice: {list(classes)}")


def read_json(path: str | Path, largest: int = LARGEST_JSON) -> Any:
    """The content of a json file.

    Raises:
        UnusableError: It is none, or too large.
    """
    path = Path(path)
    try:
        if path.stat().st_size > largest:
            raise UnusableError("a json that is too large", f"more than {largest >> 20} MB")
        return json.loads(path.read_text("utf-8-sig"))
    except RecursionError:
        raise UnusableError("no json", "nested too deeply") from None
    except MemoryError:
        raise UnusableError("a json that is too large", "for the memory there is") from None
    except (OSError, ValueError) as error:
        if isinstance(error, UnusableError):
            raise
        raise UnusableError("no json", str(error)) from error


def polygon_area(polygon: Sequence[float]) -> float:
    """Of x, y, x, y, ..., in pixels."""
    xs, ys = polygon[0::2], polygon[1::2]
    pairs = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return abs(sum(x * next_y - next_x * y for x, y, next_x, next_y in pairs)) / 2


def _read_polygon(values: Sequence[object]) -> list[float]:
    numbers = read_numbers(values)
    if len(numbers) < 6 or len(numbers) % 2:
        raise UnusableError("a polygon that is none", f"{len(numbers)} numbers")
    if not polygon_area(numbers):
        raise UnusableError("a polygon without area", _shorten(numbers))
    return numbers


def _around(polygons: list[list[float]]) -> list[float]:
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _around_mask(mask: dict | None) -> list[float] | None:
    if mask is None:
        return None
    from pycocotools import mask as coco_mask

    return [float(value) for value in coco_mask.toBbox(mask)]


def _clamp(polygon: list[float], size: tuple[int, int]) -> list[float]:
    return _round([min(max(value, 0), size[i % 2]) for i, value in enumerate(polygon)])


def _round(numbers: list[float]) -> list[float]:
    return [round(number, 3) for number in numbers]  # a fraction's digits end there too


def _shorten(values: object) -> str:
    text = repr(values)
    return text if len(text) < 80 else f"{text[:77]}..."
