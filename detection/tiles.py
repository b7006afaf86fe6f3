"""Cut large images with their COCO annotations into tiles.

Convention of this file: a tile is ``(x0, y0, x1, y1)`` in whole pixels, ends excluded; a box is
COCO's ``[x, y, width, height]`` in pixels, edges continuous; a mask is (H, W), True inside.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from pycocotools import mask as coco_mask

from .coco import decode_mask, encode_mask

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
