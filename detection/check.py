"""Find faults in annotations of COCO's format before they cost a training run.

A finding is ``(level, text)``. ``fatal``: training would crash or learn something wrong without a
word, or scores would be wrong. ``warning``: it works, but hardly as it was meant.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from convnextv2.data_parts import Finding, Part, find_missing_images
from convnextv2.images import LoadImage, UnreadableImageError

OUTSIDE = 1.0  # pixels by which an annotation may leave its image: rounding


class CocoPart(Part):
    """A data set in COCO's format."""

    dataset = "mmdet.datasets.coco.CocoDataset"

    def read(self) -> None:
        """Check the annotations: seconds for COCO."""
        self._content: dict | None = None
        # Lazy: pycocotools cannot read a json that has faults.
        if self.build([], lazy_init=True) is None:
            return
        root = self.entry.get("data_root") or ""
        path = Path(root, self.entry.get("ann_file") or "")
        self._content, self.findings = read_coco(path)
        if self._content:
            folder = Path(root, (self.entry.get("data_prefix") or {}).get("img", ""))
            self.images = [str(folder / image["file_name"]) for image in self._content["images"]]
            self.findings = check_coco(
                self._content, str(path), folder, self.classes, self.name != "train"
            )

    def check_files(self) -> Iterator[list[Finding]]:
        """Decode each image; one that is missing was named already."""
        if not self._content:
            return
        load = self.build_loader()
        for path, image in zip(self.images, self._content["images"], strict=True):
            size = image["width"], image["height"]
            yield read_image(path, size, load) if Path(path).is_file() else []

    def count(self) -> dict[str, int]:
        """Objects."""
        if not self._content:
            return {}
        names = {category["id"]: category["name"] for category in self._content["categories"]}
        counts = Counter(names.get(a["category_id"]) for a in self._content["annotations"])
        return {name: counts[name] for name in self.classes}

    def sizes(self) -> list[float]:
        """Of the boxes."""
        annotations = self._content["annotations"] if self._content else []
        boxes = [a["bbox"] for a in annotations if len(a["bbox"]) == 4]
        return [max(width * height, 0) ** 0.5 for _, _, width, height in boxes]


def read_coco(path: str | Path) -> tuple[dict | None, list[Finding]]:
    """Read a json file of COCO's format; None, with the reason, if it is none."""
    path = Path(path)
    if not path.is_file():
        return None, [("fatal", f"{path}: does not exist")]
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        return None, [("fatal", f"{path}: no json: {error}")]
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict):
        return None, [("fatal", f"{path}: a {type(content).__name__}, expected an object")]
    bad = [key for key in lists if not isinstance(content.get(key), list)]
    if bad:
        return None, [("fatal", f"{path}: no list of {' and '.join(bad)}")]
    needed = {
        "images": ("id", "file_name", "height", "width"),
        "annotations": ("id", "image_id", "category_id", "bbox"),
        "categories": ("id", "name"),
    }
    findings = []
    for kind, keys in needed.items():
        for i, entry in enumerate(content[kind]):
            absent = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if absent:
                text = f"{path}: {kind}[{i}] lacks {', '.join(absent)}"
                findings.append(("fatal", text))
    return (None if findings else content), findings


