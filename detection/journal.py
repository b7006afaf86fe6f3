"""The pieces found in tiles, on the disk as they are found, for a run that goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from convnextv2.runtime.box_masks import BoxMask
from convnextv2.runtime.join import Piece


class Journal:
    """A file of lines: first what the pieces depend on, then the tiles that are done.

    Args:
        path: Of the file. What is in it of the same `stamp` is kept, as far as it is whole.
        stamp: What the pieces depend on.

    Attributes:
        done: Number of each tile that is done -> its pieces.
    """

    def __init__(self, path: Path, stamp: dict) -> None:
        self.path = path
        self.done: dict[int, list[Piece]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._read(json.dumps(stamp))
        self._file = open(path, "r+" if whole else "w")  # noqa: SIM115  see close
        if whole:
            self._file.truncate(whole)
            self._file.seek(whole)
        else:
            self._file.write(f"{json.dumps(stamp)}\n")

    def add(self, tile: int, pieces: Iterable[Piece]) -> None:
        """Write what was found in a tile, of which there may be nothing."""
        self.done[tile] = list(pieces)
        entries = [[p.box, p.score, p.label, p.mask] for p in self.done[tile]]
        self._file.write(f"{json.dumps([tile, entries])}\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, stamp: str) -> int:
        """Take what an earlier run has written; returns its bytes, 0 of another stamp."""
        if not self.path.is_file():
            return 0
        whole = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):  # killed while it was written
                    break
                if number == 0 and line != f"{stamp}\n".encode():
                    return 0
                if number:
                    tile, entries = json.loads(line)
                    self.done[tile] = [_restore(tile, *entry) for entry in entries]
                whole += len(line)
        return whole


def _restore(tile: int, box: list, score: float, label: int, mask: list | None) -> Piece:
    kept = None if mask is None else BoxMask((*mask[0],), mask[1], mask[2])
    return Piece(tile, (*box,), score, label, kept)
