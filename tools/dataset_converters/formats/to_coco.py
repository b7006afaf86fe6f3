"""Boxes, polygons and instance masks of any format, written as COCO's json."""

import argparse
from collections import Counter
from pathlib import Path

from convnextv2.engine.errors import InputError

from . import coco, label_masks, labelme, summary, voc, yolo
from .arguments import find_classes, find_folder, find_parts
from .image_index import ImageIndex, read_size
from .layout import Layout, has_masks
from .records import LabelledImage, Ledger, UnusableError, check_names


def convert(args: argparse.Namespace) -> None:
    """Read a source, write both parts, and say what was done.

    Raises:
        InputError: The source is not what it should be, or nothing of it can be used.
    """
    ledger = Ledger()
    masks = args.source if args.format == "instance-masks" else None
    images, names = read(args, ImageIndex(find_folder(args), masks), ledger)
    classes = find_classes(args) or names
    if not classes:
        classes = sorted({thing.name for image in images for thing in image.objects})
    check_names(classes)
    if not any(thing.name in classes for image in images for thing in image.objects):
        summary.show_ledger(ledger, args.out)
        raise InputError("nothing was written: there is no object that could be taken")
    parts = find_parts(args, images)
    numbers = Counter(parts.values())
    layout = Layout(args.out, numbers, args.copy)
    counts = {}
    for part in sorted(numbers):
        own = [image for image in images if parts[image.name] == part]
        counts[part] = layout.write_coco(part, own, classes, ledger)
    summary.show_ledger(ledger, args.out)
    summary.show_counts(classes, numbers, counts)
    detector = "mask-rcnn" if has_masks(images) else "faster-rcnn"
    places = {
        part: f"dict(images='images/{part}', annotations='{part}.json')"
        for part in layout.list_parts(".json")
    }
    template = f"detection/{detector}_convnextv2_fpn_custom.py"
    summary.write_config(args.out, template, places, classes)


def read(
    args: argparse.Namespace, images: ImageIndex, ledger: Ledger
) -> tuple[list[LabelledImage], list[str]]:
    """The images of a source, and its classes where it has an order of them."""
    if args.format == "voc":
        return voc.read(args.source, images, ledger, args.first_pixel), []
    if args.format == "labelme":
        return labelme.read(args.source, images, ledger), []
    if args.format == "yolo":
        return yolo.read(args.source, images, ledger, args.classes or [])
    if args.format == "coco":
        return coco.read(args.source, images, ledger, not args.no_crowds)
    if not args.classes:
        raise InputError("give --classes NAME: what the objects are")
    return _read_instances(args, images, ledger), args.classes


def _read_instances(
    args: argparse.Namespace, images: ImageIndex, ledger: Ledger
) -> list[LabelledImage]:
    from rich.progress import track

    pairs = label_masks.pair(ImageIndex(args.source), images, ledger, args.image_end, args.mask_end)
    found = []
    for name, mask in track(pairs.items(), "reading"):
        path = str(images.folder / name)
        try:
            image = LabelledImage(name, path, read_size(path)[0])
            path_of_mask = Path(args.source, mask)
            label_masks.read_instances(path_of_mask, image, args.classes, args.divisor, ledger)
        except UnusableError as error:
            ledger.note_error(error, mask)
            continue
        found.append(image)
    return found
