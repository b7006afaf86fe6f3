"""Detections in tiles, as objects of the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convnextv2.tiles import Joiner, TileGrid

from .box_masks import BoxMask
from .join import WHOLE_IMAGE, Box, FoundObject, Piece, join_pieces
from .journal import Journal

if TYPE_CHECKING:
    from mmengine.structures import BaseDataElement, InstanceData


class ObjectsJoiner(Joiner):
    """Keeps the pieces of objects, masks as RLE of their boxes, until all tiles are there.

    Args:
        grid: The image's tiles.
        score_thr: What scores less is left out.
        journal: Where pieces are written, and those of an earlier run come from.
    """

    def __init__(
        self, grid: TileGrid, score_thr: float = 0.0, journal: Journal | None = None
    ) -> None:
        super().__init__(grid)
        self.score_thr, self.journal = score_thr, journal
        done = journal.done if journal else {}
        self._done = set(done)
        self.pieces: list[Piece] = [piece for pieces in done.values() for piece in pieces]

    def list_missing(self) -> list[int]:
        """Those that were never added."""
        return [number for number in super().list_missing() if number not in self._done]

    def add(self, number: int, sample: BaseDataElement) -> None:
        """Take mmdet's ``pred_instances`` of a tile."""
        x, y, *_ = self.grid.tiles[number]
        pieces = list_pieces(sample.pred_instances, number, self.score_thr, x, y)
        if self.journal:
            self.journal.add(number, pieces)
        self._done.add(number)
        self.pieces += pieces

    def add_reduced(self, sample: BaseDataElement, factor: int) -> None:
        """Take what was found in the whole image, of which a side has 1 / factor of the pixels.

        Objects that are whole in some tile anyway are left out.
        """
        found = list_pieces(sample.pred_instances, WHOLE_IMAGE, self.score_thr)
        large = (p for p in found if max_side(p.box) * factor > self.grid.overlap)
        self.pieces += [enlarge(piece, factor, self.grid.image_shape) for piece in large]

    def join(self) -> list[FoundObject]:
        """The image's objects, best score first."""
        return join_pieces(self.grid, self.pieces)

    def fill(self, sample: BaseDataElement) -> None:
        """As ``pred_instances``, masks as a list of COCO's RLE."""
        sample.pred_instances = to_instances(self.join(), self.grid.image_shape)


def list_pieces(
    instances: InstanceData, number: int, score_thr: float = 0.0, x: int = 0, y: int = 0
) -> list[Piece]:
    """What mmdet found in a tile.

    Args:
        instances: In pixels of the tile.
        number: The tile's.
        score_thr: What scores less is left out.
        x: Column of the tile's first pixel.
        y: Row of it.
    """
    found: Any = instances[instances.scores >= score_thr]
    boxes = found.bboxes.double().cpu().numpy().reshape(-1, 4) + np.array([x, y, x, y])
    masks = found.get("masks")
    masks = masks.cpu().numpy() if hasattr(masks, "cpu") else masks
    return [
        Piece(number, tuple(box), score, label, None if masks is None else BoxMask.of(mask, x, y))
        for box, score, label, mask in zip(
            boxes.tolist(),
            found.scores.tolist(),
            found.labels.tolist(),
            [None] * len(boxes) if masks is None else masks,
            strict=True,
        )
    ]


def max_side(box: Box) -> float:
    """The longer side of a box."""
    return max(box[2] - box[0], box[3] - box[1])


def enlarge(piece: Piece, factor: int, image_shape: tuple[int, int]) -> Piece:
    """A piece of the reduced image, in pixels of the image itself, (H, W)."""
    import cv2

    height, width = image_shape
    x0, y0, x1, y1 = (side * factor for side in piece.box)
    box = (x0, y0, min(x1, width), min(y1, height))
    mask = piece.mask
    if mask is not None and mask.area:
        left, top, right, bottom = (side * factor for side in mask.box)
        size = right - left, bottom - top
        pixels = mask.decode(mask.box).astype(np.float32)
        shares = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
        mask = BoxMask.of(shares[: height - top, : width - left] > 0.5, left, top)
    return piece._replace(box=box, mask=mask)


def to_instances(objects: list[FoundObject], image_shape: tuple[int, int]) -> InstanceData:
    """mmdet's instances of a whole image, masks as a list of COCO's RLE."""
    import torch
    from mmengine.structures import InstanceData

    instances = InstanceData(
        bboxes=torch.tensor([found.box for found in objects]).reshape(-1, 4),
        scores=torch.tensor([found.score for found in objects]),
        labels=torch.tensor([found.label for found in objects], dtype=torch.long),
    )
    masks = [found.mask.to_coco(image_shape) for found in objects if found.mask is not None]
    if masks:
        instances.masks = masks
    return instances
