"""Training on tiles of large images, none of which is cut on the disk.

dataset=dict(
    type='convnextv2.TiledDetDataset', tile_size=640, overlap=96, pipeline=train_pipeline,
    dataset=dict(type='CocoDataset', ..., pipeline=train_pipeline))
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import OrderedDict
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS as ALL_DATASETS
from torch.utils.data import Dataset

from convnextv2.engine.errors import InputError
from convnextv2.files import printable
from convnextv2.images import LoadImage
from convnextv2.runtime.tiles import Tile, TileGrid
from convnextv2.windows import Windows, open_windows

MAX_REFETCH = 1000  # draws in the place of tiles that the pipeline gives up, as mmengine has it
KEPT_IMAGES = 2  # open in each process


class TiledDataset(Dataset):
    """The tiles of a data set's images, each a sample; subclasses cut the labels.

    The list of tiles follows from the annotations alone, so that a run that is resumed draws what
    it would have drawn.

    Args:
        dataset: Of whole images, or its config; of its own pipeline no more than the loader is
            used, where mean and std are measured.
        tile_size: Side of a tile.
        overlap: What neighbours share, at least.
        pipeline: For each tile, as for an image of that size: loads, augments and packs.
        empty_share: Tiles without any object, as a share of all; None: all of them.

    Raises:
        InputError: The pipeline has not one `LoadImage`.
    """

    def __init__(
        self,
        dataset: Any,
        tile_size: int,
        overlap: int,
        pipeline: list[dict],
        empty_share: float | None = None,
    ) -> None:
        self.dataset: BaseDataset = (
            ALL_DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        )
        self.tile_size, self.overlap = tile_size, overlap
        self.pipeline = Compose(pipeline)
        loaders = [step for step in self.pipeline.transforms if isinstance(step, LoadImage)]
        if len(loaders) != 1:
            raise InputError(
                f"{type(self).__name__}: pipeline needs one convnextv2.LoadImage, which reads "
                "parts of images"
            )
        self.load = loaders[0]
        self.places = self._choose(empty_share)
        self._kept: OrderedDict[int, tuple[Windows, Any]] = OrderedDict()
        self._process = os.getpid()

    @property
    def metainfo(self) -> dict:
        """That of the images."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Nothing is left to do."""

    def __len__(self) -> int:
        return len(self.places)

    def get_data_info(self, index: int) -> dict:
        """What is known of a tile's image, and ``tile``."""
        image, tile = self.places[index]
        return {**self.dataset.get_data_info(image), "tile": tile}

    def __getitem__(self, index: int) -> Any:
        for _ in range(MAX_REFETCH):
            sample = self.pipeline(self._read(index))
            if sample is not None:
                return sample
            index = int(np.random.randint(len(self)))
        raise RuntimeError("the pipeline gives up every tile")

    @abstractmethod
    def read_size(self, info: dict) -> tuple[int, int]:
        """Height and width of an image, without decoding it."""

    @abstractmethod
    def is_empty(self, info: dict, tile: Tile) -> bool:
        """Whether nothing is annotated in a tile; a guess that needs no pixels is enough."""

    @abstractmethod
    def prepare_labels(self, info: dict) -> Any:
        """What is kept of an image's labels as long as the image is open."""

    @abstractmethod
    def cut_labels(self, info: dict, labels: Any, tile: Tile) -> dict:
        """The labels of a tile, as the data set gives those of an image.

        Args:
            info: Of the image.
            labels: What `prepare_labels` made of it.
            tile: Where to cut.
        """

    def _choose(self, empty_share: float | None) -> list[tuple[int, Tile]]:
        places: list[tuple[int, Tile]] = []
        empty: list[int] = []
        for image in range(len(self.dataset)):
            info = self.dataset.get_data_info(image)
            for tile in TileGrid(self.read_size(info), self.tile_size, self.overlap).tiles:
                if empty_share is not None and self.is_empty(info, tile):
                    empty.append(len(places))
                places.append((image, tile))
        if empty_share is None:
            return places
        wanted = round((len(places) - len(empty)) * empty_share / max(1 - empty_share, 1e-9))
        left_out = set(np.random.default_rng(0).permutation(empty)[wanted:].tolist())
        return [place for number, place in enumerate(places) if number not in left_out]

    def _read(self, index: int) -> dict:
        image, tile = self.places[index]
        info = self.dataset.get_data_info(image)
        windows, labels = self._open(image, info)
        x0, y0, x1, y1 = tile
        size = {"height": y1 - y0, "width": x1 - x0, "content": windows.read_file(tile)}
        return {**info, **size, **self.cut_labels(info, labels, tile), "tile": tile}

    def _open(self, image: int, info: dict) -> tuple[Windows, Any]:
        if self._process != os.getpid():  # files that another process opened have its place
            self._kept.clear()
            self._process = os.getpid()
        if image not in self._kept:
            windows = open_windows(info["img_path"], self.load)
            if windows.shape != self.read_size(info):
                height, width = windows.shape
                raise InputError(
                    f"{printable(info['img_path'])} has {height} x {width} pixels, by its "
                    f"annotations {' x '.join(map(str, self.read_size(info)))}"
                )
            self._kept[image] = windows, self.prepare_labels(info)
            if len(self._kept) > KEPT_IMAGES:
                self._kept.popitem(last=False)[1][0].close()
        self._kept.move_to_end(image)
        return self._kept[image]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_kept": OrderedDict()}
