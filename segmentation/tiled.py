"""Labels of tiles, as one label map that lies on the disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convnextv2.files import AtomicLocalBackend
from convnextv2.runtime.blend import Blend
from convnextv2.runtime.results import label_logits
from convnextv2.runtime.tiles import Joiner, TileGrid

if TYPE_CHECKING:
    from mmengine.structures import BaseDataElement
    from torch import nn


class LabelsJoiner(Joiner):
    """Blends the tiles' logits; whatever is complete goes to a file, from which a run goes on.

    Args:
        grid: The image's tiles.
        label: Gives the labels (h, w), uint8, of blended logits (C, h, w); see `find_labels`.
        path: Of the label map: raw bytes (H, W), with the number of the rows of tiles that are
            done beside it. A file of the same stamp is gone on with. None: it is in memory.
        stamp: What the labels depend on besides.
    """

    def __init__(
        self,
        grid: TileGrid,
        label: Callable[[np.ndarray], np.ndarray],
        path: Path | None = None,
        stamp: dict | None = None,
    ) -> None:
        super().__init__(grid)
        self._stamp = {"tiles": [*grid.image_shape, grid.tile_size, grid.overlap], **(stamp or {})}
        self.state = path and path.with_name(f"{path.name}.json")
        self.done = self._read_done(path, self.state) if path and self.state else 0
        self.labels = _open_labels(path, grid.image_shape, self.done > 0)
        rows = grid.rows
        start = rows[self.done][0] if self.done < len(rows) else grid.image_shape[0]
        # From the first row that reaches into lines that are not done.
        self._first = next((i for i, (_, end) in enumerate(rows) if end > start), len(rows))
        self._blend = Blend(grid, label, self._first)

    def list_missing(self) -> list[int]:
        """All from the first row of tiles that reaches where nothing is written yet."""
        return list(range(self._first * len(self.grid.columns), len(self.grid.tiles)))

    def add(self, number: int, sample: BaseDataElement) -> None:
        """Take mmseg's ``seg_logits`` of a tile; they come in the order of the tiles."""
        row, column = divmod(number, len(self.grid.columns))
        for part in self._blend.add(sample.seg_logits.data.cpu().numpy()):
            if row >= self.done:
                height, width = part.labels.shape
                self.labels[part.y : part.y + height, part.x : part.x + width] = part.labels
        if column == len(self.grid.columns) - 1 and row >= self.done:
            self.done = row + 1
            content = {"stamp": self._stamp, "rows_done": self.done}
            if self.state:
                AtomicLocalBackend().put(json.dumps(content).encode(), self.state)

    def join(self) -> np.ndarray:
        """The label map (H, W), uint8, which is read from the disk where it is used."""
        return self.labels

    def fill(self, sample: BaseDataElement) -> None:
        """As ``pred_sem_seg``."""
        import torch
        from mmengine.structures import PixelData

        labels = torch.from_numpy(np.asarray(self.labels)).long()
        sample.pred_sem_seg = PixelData(data=labels[None])

    def _read_done(self, path: Path, state: Path) -> int:
        """Rows of tiles that an earlier run has done."""
        height, width = self.grid.image_shape
        if not state.exists() or not path.exists() or path.stat().st_size != height * width:
            return 0
        content = json.loads(state.read_text())
        return int(content["rows_done"]) if content["stamp"] == self._stamp else 0


def _open_labels(path: Path | None, shape: tuple[int, int], again: bool) -> np.ndarray:
    if path is None:
        return np.zeros(shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    return np.memmap(path, np.uint8, "r+" if again else "w+", shape=shape)


def find_labels(model: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """How a segmenter's blended ``seg_logits`` (C, h, w) become labels, as mmseg does it."""
    head: Any = model.decode_head
    threshold = getattr(head[-1] if hasattr(head, "__len__") else head, "threshold", None)

    return lambda logits: label_logits(logits, threshold)
