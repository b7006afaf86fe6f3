"""Objects with outlines, written as label masks: what is in no object is the background."""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from rich.progress import track

from convnextv2.engine.errors import InputError

from . import summary, to_coco
from .arguments import find_classes, find_folder, find_parts
from .image_index import ImageIndex
from .label_masks import IGNORED
from .layout import Layout
from .records import LabelledImage, LabelledObject, Ledger, UnusableError, polygon_area
from .to_masks import check_classes, count_pixels, write_config


def convert(args: argparse.Namespace) -> None:
    """Read a source, write both parts, and say what was done.

    Raises:
        InputError: The source is not what it should be, or nothing of it can be used.
    """
    ledger = Ledger()
    images, names = to_coco.read(args, ImageIndex(find_folder(args)), ledger)
    wanted = find_classes(args) or names
    wanted = wanted or sorted({thing.name for image in images for thing in image.objects})
    classes = [args.background, *(name for name in wanted if name != args.background)]
    check_classes(classes)
    if not any(thing.name in classes for image in images for thing in image.objects):
        summary.show_ledger(ledger, args.out)
        raise InputError("nothing was written: there is no object that could be taken")
    parts = find_parts(args, images)
    layout = Layout(args.out, set(parts.values()), args.copy)
    numbers, counts = Counter[str](), {part: Counter[str]() for part in sorted({*parts.values()})}
    for image in track(images, "converting"):
        part = parts[image.name]
        labels = paint(image, classes, ledger)
        try:
            layout.add_mask(part, image.name, labels)
        except UnusableError as error:
            ledger.note_error(error, image.name)
            continue
        layout.add_image(part, image.name, image.path)
        numbers[part] += 1
        counts[part].update(count_pixels(labels, classes))
    summary.show_ledger(ledger, args.out)
    summary.show_counts(classes, numbers, counts)
    write_config(Path(args.out), layout, classes)


def paint(image: LabelledImage, classes: list[str], ledger: Ledger) -> np.ndarray:
    """The label map (H, W), uint8, of an image's objects; smaller ones lie on larger ones.

    Args:
        image: Its objects have polygons or masks; of those that have neither, the box becomes 255.
        classes: By number; 0 is what is in no object.
        ledger: Gets what is left out.
    """
    labels = np.zeros(image.size[::-1], np.uint8)
    for thing in sorted(image.objects, key=_area, reverse=True):
        if thing.name not in classes:
            ledger.note(f"objects of {thing.name!r}, not in --classes", image.name)
            continue
        inside = _fill(thing, image.size)
        if inside is None:
            ledger.note("boxes without an outline: what is in them became 255", image.name)
            x, y, width, height = thing.box
            right, bottom = int(np.ceil(x + width)), int(np.ceil(y + height))
            labels[int(y) : bottom, int(x) : right] = IGNORED
        else:
            labels[inside] = classes.index(thing.name)
    return labels


def _area(thing: LabelledObject) -> float:
    if thing.polygons:
        return sum(map(polygon_area, thing.polygons))
    if thing.mask is None:
        return thing.box[2] * thing.box[3]
    from pycocotools import mask as coco_mask

    return float(coco_mask.area(thing.mask))


def _fill(thing: LabelledObject, size: tuple[int, int]) -> np.ndarray | None:
    """The pixels (H, W), bool, of an object; None of one that has a box alone."""
    from pycocotools import mask as coco_mask

    if thing.mask is not None:
        return coco_mask.decode(thing.mask).astype(bool)
    if not thing.polygons:
        return None
    parts = coco_mask.frPyObjects(thing.polygons, *size[::-1])
    return coco_mask.decode(coco_mask.merge(parts)).astype(bool)
