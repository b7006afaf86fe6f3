"""What is found in images that are looked at by tiles, on the disk as it is found."""

from __future__ import annotations

import os
import shutil
from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from convnextv2.runtime.tiles import Joiner, TileGrid

if TYPE_CHECKING:
    import numpy as np

    from convnextv2.pictures import Palette


class TiledImage(NamedTuple):
    """An image that is looked at by tiles."""

    source: str
    """Its path."""
    name: str
    """Its path below a folder that holds all images."""
    number: int
    """In this run, from 1."""
    grid: TileGrid


class TiledResults(AbstractContextManager):
    """Writes what is found in images, each by tiles.

    Args:
        folder: To write into; what is not complete yet is in its ``tiles/``.
        stamp: What a result depends on; an earlier run of another stamp is not gone on with.
    """

    def __init__(self, folder: Path, stamp: dict) -> None:
        self.folder, self.stamp = folder, stamp

    def partial(self, image: TiledImage) -> Path:
        """Where an image's unfinished result lies."""
        return self.folder / "tiles" / image.name

    def describe_image(self, image: TiledImage) -> dict:
        """What an image's result depends on."""
        status, grid = os.stat(image.source), image.grid
        tiles = [*grid.image_shape, grid.tile_size, grid.overlap]
        return {**self.stamp, "file": [status.st_size, status.st_mtime_ns], "tiles": tiles}

    @abstractmethod
    def open(self, image: TiledImage) -> Joiner:
        """What puts the tiles of an image together, with those that an earlier run has done."""

    @abstractmethod
    def add(self, image: TiledImage, joiner: Any) -> None:
        """Write what was found in an image, all of whose tiles were added."""

    @abstractmethod
    def draw(
        self, picture: np.ndarray, joiner: Any, factor: int, palette: Palette, names: list[str]
    ) -> np.ndarray:
        """The picture (H / factor, W / factor, 3) with what was found."""

    def __exit__(self, *error: object) -> None:
        """Complete the files; nothing is left to go on with unless there was an error."""
        if error[:1] == (None,):
            shutil.rmtree(self.folder / "tiles", ignore_errors=True)

    def describe(self) -> str:
        """What was found in all images; may be empty."""
        return ""

    def warn(self) -> str:
        """What a reader of the files must know; may be empty."""
        return ""
