"""COCO's json as CVAT, Label Studio and others export it: other ids, orders and paths."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from convnextv2.engine.errors import InputError

from .image_index import ImageIndex, agree_size
from .records import LabelledImage, LabelledObject, Ledger, UnusableError, make_object, read_json


def read(
    source: Path, images: ImageIndex, ledger: Ledger, keep_crowds: bool
) -> tuple[list[LabelledImage], list[str]]:
    """Read a json file of COCO's format.

    Args:
        source: The file.
        images: Where the images are, whatever folders the file names.
        ledger: Gets what is left out.
        keep_crowds: Take ``iscrowd`` by its word; else every object is a single one.

    Returns:
        The images, and the names of the categories in the file's order.

    Raises:
        InputError: It is none, or a category is called like another.
    """
    try:
        content = read_json(source)
    except UnusableError as error:
        raise InputError(f"{source}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{source}: a {type(content).__name__}, expected an object with images")
    names = _read_categories(content, source)
    by_id: dict[object, LabelledImage] = {}
    refused: set[object] = set()
    taken: set[str] = set()
    for number, entry in enumerate(_entries(content, "images", source)):
        key = read_id(entry.get("id", f"number {number}"))
        try:
            image = _read_image(entry, images)
            if image.name in taken or key in by_id:
                raise UnusableError("an image or an id that was there already", image.name)
        except UnusableError as error:
            refused.add(key)
            ledger.note_error(error, f"images[{number}]")
            continue
        taken.add(image.name)
        by_id[key] = image
    for number, entry in enumerate(_entries(content, "annotations", source)):
        where = f"annotations[{number}], id {entry.get('id')}"
        key = read_id(entry.get("image_id"))
        if key in by_id:
            _add_object(by_id[key], entry, names, ledger, where, keep_crowds)
        elif key not in refused:
            ledger.note("objects of an image that is not listed", f"{where}: image {key}")
        else:
            ledger.note("objects of images that were left out", where)
    return list(by_id.values()), list(names.values())


def read_id(value: object) -> object:
    """An id as a whole number where it can be one: 3, 3.0 and "3" are the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, (int, str)) else repr(value)


def _read_categories(content: dict, source: Path) -> dict[object, str]:
    names = {}
    for entry in _entries(content, "categories", source):
        name = entry.get("name")
        if "id" not in entry or not isinstance(name, str) or not name.strip():
            raise InputError(f"{source}: the category {entry} has no id or no name")
        if read_id(entry["id"]) in names:
            raise InputError(f"{source}: two categories have the id {entry['id']}")
        names[read_id(entry["id"])] = name.strip()
    for name, count in Counter(names.values()).items():
        if count > 1:
            raise InputError(f"{source}: {count} categories are called {name!r}")
    return names


def _entries(content: dict, kind: str, source: Path) -> Iterator[dict]:
    entries = content.get(kind)
    if not isinstance(entries, list):
        raise InputError(f"{source}: no list of {kind}, so no json of COCO's format")
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f"{source}: {kind}[{i}] is {type(entry).__name__}, not an object")
        yield entry


def _read_image(entry: dict, images: ImageIndex) -> LabelledImage:
    called = entry.get("file_name")
    if not isinstance(called, str) or not called:
        raise UnusableError("an image without a file_name")
    name = images.find(called)
    path = str(images.folder / name)
    return LabelledImage(name, path, agree_size(path, entry.get("width"), entry.get("height")))


def _add_object(
    image: LabelledImage,
    entry: dict,
    names: dict[object, str],
    ledger: Ledger,
    where: str,
    keep_crowds: bool,
) -> None:
    where = f"{where} of {image.name}"
    try:
        thing, cut = _read_object(entry, image.size, names)
    except UnusableError as error:
        ledger.note_error(error, where)
        return
    if thing.crowd and not keep_crowds:
        thing.crowd = False
        ledger.note("objects with iscrowd=1, taken as single ones", where)
    elif thing.crowd:
        ledger.note(
            "crowds (iscrowd=1): kept, left out of training and scores; CVAT's brush marks single "
            "objects so, which --no-crowds mends",
            where,
        )
    if cut:
        ledger.note("objects cut at the edge of their image", where)
    image.objects.append(thing)


def _read_object(
    entry: dict, size: tuple[int, int], names: dict[object, str]
) -> tuple[LabelledObject, bool]:
    category = read_id(entry.get("category_id"))
    if category not in names:
        raise UnusableError("objects of a category that is not listed", str(category))
    shape, box = entry.get("segmentation"), entry.get("bbox") or None
    polygons: list = []
    mask = None
    if isinstance(shape, dict):
        mask = read_rle(shape, size)
    elif isinstance(shape, list) and shape:
        # One polygon without the list around it is a common slip.
        polygons = shape if isinstance(shape[0], list) else [shape]
    if box is None and not polygons and mask is None:
        raise UnusableError("objects with neither box nor mask")
    crowd = entry.get("iscrowd") in (1, True, "1")
    return make_object(names[category], size, box, polygons, mask, crowd)


def read_rle(rle: dict, size: tuple[int, int]) -> dict:
    """COCO's compressed RLE, of any of its forms.

    Raises:
        UnusableError: It is none, of another size than its image, or empty.
    """
    from pycocotools import mask as coco_mask

    if rle.get("size") != [size[1], size[0]]:
        raise UnusableError("an RLE of another size than its image", f"{rle.get('size')}")
    counts = rle.get("counts")
    try:
        if isinstance(counts, list):
            if sum(counts) != size[0] * size[1] or min(counts) < 0:
                raise ValueError("its counts are not those of its image")
            packed = coco_mask.frPyObjects({"size": rle["size"], "counts": counts}, *size[::-1])
        else:
            packed = {"size": rle["size"], "counts": str(counts).encode()}
        pixels = int(coco_mask.decode(packed).sum())
    except Exception as error:  # pycocotools raises several kinds
        raise UnusableError("an RLE that cannot be decoded", str(error)) from error
    if not pixels:
        raise UnusableError("an empty mask")
    return {"size": [size[1], size[0]], "counts": packed["counts"].decode("ascii")}
