"""Is a file of COCO's format, and do its lists fit together, the images and the config?"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from convnextv2.data_parts import find_missing_images
from convnextv2.engine.errors import suggest
from convnextv2.findings import Finding

LISTS = ("images", "annotations", "categories")
NEEDED = {
    "images": ("id", "file_name", "height", "width"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
IDS = {"images": ("id",), "annotations": ("id", "image_id", "category_id"), "categories": ("id",)}


def read_coco(path: str | Path) -> tuple[dict | None, list[Finding]]:
    """Read a json file of COCO's format; None, with the reason, if it is none.

    Returns:
        The three lists, of which entries that nothing can be made of are left out; and findings.
    """
    path = Path(path)
    if not path.is_file():
        return None, [_no_coco(path, "does not exist")]
    if not path.stat().st_size:
        return None, [_no_coco(path, "is empty: the file has 0 bytes")]
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        return None, [_no_coco(path, f"no json: {error}")]
    if not isinstance(content, dict):
        return None, [_no_coco(path, f"a {type(content).__name__}, expected an object")]
    bad = [key for key in LISTS if not isinstance(content.get(key), list)]
    if bad:
        return None, [_no_coco(path, f"no list of {' and '.join(bad)}")]
    kept: dict[str, list] = {}
    findings: list[Finding] = []
    files = _name_files(content["images"])
    for name in LISTS:
        kept[name] = []
        for number, entry in enumerate(content[name]):
            if name == "annotations" and _is_plain(entry):
                kept[name].append(entry)
                continue
            faults = _check_entry(name, number, entry, files)
            findings += [Finding("fatal", kind, text, str(path)) for kind, text in faults]
            if not faults or not _is_hopeless(name, entry):
                kept[name].append(entry)
    return kept, findings


def check_lists(
    content: dict, name: str, folder: str | Path, classes: Sequence[str], evaluated: bool
) -> list[Finding]:
    """Check what the lists say of each other, of the images' files and of the classes.

    Args:
        content: Of `read_coco`.
        name: Of the file.
        folder: Of the images; that they exist is checked.
        classes: Names of the config's classes.
        evaluated: Whether scores are computed from it.
    """
    found = [
        *_check_names(content, classes),
        *_check_counts(content, classes),
        *_check_images(content),
        *_check_ids(content, evaluated),
    ]
    paths = [Path(folder, image["file_name"]) for image in content["images"]]
    return [finding._replace(file=name) for finding in found] + find_missing_images(paths, name)


def is_number(value: object) -> bool:
    """Whether it is a finite number, and not a text that looks like one."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    """Whether the scores can take it as an id: 640.0 and -1 they cannot."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _no_coco(path: Path, text: str) -> Finding:
    return Finding("fatal", "files that are not of COCO's format", text, str(path))


def _name_files(images: list) -> dict:
    return {
        image["id"]: image["file_name"]
        for image in images
        if isinstance(image, dict)
        and isinstance(image.get("id"), (int, str, float))
        and isinstance(image.get("file_name"), str)
    }


def _is_plain(annotation: Any) -> bool:
    """Whether nothing is odd about an annotation by itself; fast, for there may be a million."""
    try:
        numbers = [*annotation["bbox"], annotation["area"]]
        ids = [annotation[key] for key in IDS["annotations"]]
        return (
            len(numbers) == 5
            and math.isfinite(sum(numbers))
            and {type(number) for number in numbers} <= {int, float}
            and {type(number) for number in ids} == {int}
            and min(ids) >= 0
            and max(ids) < 2**63
            and annotation.get("iscrowd", 0) in (0, 1)
        )
    except (TypeError, KeyError, AttributeError):
        return False


def _check_entry(name: str, number: int, entry: object, files: dict) -> list[tuple[str, str]]:
    """Kinds and texts of what one entry of a list lacks, or has of a wrong type."""
    where = f"{name}[{number}]"
    if not isinstance(entry, dict):
        return [(f"{name} that are no objects", f"{where} is {entry!r}, expected an object")]
    if "id" in entry:
        label = entry.get("file_name") if name == "images" else entry["id"]
        where = f"{name[:-1] if name != 'categories' else 'category'} {label}"
    image = entry.get("image_id")
    if name == "annotations" and isinstance(image, (int, str, float)) and image in files:
        where += f" of {files[image]}"
    absent = [key for key in NEEDED[name] if key not in entry]
    faults = [(f"{name} without '{key}'", f"{where} lacks {key}") for key in absent]
    for key in IDS[name]:
        if key in entry and not _is_whole(entry[key]):
            text = f"{where}: {key} {entry[key]!r:.80} is no whole number of 0 or more"
            faults.append((f"{name} whose {key} is no whole number", text))
    faults += [(kind, f"{where}{text}") for kind, text in _CHECKS[name](entry)]
    return faults


def _check_image(image: dict) -> Iterator[tuple[str, str]]:
    file = image.get("file_name", "-")
    if not isinstance(file, str) or not file:
        yield "images whose file_name is no text", f": file_name is {file!r}"
    sides = [image.get(key, 1) for key in ("width", "height")]
    if any(isinstance(side, bool) or not isinstance(side, int) for side in sides):
        text = f" has the size {sides[0]!r}x{sides[1]!r}: whole numbers are needed"
        yield "images whose size is no whole number", text
    elif min(sides) < 1:
        text = f" has a side of less than a pixel: {sides[0]}x{sides[1]}"
        yield "images with a side of less than a pixel", text


