"""LabelMe: a json file for each image, with polygons, rectangles, circles and masks."""

import base64
import io
import math
from pathlib import Path

from convnextv2.engine.errors import InputError

from .image_index import ImageIndex, agree_size
from .records import (
    LabelledImage,
    LabelledObject,
    Ledger,
    UnusableError,
    make_object,
    read_json,
    read_numbers,
)

LARGEST = 256 * 2**20  # bytes of a json, which may hold its image
_CIRCLE = 64  # corners of a circle's polygon


def read(source: Path, images: ImageIndex, ledger: Ledger) -> list[LabelledImage]:
    """Read all json files below a folder.

    Args:
        source: The folder.
        images: Where the images are; those packed into the json files are not taken.
        ledger: Gets what is left out.

    Raises:
        InputError: There is no json.
    """
    paths = sorted(source.rglob("*.json"))
    if not paths:
        raise InputError(f"no .json file below {source.absolute()}")
    found = []
    for path in paths:
        try:
            found.append(_read_file(path, images, ledger))
        except UnusableError as error:
            ledger.note_error(error, str(path))
    return found


def _read_file(path: Path, images: ImageIndex, ledger: Ledger) -> LabelledImage:
    content = read_json(path, LARGEST)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise UnusableError("no json of LabelMe", "no list of shapes")
    try:
        name = images.find(str(content.get("imagePath") or path.stem))
    except UnusableError:  # files that were renamed together with their images
        name = images.find(path.stem)
    full = str(images.folder / name)
    size = agree_size(full, content.get("imageWidth"), content.get("imageHeight"))
    image = LabelledImage(name, full, size)
    groups: dict[tuple, LabelledObject] = {}
    for number, shape in enumerate(content["shapes"], 1):
        where = f"{path}, shape {number}"
        try:
            thing, cut = _read_shape(shape, size)
        except UnusableError as error:
            ledger.note_error(error, where)
            continue
        if cut:
            ledger.note("shapes cut at the edge of their image", where)
        group = shape.get("group_id")
        key = (thing.name, str(number) if group is None or not thing.polygons else f"group {group}")
        if key in groups:
            _join(groups[key], thing)
        else:
            groups[key] = thing
    image.objects = list(groups.values())
    return image


def _read_shape(shape: object, size: tuple[int, int]) -> tuple[LabelledObject, bool]:
    if not isinstance(shape, dict) or not isinstance(shape.get("points"), list):
        raise UnusableError("a shape without points")
    kind = shape.get("shape_type") or "polygon"
    if not all(isinstance(point, (list, tuple)) and len(point) == 2 for point in shape["points"]):
        raise UnusableError("points that are no pairs of numbers")
    flat = read_numbers([value for point in shape["points"] for value in point])
    name = shape.get("label")
    if kind == "polygon":
        return make_object(name, size, polygons=[flat])
    if kind == "rectangle" and len(flat) in (4, 8):  # newer releases store four corners
        return make_object(name, size, _rectangle(flat))
    if kind == "circle" and len(flat) == 4:
        return make_object(name, size, polygons=[_circle(flat)])
    if kind == "mask" and len(flat) == 4:
        return make_object(name, size, mask=_mask(shape.get("mask"), flat, size))
    raise UnusableError("shapes that enclose nothing, or of another kind", str(kind))


def _rectangle(flat: list[float]) -> list[float]:
    xs, ys = flat[0::2], flat[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _circle(flat: list[float]) -> list[float]:
    x, y, radius = flat[0], flat[1], math.hypot(flat[2] - flat[0], flat[3] - flat[1])
    angles = [2 * math.pi * i / _CIRCLE for i in range(_CIRCLE)]
    return [v for a in angles for v in (x + radius * math.cos(a), y + radius * math.sin(a))]


def _mask(packed: object, flat: list[float], size: tuple[int, int]) -> dict:
    """RLE of the png that a shape packs, whose upper left corner is its first point."""
    import numpy as np
    from PIL import Image

    from convnextv2.detection.coco import encode_mask

    try:
        with Image.open(io.BytesIO(base64.b64decode(str(packed), validate=True))) as file:
            if file.width > size[0] + 1 or file.height > size[1] + 1:
                raise UnusableError("a mask larger than its image")
            inside = np.array(file.convert("L")) > 0
    except UnusableError:
        raise
    except Exception as error:  # damaged files make Pillow raise what it likes
        raise UnusableError("a mask that cannot be read", str(error)) from error
    whole = np.zeros(size[::-1], bool)
    x, y = (round(value) for value in flat[:2])
    if x < 0 or y < 0:
        raise UnusableError("a mask outside its image", f"at {x}, {y}")
    room = whole[y : y + inside.shape[0], x : x + inside.shape[1]]
    room |= inside[: room.shape[0], : room.shape[1]]
    return encode_mask(whole)


def _join(thing: LabelledObject, more: LabelledObject) -> None:
    """Make one object of two shapes of a group."""
    x, y = (min(a, b) for a, b in zip(thing.box[:2], more.box[:2], strict=True))
    ends = [
        max(a + c, b + d)
        for a, c, b, d in zip(thing.box[:2], thing.box[2:], more.box[:2], more.box[2:], strict=True)
    ]
    thing.box = [x, y, ends[0] - x, ends[1] - y]
    thing.polygons += more.polygons
