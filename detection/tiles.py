"""COCO annotations of large images as they are in a tile.

A box is COCO's ``[x, y, width, height]`` in pixels, edges continuous; a mask is (H, W), True
inside.
"""

from collections.abc import Iterable

from pycocotools import mask as coco_mask

from convnextv2.runtime.box_masks import BoxMask
from convnextv2.runtime.tiles import Tile

from .coco import decode_mask, encode_mask


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
    if "bbox" in annotation and not _crop_box(annotation, tile)[1]["area"]:
        return 0, {"area": 0}  # far away: spare the decoding, which is slow in large images
    segmentation = annotation["segmentation"]
    is_rle = isinstance(segmentation, dict)
    mask = BoxMask.from_coco(segmentation) if is_rle else BoxMask.of(decode_mask(segmentation))
    part = mask.decode(tile)
    area = int(part.sum())
    if not area:
        return 0, {"area": 0}
    rle = encode_mask(part)
    box = coco_mask.toBbox(rle).tolist()
    return mask.area, {"segmentation": rle, "bbox": box, "area": area}
