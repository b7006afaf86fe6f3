"""Masks in COCO's form, and a COCO json as it grows.

A box is COCO's ``[x, y, width, height]`` in pixels, edges continuous; a mask is (H, W), True
inside.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from convnextv2.files import AtomicLocalBackend
from convnextv2.runtime.box_masks import BoxMask


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

    def write(self, path: str | Path) -> None:
        """Write the json; whoever reads at the same time sees the old file or the whole new."""
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": self.categories,
        }
        AtomicLocalBackend().put(json.dumps(content).encode(), path)


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


def draw_polygons(polygons: list, image_shape: tuple[int, int]) -> BoxMask:
    """The mask of COCO's polygons, as pycocotools draws them in an image (H, W)."""
    rings = [np.array(ring, float).reshape(-1, 2) for ring in polygons if len(ring) >= 6]
    if not rings:
        return BoxMask((0, 0, 0, 0), "", 0)
    height, width = image_shape
    points = np.concatenate(rings)
    # A frame around the object, at whole pixels, so that nothing is rounded otherwise.
    x0, y0 = (max(0, int(low)) for low in np.floor(points.min(0)) - 1)
    x1, y1 = (int(high) for high in np.minimum(np.ceil(points.max(0)) + 1, [width, height]))
    if x0 >= x1 or y0 >= y1:
        return BoxMask((0, 0, 0, 0), "", 0)
    moved = [(ring - [x0, y0]).ravel().tolist() for ring in rings]
    rle = coco_mask.merge(coco_mask.frPyObjects(moved, y1 - y0, x1 - x0))
    return BoxMask.of(coco_mask.decode(rle), x0, y0)
