"""Cut large images with their COCO annotations into tiles, and collect a COCO json.

Convention of this file: a tile is ``(x0, y0, x1, y1)`` in whole pixels, ends excluded; a box is
COCO's ``[x, y, width, height]`` in pixels, edges continuous; a mask is (H, W), True inside.
"""

import json
import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

Tile = tuple[int, int, int, int]


def tile_boxes(image_shape: Sequence[int], tile_size: int, overlap: int = 0) -> list[Tile]:
    """The fewest equal tiles that cover an image, row by row.

    Tiles are rather smaller than asked for than ragged: all sides are equal within a pixel, so
    that no sliver is left at the right and at the bottom. An overlap that is wider than most
    objects lets each of them be whole in some tile; with no overlap each pixel is in one tile.

    Args:
        image_shape: (H, W) or (H, W, C).
        tile_size: Longest side of a tile, in pixels.
        overlap: What neighbours share, in pixels, exactly.

    Raises:
        ValueError: The overlap is negative or not smaller than the tile.
    """
    if not 0 <= overlap < tile_size:
        raise ValueError(f"overlap {overlap} must be at least 0 and below tile_size {tile_size}")

    def intervals(length: int) -> list[tuple[int, int]]:
        count = max(1, math.ceil((length - overlap) / (tile_size - overlap)))
        starts = [i * (length - overlap) // count for i in range(count + 1)]
        return [(a, b + overlap) for a, b in pairwise(starts)]

    height, width = image_shape[:2]
    return [(x0, y0, x1, y1) for y0, y1 in intervals(height) for x0, x1 in intervals(width)]


def crop_annotations(
    annotations: Iterable[dict], tile: Tile, min_visible: float, min_area: float = 1
) -> list[dict]:
    """COCO annotations as they are inside a tile, in its coordinates.

    Regions marked ``iscrowd`` stay however little of them is inside: what an evaluator is to
    ignore, it is to ignore in each tile.

    Args:
        annotations: Dicts with ``bbox``, or ``segmentation``: a mask of the whole image, or its
            RLE (counts as str, bytes or list). With a mask, the box is the mask's. Other keys are
            handed through.
        tile: Where to cut.
        min_visible: Share of an object's area, 0 to 1, that must be inside.
        min_area: Pixels that must be inside.

    Returns:
        New dicts; ``bbox`` and ``area`` are those of the part inside, ``segmentation`` is RLE.

    Raises:
        TypeError: A segmentation is a polygon.
    """
    found = []
    for annotation in annotations:
        crop = _crop_mask if annotation.get("segmentation") is not None else _crop_box
        whole, part = crop(annotation, tile)
        visible = annotation.get("iscrowd") or part["area"] >= max(min_visible * whole, min_area)
        if part["area"] > 0 and visible:
            found.append({**annotation, **part})
    return found


def encode_mask(mask: np.ndarray) -> dict:
    """COCO's compressed RLE of a mask (H, W), ready for json: size and counts as str."""
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode_mask(segmentation: np.ndarray | dict) -> np.ndarray:
    """The bool mask (H, W) of a mask or of RLE in any of its forms.

    Raises:
        TypeError: It is neither; polygons need the size of their image.
    """
    if isinstance(segmentation, np.ndarray):
        return segmentation.astype(bool)
    if not isinstance(segmentation, dict):
        raise TypeError(
            "segmentation must be a mask or RLE, not a polygon; "
            "pycocotools.coco.COCO.annToRLE makes RLE of it"
        )
    if isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, *segmentation["size"])
    return coco_mask.decode(segmentation).astype(bool)


def _crop_box(annotation: dict, tile: Tile) -> tuple[float, dict]:
    """Area of the whole box; box and area of the part inside."""
    x, y, width, height = annotation["bbox"]
    x0, y0, x1, y1 = tile
    left, top = max(x, x0), max(y, y0)
    w, h = max(0, min(x + width, x1) - left), max(0, min(y + height, y1) - top)
    return width * height, {"bbox": [left - x0, top - y0, w, h], "area": w * h}


def _crop_mask(annotation: dict, tile: Tile) -> tuple[float, dict]:
    """Area of the whole mask; mask, box and area of the part inside."""
    x0, y0, x1, y1 = tile
    if "bbox" in annotation and not _crop_box(annotation, tile)[1]["area"]:
        return 0, {"area": 0}  # far away: spare the decoding, which is slow in large images
    mask = decode_mask(annotation["segmentation"])
    part = mask[y0:y1, x0:x1]
    area = int(part.sum())
    if not area:
        return 0, {"area": 0}
    rle = encode_mask(part)
    box = coco_mask.toBbox(rle).tolist()
    return int(mask.sum()), {"segmentation": rle, "bbox": box, "area": area}


class CocoWriter:
    """Collects images and annotations, and numbers them and the categories from 1.

    From 1, because pycocotools counts a match with an annotation of id 0 as a false positive.

    Args:
        categories: Names; the first gets id 1.
    """

    def __init__(self, categories: Sequence[str]) -> None:
        self.categories = [{"id": i, "name": name} for i, name in enumerate(categories, 1)]
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, file_name: str, image_shape: Sequence[int], annotations: Iterable[dict]) -> int:
        """Add an image with its annotations, and return the image's id.

        Args:
            file_name: Path of the image below the folder that the config names.
            image_shape: (H, W) or (H, W, C).
            annotations: Dicts with ``category_id`` (1 is the first), ``bbox``, and as
                ``segmentation``, if any, a mask or RLE. Ids of theirs are replaced.

        Raises:
            ValueError: A category does not exist, or a box has no area; nothing is added.
        """
        image_id = len(self.images) + 1
        added = []
        for number, annotation in enumerate(annotations, len(self.annotations) + 1):
            category, box = annotation["category_id"], [float(v) for v in annotation["bbox"]]
            if not 1 <= category <= len(self.categories):
                raise ValueError(
                    f"{file_name}: category_id {category}, but there are "
                    f"{[(c['id'], c['name']) for c in self.categories]}"
                )
            if not (box[2] > 0 and box[3] > 0):
                raise ValueError(f"{file_name}: the box {box} (x, y, width, height) has no area")
            entry = {"area": box[2] * box[3], "iscrowd": 0, **annotation}
            entry |= {"id": number, "image_id": image_id, "bbox": box}
            segmentation = annotation.get("segmentation")
            if isinstance(segmentation, np.ndarray):
                entry |= {"segmentation": encode_mask(segmentation)}
                entry |= {"area": int(np.count_nonzero(segmentation))}
            elif isinstance(segmentation, dict) and isinstance(segmentation["counts"], bytes):
                counts = segmentation["counts"].decode("ascii")
                entry |= {"segmentation": {**segmentation, "counts": counts}}
            added.append(entry)
        height, width = (int(side) for side in image_shape[:2])
        self.images.append(
            {"id": image_id, "file_name": file_name, "height": height, "width": width}
        )
        self.annotations += added
        return image_id

    def write(self, path: str | os.PathLike) -> None:
        """Write the json; whoever reads at the same time sees the old file or the whole new."""
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": self.categories,
        }
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(content, file)
            os.chmod(temporary, 0o644)  # mkstemp lets nobody else read
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
