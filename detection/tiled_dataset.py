"""Objects in tiles of large images, for training."""

from __future__ import annotations

from typing import Any

from convnextv2.registry import DATASETS
from convnextv2.runtime.box_masks import BoxMask
from convnextv2.runtime.tiles import Tile, intersect
from convnextv2.tiled_dataset import TiledDataset

from .coco import draw_polygons


@DATASETS.register_module()
class TiledDetDataset(TiledDataset):
    """Tiles of the images of one of mmdet's data sets: boxes, polygons and RLE.

    Args:
        args: As of `TiledDataset`.
        min_visible: Share of an object, of its mask if it has one, that must be in a tile; of
            what is in it less, the tile knows nothing.
        kwargs: As of `TiledDataset`.
    """

    def __init__(self, *args: Any, min_visible: float = 0.4, **kwargs: Any) -> None:
        self.min_visible = min_visible
        super().__init__(*args, **kwargs)

    def read_size(self, info: dict) -> tuple[int, int]:
        """By the annotations."""
        return info["height"], info["width"]

    def is_empty(self, info: dict, tile: Tile) -> bool:
        """By the boxes."""
        return not any(
            _share_box(entry["bbox"], tile) >= max(self.min_visible, 1e-9)
            for entry in info["instances"]
        )

    def prepare_labels(self, info: dict) -> list[BoxMask | None]:
        """The mask of each object."""
        size = self.read_size(info)
        return [_read_mask(entry.get("mask"), size) for entry in info["instances"]]

    def cut_labels(self, info: dict, labels: list[BoxMask | None], tile: Tile) -> dict:
        """``instances`` as they are in the tile; masks become RLE."""
        cut = (
            self._cut(entry, mask, tile)
            for entry, mask in zip(info["instances"], labels, strict=True)
        )
        return {"instances": [entry for entry in cut if entry]}

    def _cut(self, entry: dict, mask: BoxMask | None, tile: Tile) -> dict | None:
        """An object in a tile; None if too little of it is there."""
        x0, y0, x1, y1 = tile
        share = _share_box(entry["bbox"], tile)
        left, top, right, bottom = entry["bbox"]
        box = [max(left, x0), max(top, y0), min(right, x1), min(bottom, y1)]
        changed: dict = {}
        if mask is not None:
            if not share and not intersect(mask.box, tile):
                return None
            part = BoxMask.of(mask.decode(tile), x0, y0)
            share = part.area / max(mask.area, 1)
            box = list(part.box) if 0 < share < 1 else box
            moved = (part.box[0] - x0, part.box[1] - y0, part.box[2] - x0, part.box[3] - y0)
            changed["mask"] = part._replace(box=moved).to_coco((y1 - y0, x1 - x0))
        # What an evaluator is to ignore, it is to ignore in each tile.
        if not share or (share < self.min_visible and not entry["ignore_flag"]):
            return None
        moved_box = [box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0]
        return {**entry, **changed, "bbox": moved_box}


def _share_box(box: list[float], tile: Tile) -> float:
    """Share of a box that is in a tile."""
    x0, y0, x1, y1 = box
    width = max(0, min(x1, tile[2]) - max(x0, tile[0]))
    height = max(0, min(y1, tile[3]) - max(y0, tile[1]))
    return width * height / max((x1 - x0) * (y1 - y0), 1e-9)


def _read_mask(mask: Any, image_shape: tuple[int, int]) -> BoxMask | None:
    """A mask of an annotation: polygons, or RLE in any form."""
    if not mask:
        return None
    if isinstance(mask, list):
        return draw_polygons(mask, image_shape)
    return BoxMask.from_coco(mask)
