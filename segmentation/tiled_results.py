"""Label maps of images that were looked at by tiles: TIFF files in tiles, written part by part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from convnextv2.files import written_whole
from convnextv2.geo import Place, read_place
from convnextv2.results import TrainedModel
from convnextv2.tiled_results import TiledImage, TiledResults

from .draw import paint
from .tiled import LabelsJoiner, find_labels

if TYPE_CHECKING:
    from convnextv2.pictures import Palette

SIDE = 256  # of the file's tiles


class TiledLabels(TiledResults):
    """``labels/``: a label map of each image as a TIFF, one byte a pixel, named after the image.

    Args:
        trained: The model.
        folder: Of the folder.
        stamp: See `TiledResults`.
    """

    def __init__(self, trained: TrainedModel, folder: Path, stamp: dict) -> None:
        super().__init__(folder, stamp)
        self.label, self.label_offset = find_labels(trained.model), trained.label_offset

    def open(self, image: TiledImage) -> LabelsJoiner:
        """See `TiledResults`."""
        path = self.partial(image).with_name(f"{Path(image.name).name}.raw")
        return LabelsJoiner(image.grid, self.label, path, self.describe_image(image))

    def add(self, image: TiledImage, joiner: LabelsJoiner) -> None:
        """Write the label map of one image."""
        path = self.folder / "labels" / f"{image.name}.tif"
        write_labels(path, joiner.join(), self.label_offset, read_place(image.source))

    def draw(
        self,
        picture: np.ndarray,
        joiner: LabelsJoiner,
        factor: int,
        palette: Palette,
        names: list[str],
    ) -> np.ndarray:
        """The labels as colours: those of each factor-th pixel."""
        height, width = picture.shape[:2]
        labels = np.asarray(joiner.join()[::factor, ::factor])[:height, :width]
        return paint(picture, labels, palette, 1, names)


def write_labels(
    path: Path, labels: np.ndarray, label_offset: int, place: Place | None = None
) -> None:
    """Write a label map (H, W), uint8, as a TIFF whose tiles are read from it one by one.

    Args:
        path: Of the file.
        labels: The classes' numbers from 0.
        label_offset: What to add to them.
        place: Where the image is in the world; the file then is a GeoTIFF.
    """
    height, width = labels.shape

    def cut() -> Iterator[np.ndarray]:
        for y in range(0, height, SIDE):
            for x in range(0, width, SIDE):
                yield np.ascontiguousarray(labels[y : y + SIDE, x : x + SIDE]) + np.uint8(
                    label_offset
                )

    with (
        written_whole(path) as partial,
        tifffile.TiffWriter(partial, bigtiff=labels.nbytes > 2**31) as file,
    ):
        file.write(
            cut(),
            shape=labels.shape,
            dtype=labels.dtype,
            tile=(SIDE, SIDE),
            photometric="minisblack",
            compression="adobe_deflate",
            extratags=place.tags if place else (),
        )
