"""Detections in tiles, as pieces of the objects of the whole image."""

from __future__ import annotations

from typing import Any

import numpy as np

from .box_masks import BoxMask
from .join import WHOLE_IMAGE, Box, FoundObject, Piece, join_pieces
from .resizing import resize
from .tiles import Joiner, TileGrid


class PiecesJoiner(Joiner):
    """Keeps the pieces of objects, masks as RLE of their boxes, until all tiles are there.

    Args:
        grid: The image's tiles.
        score_thr: What scores less is left out.
    """

    def __init__(self, grid: TileGrid, score_thr: float = 0.0) -> None:
        super().__init__(grid)
        self.score_thr = score_thr
        self.pieces: list[Piece] = []

    def add(self, number: int, sample: Any) -> None:
        """Take the ``pred_instances`` of a tile."""
        x, y, *_ = self.grid.tiles[number]
        self.keep(number, list_pieces(sample.pred_instances, number, self.score_thr, x, y))

    def keep(self, number: int, pieces: list[Piece]) -> None:
        """Keep the pieces of a tile."""
        self.pieces += pieces

    def add_reduced(self, sample: Any, factor: int) -> None:
        """Take what was found in the whole image, of which a side has 1 / factor of the pixels.

        Objects that are whole in some tile anyway are left out.
        """
        found = list_pieces(sample.pred_instances, WHOLE_IMAGE, self.score_thr)
        large = (p for p in found if max_side(p.box) * factor > self.grid.overlap)
        self.pieces += [enlarge(piece, factor, self.grid.image_shape) for piece in large]

    def join(self) -> list[FoundObject]:
        """The image's objects, best score first."""
        return join_pieces(self.grid, self.pieces)

    def fill(self, sample: Any) -> None:
        """As ``pred_instances``, whose masks are COCO's RLE, an array of dicts."""
        from .results import Instances

        sample.pred_instances = Instances(**list_fields(self.join(), self.grid.image_shape))


def list_pieces(
    instances: Any, number: int, score_thr: float = 0.0, x: int = 0, y: int = 0
) -> list[Piece]:
    """What was found in a tile.

    Args:
        instances: mmdet's or `Instances`, in pixels of the tile, on the CPU.
        number: The tile's.
        score_thr: What scores less is left out.
        x: Column of the tile's first pixel.
        y: Row of it.
    """
    scores, labels = np.asarray(instances.scores), np.asarray(instances.labels)
    chosen = np.flatnonzero(scores >= score_thr)
    boxes = np.asarray(instances.bboxes, np.float64).reshape(-1, 4)[chosen] + [x, y, x, y]
    found = getattr(instances, "masks", None)
    # One at a time: all of a tile's may be a lot.
    masks = [None if found is None else BoxMask.of(np.asarray(found[i]), x, y) for i in chosen]
    rows = boxes.tolist(), scores[chosen].tolist(), labels[chosen].tolist(), masks
    return [
        Piece(number, tuple(box), score, label, mask)
        for box, score, label, mask in zip(*rows, strict=True)
    ]


def max_side(box: Box) -> float:
    """The longer side of a box."""
    return max(box[2] - box[0], box[3] - box[1])


def enlarge(piece: Piece, factor: int, image_shape: tuple[int, int]) -> Piece:
    """A piece of the reduced image, in pixels of the image itself, (H, W)."""
    height, width = image_shape
    x0, y0, x1, y1 = (side * factor for side in piece.box)
    box = (x0, y0, min(x1, width), min(y1, height))
    mask = piece.mask
    if mask is not None and mask.area:
        left, top, right, bottom = (side * factor for side in mask.box)
        pixels = mask.decode(mask.box).astype(np.float32)[..., None]
        shares = resize(pixels, (bottom - top, right - left))[..., 0]
        mask = BoxMask.of(shares[: height - top, : width - left] > 0.5, left, top)
    return piece._replace(box=box, mask=mask)


def list_fields(objects: list[FoundObject], image_shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Fields of `Instances`; ``masks`` only where the model has them."""
    fields: dict[str, np.ndarray] = {
        "bboxes": np.array([found.box for found in objects], np.float32).reshape(-1, 4),
        "scores": np.array([found.score for found in objects], np.float32),
        "labels": np.array([found.label for found in objects], np.int64),
    }
    masks = [found.mask.to_coco(image_shape) for found in objects if found.mask is not None]
    if masks:
        fields["masks"] = np.array(masks, object)
    return fields