def check_coco(
    content: dict, name: str, images: str | Path, classes: Sequence[str], evaluated: bool
) -> list[Finding]:
    """Check annotations without opening an image: seconds for COCO.

    Args:
        content: Of `read_coco`.
        name: Of the file, for the texts.
        images: Folder of the images; that they exist is checked.
        classes: Names of the config's classes.
        evaluated: Whether scores are computed from it.
    """
    findings = [*_check_classes(content, name, classes), *_check_images(content, name, images)]
    sizes = {i["id"]: (i["width"], i["height"]) for i in content["images"]}
    files = {i["id"]: i["file_name"] for i in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    for number, count in Counter(a["id"] for a in content["annotations"]).items():
        if count > 1:
            findings.append(("fatal", f"{name}: {count} annotations have the id {number}"))
    if evaluated and any(a["id"] == 0 for a in content["annotations"]):
        text = f"{name}: an annotation has the id 0, with which a match counts as none; begin at 1"
        findings.append(("fatal", text))
    for annotation in content["annotations"]:
        where = f"{name}: annotation {annotation['id']}"
        if annotation["image_id"] not in sizes:
            findings.append(("fatal", f"{where} is of image {annotation['image_id']}, not listed"))
            continue
        where += f" of {files[annotation['image_id']]}"
        if annotation["category_id"] not in categories:
            text = f"{where} has the category {annotation['category_id']}, not listed"
            findings.append(("fatal", text))
        size = sizes[annotation["image_id"]]
        findings += [(level, f"{where}: {text}") for level, text in _check_box(annotation, size)]
        findings += [(level, f"{where}: {text}") for level, text in _check_mask(annotation, size)]
    return findings


def read_image(
    path: str | Path,
    size: tuple[int, int] | None = None,
    load: Callable[[dict], dict] | None = None,
) -> list[Finding]:
    """Decode an image, with a config's reader; `size`: (width, height) that it should have."""
    load = load or LoadImage(channel_order="bgr", dtype="uint8")
    try:
        height, width = load({"img_path": str(path)})["img_shape"]
    except UnreadableImageError as error:
        return [("fatal", str(error))]
    if size and (width, height) != tuple(size):
        said = "x".join(map(str, size))
        return [("fatal", f"{path}: {width}x{height} pixels, its annotations say {said}")]
    return []


def _check_classes(content: dict, name: str, classes: Sequence[str]) -> Iterator[Finding]:
    names = [category["name"] for category in content["categories"]]
    listed = ", ".join(map(repr, names)) or "none"
    for wanted in classes:
        if wanted not in names:
            yield "fatal", f"{name}: no category is called {wanted!r}, only {listed}"
    ours = [wanted for wanted in classes if wanted in names]
    theirs = [found for found in names if found in classes]
    if ours != theirs and sorted(ours) == sorted(theirs):
        # mmdet numbers classes in the order of the file and names them in that of the config.
        text = f"{name}: the categories come as {theirs}, the config's classes as {ours}; give "
        yield "fatal", text + "the classes in the file's order, or names and objects are swapped"
    for twice, count in Counter(names).items():
        if count > 1:
            yield "fatal", f"{name}: {count} categories are called {twice!r}"
    for twice, count in Counter(c["id"] for c in content["categories"]).items():
        if count > 1:
            yield "fatal", f"{name}: {count} categories have the id {twice}"
    counts = Counter(annotation["category_id"] for annotation in content["annotations"])
    for category in content["categories"]:
        used = counts[category["id"]]
        if category["name"] not in classes and used:
            text = f"{name}: {used} annotations of {category['name']!r}, no class of the config"
            yield "warning", text + ", are left out"
        elif category["name"] in classes and not used:
            yield "warning", f"{name}: no annotation of class {category['name']!r}"


def _check_images(content: dict, name: str, folder: str | Path) -> Iterator[Finding]:
    by_id: dict[object, list[str]] = defaultdict(list)
    by_file: Counter[str] = Counter()
    for image in content["images"]:
        by_id[image["id"]].append(image["file_name"])
        by_file[image["file_name"]] += 1
        if not (_is_number(image["width"]) and _is_number(image["height"])):
            text = f"size {image['width']}x{image['height']}"
            yield "fatal", f"{name}: image {image['file_name']} has the {text}"
        elif min(image["width"], image["height"]) < 1:
            yield "fatal", f"{name}: image {image['file_name']} has a side of less than a pixel"
    paths = [Path(folder, image["file_name"]) for image in content["images"]]
    yield from find_missing_images(paths, name)
    for number, files in by_id.items():
        if len(files) > 1:
            yield "fatal", f"{name}: images {', '.join(files)} have the same id {number}"
    for file, count in by_file.items():
        if count > 1:
            yield "warning", f"{name}: image {file} is listed {count} times"
    with_objects = {a["image_id"] for a in content["annotations"] if not a.get("iscrowd")}
    if not with_objects & by_id.keys():
        yield "fatal", f"{name}: no image has an object"


def _check_box(annotation: dict, size: tuple[int, int]) -> Iterator[Finding]:
    box = annotation["bbox"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        yield "fatal", f"box {box}, expected four numbers x, y, width, height"
        return
    x, y, width, height = box
    if width <= 0 or height <= 0:
        yield "warning", f"box {box} is empty and will be left out"
    elif x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        yield "warning", f"box {box} is outside the image of {size[0]}x{size[1]}"
    elif min(x, y) < -OUTSIDE or x + width > size[0] + OUTSIDE or y + height > size[1] + OUTSIDE:
        yield "warning", f"box {box} is partly outside the image of {size[0]}x{size[1]}"


def _check_mask(annotation: dict, size: tuple[int, int]) -> Iterator[Finding]:
    mask = annotation.get("segmentation")
    if not mask:
        return
    if isinstance(mask, dict):
        yield from _check_rle(mask, size)
        return
    if not isinstance(mask, list) or not all(isinstance(polygon, list) for polygon in mask):
        yield "fatal", "the segmentation is neither RLE nor a list of polygons"
        return
    for polygon in mask:
        try:
            points = np.array(polygon, dtype=float)
        except (TypeError, ValueError):  # not numbers
            points = np.zeros(0)
        if points.ndim != 1 or points.size % 2 or points.size < 6 or not np.isfinite(points).all():
            yield "fatal", f"a polygon of {len(polygon)} numbers, expected 3 or more points x, y"
            continue
        xs, ys = points[0::2], points[1::2]
        area = xs[:-1] @ ys[1:] - ys[:-1] @ xs[1:] + xs[-1] * ys[0] - ys[-1] * xs[0]
        if area == 0:
            yield "warning", "a polygon of no area"
        if points.min() < -OUTSIDE or xs.max() > size[0] + OUTSIDE or ys.max() > size[1] + OUTSIDE:
            yield "warning", f"a polygon leaves the image of {size[0]}x{size[1]}"


def _check_rle(mask: dict, size: tuple[int, int]) -> Iterator[Finding]:
    from pycocotools import mask as coco_mask  # not at the top: mask checks go without it

    width, height = size
    if list(mask.get("size", ())) != [height, width]:
        said = f"height and width {mask.get('size')}"
        yield "fatal", f"the RLE has the {said}, its image {[height, width]}"
        return
    counts = mask.get("counts")
    if isinstance(counts, list):
        if not all(map(_is_number, counts)) or sum(counts) != width * height:
            yield "fatal", f"the RLE's counts do not sum up to {width * height} pixels"
        return
    try:
        rle = {"size": mask["size"], "counts": str(counts).encode()}
        area = coco_mask.decode(rle).sum()
    except Exception as error:  # pycocotools raises several kinds
        yield "fatal", f"the RLE cannot be decoded: {error}"
        return
    if not area:
        yield "warning", "the RLE's mask is empty"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
