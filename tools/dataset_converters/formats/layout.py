"""What the templates take: ``images/PART``, ``PART.json`` or ``masks/PART``, of train and val."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from convnextv2.engine.errors import InputError
from convnextv2.files import written_whole

from .records import LabelledImage, LabelledObject, Ledger, UnusableError, polygon_area
from .splits import PARTS

RECTANGLES = "boxes among polygons, written as polygons of four corners"


class Layout:
    """A folder in the templates' layout, that grows image by image.

    Args:
        out: The folder.
        parts: Which of ``train`` and ``val`` are written.
        copy: Copy images; else they are linked to.

    Raises:
        InputError: A part is there already.
    """

    def __init__(self, out: Path, parts: Iterable[str], copy: bool) -> None:
        self.out, self.copy = out, copy
        for part in parts:
            for there in (out / "images" / part, out / "masks" / part, out / f"{part}.json"):
                if there.exists():
                    raise InputError(f"{there} exists: remove it, or give another --out")

    def add_image(self, part: str, name: str, path: str) -> None:
        """Link or copy an image to ``images/PART/NAME``.

        Args:
            part: ``train`` or ``val``.
            name: Path below the folder of images.
            path: Of the image.

        Raises:
            InputError: The file system has no links.
        """
        target = self.out / "images" / part / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.copy:
            with written_whole(target, wait=False) as partial:
                shutil.copyfile(path, partial)
            return
        start = os.path.realpath(target.parent)
        try:
            os.symlink(os.path.relpath(os.path.realpath(path), start), target)
        except OSError as error:
            raise InputError(f"cannot link {target}: {error.strerror}; say --copy") from error

    def add_mask(self, part: str, name: str, labels: np.ndarray) -> None:
        """Write a label map (H, W), uint8, to ``masks/PART``, under an image's name in PNG.

        Raises:
            UnusableError: An image of this name, but for its suffix, has one.
        """
        from PIL import Image

        target = self.out / "masks" / part / PurePosixPath(name).with_suffix(".png")
        if target.exists():
            raise UnusableError("images of one name but for their suffix", name)
        with written_whole(target, wait=False) as partial:
            Image.fromarray(labels).save(partial, format="PNG")

    def list_parts(self, kind: str) -> list[str]:
        """The parts that are there, also of earlier runs; `kind`: ``.json`` or ``masks``."""
        names = {p: f"{p}.json" if kind == ".json" else f"masks/{p}" for p in PARTS}
        return [part for part, name in names.items() if (self.out / name).exists()]

    def write_coco(
        self, part: str, images: Sequence[LabelledImage], classes: Sequence[str], ledger: Ledger
    ) -> Counter[str]:
        """Write ``PART.json`` and its images; returns the number of objects by class.

        Objects of other classes are left out. Where some have masks, boxes without become
        polygons of their corners, because detectors of masks want one of each object.
        """
        from convnextv2.detection.coco import CocoWriter

        writer, counts = CocoWriter(classes), Counter[str]()
        masked = has_masks(images)
        for image in images:
            annotations = []
            for thing in image.objects:
                if thing.name not in classes:
                    ledger.note(f"objects of {thing.name!r}, not in --classes", image.name)
                    continue
                if masked and not thing.polygons and thing.mask is None:
                    ledger.note(RECTANGLES, image.name)
                    thing.polygons = [_corners(thing.box)]
                annotations.append(_annotate(thing, classes))
                counts[thing.name] += 1
            self.add_image(part, image.name, image.path)
            writer.add(image.name, image.size[::-1], annotations)
        writer.write(self.out / f"{part}.json")
        return counts


def has_masks(images: Iterable[LabelledImage]) -> bool:
    """Whether an object has a polygon or a mask."""
    return any(thing.polygons or thing.mask for image in images for thing in image.objects)


def _annotate(thing: LabelledObject, classes: Sequence[str]) -> dict:
    entry = {"category_id": classes.index(thing.name) + 1, "bbox": thing.box}
    if thing.mask is not None:
        from pycocotools import mask as coco_mask

        entry |= {"segmentation": thing.mask, "area": int(coco_mask.area(thing.mask))}
    elif thing.polygons:
        area = sum(map(polygon_area, thing.polygons))
        entry |= {"segmentation": thing.polygons, "area": round(area, 3)}
    return {**entry, "iscrowd": int(thing.crowd)}


def _corners(box: list[float]) -> list[float]:
    x, y, width, height = box
    right, bottom = round(x + width, 3), round(y + height, 3)
    return [x, y, right, y, right, bottom, x, bottom]
