"""Detections in tiles, as objects of the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convnextv2.runtime.join import FoundObject, Piece
from convnextv2.runtime.objects import PiecesJoiner, list_fields
from convnextv2.runtime.tiles import TileGrid

from .journal import Journal

if TYPE_CHECKING:
    from mmengine.structures import BaseDataElement, InstanceData


class ObjectsJoiner(PiecesJoiner):
    """Keeps the pieces of objects, in a file besides, until all tiles are there.

    Args:
        grid: The image's tiles.
        score_thr: What scores less is left out.
        journal: Where pieces are written, and those of an earlier run come from.
    """

    def __init__(
        self, grid: TileGrid, score_thr: float = 0.0, journal: Journal | None = None
    ) -> None:
        super().__init__(grid, score_thr)
        self.journal = journal
        done = journal.done if journal else {}
        self._done = set(done)
        self.pieces += [piece for pieces in done.values() for piece in pieces]

    def list_missing(self) -> list[int]:
        """Those that were never added."""
        return [number for number in super().list_missing() if number not in self._done]

    def keep(self, number: int, pieces: list[Piece]) -> None:
        """Keep the pieces of a tile, which is done."""
        if self.journal:
            self.journal.add(number, pieces)
        self._done.add(number)
        super().keep(number, pieces)

    def fill(self, sample: BaseDataElement) -> None:
        """As mmdet's ``pred_instances``, masks as a list of COCO's RLE."""
        sample.pred_instances = to_instances(self.join(), self.grid.image_shape)


def to_instances(objects: list[FoundObject], image_shape: tuple[int, int]) -> InstanceData:
    """mmdet's instances of a whole image, masks as a list of COCO's RLE."""
    import torch
    from mmengine.structures import InstanceData

    fields = list_fields(objects, image_shape)
    masks = {"masks": fields.pop("masks").tolist()} if "masks" in fields else {}
    tensors = {name: torch.from_numpy(values) for name, values in fields.items()}
    return InstanceData(**tensors, **masks)
