"""Masks of colours or numbers, written as label masks of 0, 1, ... and 255."""

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.progress import track

from convnextv2.engine.errors import InputError

from . import summary
from .arguments import find_classes, find_folder, find_parts
from .colour_tables import read_colours
from .image_index import ImageIndex, agree_size
from .label_masks import IGNORED, colours_to_labels, pair, read_numbers_mask, values_to_labels
from .layout import Layout
from .records import LabelledImage, Ledger, UnusableError, check_names

_TABLES = ("label_colors.txt", "class_dict.csv", "labelmap.txt")
_LOOKED_AT = 20  # masks, to say which values or colours there are
_VOID = ("ignore", "ignored", "unknown", "unlabeled", "unlabelled", "void")

Translate = Callable[[Path], tuple[np.ndarray, str]]


def convert(args: argparse.Namespace) -> None:
    """Read masks, write both parts, and say what was done.

    Raises:
        InputError: The source is not what it should be, or nothing of it can be used.
    """
    ledger = Ledger()
    masks, images = ImageIndex(args.source), ImageIndex(find_folder(args), args.source)
    pairs = pair(masks, images, ledger, args.image_end, args.mask_end)
    classes, translate = _make_translation(args, [args.source / mask for mask in pairs.values()])
    paired = [LabelledImage(name, str(images.folder / name), (0, 0)) for name in pairs]
    parts = find_parts(args, paired)
    layout = Layout(args.out, set(parts.values()), args.copy)
    numbers, counts = Counter[str](), {part: Counter[str]() for part in sorted({*parts.values()})}
    for image in track(paired, "converting"):
        mask = args.source / pairs[image.name]
        try:
            labels, unknown = translate(mask)
            agree_size(image.path, *labels.shape[::-1])
            layout.add_mask(parts[image.name], image.name, labels)
        except UnusableError as error:
            ledger.note_error(error, str(mask))
            continue
        layout.add_image(parts[image.name], image.name, image.path)
        numbers[parts[image.name]] += 1
        counts[parts[image.name]].update(count_pixels(labels, classes))
        if unknown:
            ledger.note("masks with what is no class, which became 255", f"{mask}: {unknown}")
    _say(args, ledger, classes, numbers, counts)
    write_config(args.out, layout, classes)


def write_config(out: Path, layout: Layout, classes: list[str]) -> None:
    """Write a child of the template for label masks, see `summary.write_config`."""
    places = {
        part: f"dict(images='images/{part}', masks='masks/{part}')"
        for part in layout.list_parts("masks")
    }
    summary.write_config(out, "segmentation/upernet_convnextv2_custom.py", places, classes)


def _say(
    args: argparse.Namespace,
    ledger: Ledger,
    classes: list[str],
    numbers: Counter[str],
    counts: dict[str, Counter],
) -> None:
    summary.show_ledger(ledger, args.out)
    if not numbers:
        raise InputError("nothing was written: there is no mask that could be taken")
    summary.show_counts(classes, numbers, counts)
    if void := [name for name in classes if name.lower() in _VOID]:
        what = "--ignore" if args.format == "rgb-masks" else "--values and --classes without it"
        print(f"is {void[0]!r} a class to be learnt? if not: {what}")


def _make_translation(args: argparse.Namespace, masks: list[Path]) -> tuple[list[str], Translate]:
    """The classes, and what makes a label map of a mask."""
    classes = find_classes(args)
    if args.format == "rgb-masks":
        colours = read_colours(args.colours or _find_table(args.source))
        names = list(dict.fromkeys(colours.values()))
        if unknown := [name for name in (*classes, *args.ignore) if name not in names]:
            raise InputError(f"the table of colours has no {unknown[0]!r}, only {names}")
        kept = [name for name in classes or names if name not in args.ignore]
        check_classes(kept)
        return kept, lambda mask: colours_to_labels(mask, colours, kept)
    if not classes:
        raise InputError(
            f"give --classes NAME NAME ... for the values 0, 1, ...; {_list_values(masks)}"
        )
    check_classes(classes)
    values = args.values or list(range(len(classes)))
    if len(values) != len(classes) or len(set(values)) != len(values):
        raise InputError(f"{len(values)} --values for {len(classes)} --classes, expected one each")
    return classes, lambda mask: values_to_labels(mask, values)


def _find_table(source: Path) -> Path:
    for folder in (source, source.parent):
        for name in _TABLES:
            if (folder / name).is_file():
                return folder / name
    raise InputError(f"no {' or '.join(_TABLES)} in {source} or above; give --colours FILE")


def check_classes(classes: list[str]) -> None:
    """Refuse more classes than a mask of 8 bits can hold, and names as `check_names` does.

    Raises:
        InputError: There are such.
    """
    if len(classes) > IGNORED:
        raise InputError(f"{len(classes)} classes, of which masks of 8 bits can hold {IGNORED}")
    check_names(classes)


def _list_values(masks: list[Path]) -> str:
    """What the first masks hold."""
    found: set[int] = set()
    for mask in masks[:_LOOKED_AT]:
        try:
            found |= set(np.unique(read_numbers_mask(mask)).tolist())
        except UnusableError as error:
            return f"{mask} has {error}"
    listed = ", ".join(map(str, sorted(found)[:30]))
    return f"the first {min(len(masks), _LOOKED_AT)} masks hold {listed}"


def count_pixels(labels: np.ndarray, classes: list[str]) -> dict[str, int]:
    """Pixels of each class in a label map (H, W)."""
    pixels = np.bincount(labels.ravel(), minlength=IGNORED + 1)
    return dict(zip(classes, pixels.tolist(), strict=False))
