"""The command line of convert_labels.py, and what follows from it.

Nothing heavy is imported at the top, so that `--help` answers at once.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import make_parser, whole

if TYPE_CHECKING:
    from .records import LabelledImage

FORMATS = {
    "voc": "Pascal VOC: a folder of xml files",
    "yolo": "YOLO: a data.yaml, or a folder of txt files; boxes and polygons",
    "labelme": "LabelMe: a folder of json files",
    "coco": "COCO's json as CVAT, Label Studio and others export it",
    "rgb-masks": "masks of a colour for each class",
    "palette-masks": "masks of a number for each class, with or without a palette",
    "instance-masks": "masks of a number for each object, 0 for none",
}


def make_arguments(description: str) -> argparse.ArgumentParser:
    """The parser, with one for each format."""
    command = "python tools/dataset_converters/convert_labels.py"
    parser = make_parser(
        description,
        f"{command} voc VOC2007/Annotations --images VOC2007/JPEGImages --out data/my_objects\n"
        f"  {command} yolo my_yolo/data.yaml --out data/my_objects\n"
        f"  {command} rgb-masks CamVid/labels --images CamVid/images --out data/my_masks "
        "--group-by '^[^_]+'",
    )
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    for name, text in FORMATS.items():
        one = formats.add_parser(name, help=text, description=text)
        add_arguments(one)
        if name == "voc":
            help_ = "0: edges from 0, as labelImg and CVAT write them; default: 1"
            one.add_argument("--first-pixel", type=int, choices=[0, 1], default=1, help=help_)
        if name == "coco":
            help_ = "take objects of iscrowd=1 as single ones (brush masks of CVAT are such)"
            one.add_argument("--no-crowds", action="store_true", help=help_)
        if name in ("yolo", "labelme", "coco"):
            help_ = "write label masks of the objects' outlines, for segmentation"
            one.add_argument("--masks", action="store_true", help=help_)
            help_ = "with --masks: class 0, of what is in no object; default: background"
            one.add_argument("--background", default="background", metavar="NAME", help=help_)
        if name.endswith("masks"):
            one.add_argument("--image-end", default="", help="end of the images' names: _rgb")
            one.add_argument("--mask-end", default="", help="end of the masks' names: _labels")
        if name == "rgb-masks":
            help_ = "label_colors.txt, class_dict.csv, labelmap.txt, or a yaml of name: [R, G, B]"
            one.add_argument("--colours", "--colors", type=Path, metavar="FILE", help=help_)
            help_ = "classes of the table that become 255, which training leaves out"
            one.add_argument("--ignore", nargs="+", default=[], metavar="NAME", help=help_)
        if name == "palette-masks":
            help_ = "those of the classes, in their order; default: 0 1 ..."
            one.add_argument("--values", nargs="+", type=whole(0), metavar="N", help=help_)
        if name == "instance-masks":
            help_ = "number // divisor is the class's (Cityscapes: 1000); default: one class"
            one.add_argument("--divisor", type=whole(2), metavar="N", help=help_)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What all formats have."""
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the annotations")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of the images; default: of SOURCE"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="written to")
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="in this order, others are left out"
    )
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument(
        "--val", help="share of the images for validation, or a file with their names; default: 0.2"
    )
    parts.add_argument(
        "--part", choices=["train", "val"], help="all is of this part; the other stays as it is"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw; default: 0")
    parser.add_argument(
        "--group-by",
        metavar="REGEX",
        help="images for which this finds the same in their path stay together; or: folder",
    )
    parser.add_argument("--copy", action="store_true", help="copy images instead of linking them")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def find_folder(args: argparse.Namespace) -> Path:
    """Of the images: ``--images``, or where the annotations are."""
    if args.images is not None:
        return args.images
    folder = args.source if args.source.is_dir() else args.source.parent
    return folder.parent if folder.name == "annotations" else folder


def find_classes(args: argparse.Namespace) -> list[str]:
    """Of ``--classes``, or those with which another part was written; none if neither is there."""
    listed = args.out / "classes.txt"
    if args.classes is None and args.part is not None and listed.is_file():
        return listed.read_text("utf-8").splitlines()
    return args.classes or []


def find_parts(args: argparse.Namespace, images: list["LabelledImage"]) -> dict[str, str]:
    """The part of each image: as told, as the source has it, or a fifth for validation."""
    from .splits import PARTS, split

    if args.part is not None:
        return {image.name: args.part for image in images}
    if args.val is None and {image.part for image in images} == set(PARTS):
        return {image.name: image.part for image in images}
    names = [image.name for image in images]
    return split(names, args.val or "0.2", args.seed, args.group_by)