def _check_annotation(annotation: dict) -> Iterator[tuple[str, str]]:
    box = annotation.get("bbox", ())
    if "bbox" in annotation and box is None:
        yield "annotations whose bbox is null", ": bbox is null; x, y, width and height are needed"
    elif "bbox" in annotation and not _is_box(box):
        text = f": bbox {box!r:.80}, expected four finite numbers: x, y, width, height"
        yield "annotations whose bbox is not four numbers", text
    if "area" not in annotation:
        text = " lacks 'area', which training and scores read; width * height of the box will do"
        yield "annotations without 'area'", text
    elif not is_number(annotation["area"]):
        yield "annotations whose area is no number", f": area is {annotation['area']!r:.80}"
    if annotation.get("iscrowd", 0) not in (0, 1):
        crowd = annotation["iscrowd"]
        yield "annotations whose iscrowd is neither 0 nor 1", f": iscrowd is {crowd!r:.80}"


def _check_category(category: dict) -> Iterator[tuple[str, str]]:
    if not isinstance(category.get("name", ""), str):
        yield "categories whose name is no text", f": the name is {category['name']!r:.80}"


_CHECKS = {
    "images": _check_image,
    "annotations": _check_annotation,
    "categories": _check_category,
}


def _is_box(box: object) -> bool:
    return isinstance(box, (list, tuple)) and len(box) == 4 and all(map(is_number, box))


def _is_hopeless(name: str, entry: object) -> bool:
    """Whether other checks could not read an entry."""
    if not isinstance(entry, dict) or any(key not in entry for key in NEEDED[name]):
        return True
    if any(not isinstance(entry[key], (int, str, float)) for key in IDS[name]):
        return True
    if name == "annotations":
        return not _is_box(entry["bbox"])
    if name == "categories":
        return not isinstance(entry["name"], str)
    sides = (entry["width"], entry["height"])
    return not isinstance(entry["file_name"], str) or not all(map(is_number, sides))


def _check_names(content: dict, classes: Sequence[str]) -> Iterator[Finding]:
    names = [category["name"] for category in content["categories"]]
    listed = ", ".join(map(repr, names[:20])) or "none"
    for wanted in classes:
        if wanted not in names:
            text = f"no category is called {wanted!r}, only {listed}{suggest(wanted, names)}"
            yield Finding("fatal", "classes of the config that are no category", text)
    ours = [wanted for wanted in classes if wanted in names]
    theirs = [found for found in names if found in classes]
    if ours != theirs and sorted(ours) == sorted(theirs):
        # mmdet numbers classes in the order of the file and names them in that of the config.
        text = f"the categories come as {theirs}, the config's classes as {ours}; give the classes "
        text += "in the file's order, or names and objects are swapped"
        yield Finding("fatal", "files whose categories come in another order", text)
    for twice, count in Counter(names).items():
        if count > 1:
            text = f"{count} categories are called {twice!r}"
            yield Finding("fatal", "names of several categories", text)
    for twice, count in Counter(c["id"] for c in content["categories"]).items():
        if count > 1:
            yield Finding(
                "fatal", "ids of several categories", f"{count} categories have the id {twice}"
            )


def _check_counts(content: dict, classes: Sequence[str]) -> Iterator[Finding]:
    counts = Counter(annotation["category_id"] for annotation in content["annotations"])
    for category in content["categories"]:
        used = counts[category["id"]]
        if category["name"] not in classes and used:
            text = (
                f"{used} annotations of {category['name']!r}, no class of the config, are left out"
            )
            yield Finding("warning", "categories that are no class of the config", text)
        elif category["name"] in classes and not used:
            text = f"no annotation of class {category['name']!r}"
            yield Finding("warning", "classes without an annotation", text)


def _check_images(content: dict) -> Iterator[Finding]:
    by_id: dict[object, list[str]] = defaultdict(list)
    for image in content["images"]:
        by_id[image["id"]].append(image["file_name"])
    for number, files in by_id.items():
        if len(files) > 1:
            text = f"images {', '.join(files[:5])} have the same id {number}"
            yield Finding("fatal", "ids of several images", text)
    for file, count in Counter(image["file_name"] for image in content["images"]).items():
        if count > 1:
            text = f"image {file} is listed {count} times"
            yield Finding("warning", "images that are listed several times", text)
    with_objects = {a["image_id"] for a in content["annotations"] if not a.get("iscrowd")}
    if not with_objects & by_id.keys():
        yield Finding("fatal", "files without an object", "no image has an object")


def _check_ids(content: dict, evaluated: bool) -> Iterator[Finding]:
    images = {image["id"]: image["file_name"] for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    for number, count in Counter(a["id"] for a in content["annotations"]).items():
        if count > 1:
            text = f"{count} annotations have the id {number}"
            yield Finding("fatal", "ids of several annotations", text)
    for annotation in content["annotations"]:
        where, image = f"annotation {annotation['id']}", annotation["image_id"]
        if image not in images:
            text = f"{where} is of image {image}, not listed"
            yield Finding("fatal", "annotations of images that are not listed", text)
        elif annotation["category_id"] not in categories:
            category = annotation["category_id"]
            text = f"{where} of {images[image]} has the category {category}, not listed"
            yield Finding("fatal", "annotations of categories that are not listed", text)
        if annotation["id"] == 0:
            text = "an annotation has the id 0, with which a match counts as none; begin at 1"
            level = "fatal" if evaluated else "note"  # scores alone ask for it
            yield Finding(level, "annotations with the id 0", text)
        if evaluated and "iscrowd" not in annotation:
            text = f"{where} lacks 'iscrowd', which pycocotools' scores read; 0 for a single object"
            yield Finding("note", "annotations without 'iscrowd'", text)
