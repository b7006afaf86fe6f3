"""Inference by tiles: images of any size, memory of a tile and of what is found.

What was found in a tile is on the disk before the next, so that a run that was stopped goes on
where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from convnextv2.background import AHEAD, read_ahead
from convnextv2.runtime.tiles import Joiner, Tile, TileGrid
from convnextv2.tiled_results import TiledImage, TiledResults
from convnextv2.windows import Windows, open_windows, read_reduced

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config

    from convnextv2.predictor import ImageModel, Predictor

PICTURE_SIDE = 2048  # pixels at most of a drawn image
TRIMMED = 16  # tiles after which free memory is given back, which costs as much as a small tile
_CROPS = (
    "mmdet.datasets.transforms.transforms.RandomCrop",
    "mmseg.datasets.transforms.transforms.RandomCrop",
    "convnextv2.detection.loading.LargeScaleJitter",
    "convnextv2.segmentation.random_crops.RandomLabelledCrop",
)


class Tiling(NamedTuple):
    """How images are looked at."""

    tile_size: int
    overlap: int
    reduced: bool = False
    """Whether the reduced whole is looked at, too, for objects larger than a tile."""
    batch_size: int = 1


def choose_tile(cfg: Config, tile: int, overlap: int | None) -> tuple[int, int]:
    """Side of the tiles and what they share, where not all is given.

    Args:
        cfg: Read.
        tile: 0: as large as the crops that the config trains on.
        overlap: None: 15 % of a tile.

    Raises:
        InputError: The config crops nothing, or tiles would share all of their pixels.
    """
    from copy import deepcopy

    from convnextv2.engine.errors import InputError
    from convnextv2.engine.templates import fill_template

    if not tile:
        cfg = deepcopy(cfg)
        fill_template(cfg)
        found = find_tile_size(cfg)
        if not found:
            raise InputError(
                "--tile auto: the config's training has no RandomCrop that says how large images "
                "are; say it, such as --tile 640"
            )
        tile = found
    overlap = round(0.15 * tile) if overlap is None else overlap
    if overlap >= tile:
        raise InputError(f"--overlap {overlap} must be below the side of a tile, {tile}")
    return tile, overlap


def look_at(
    predictor: Predictor,
    source: str,
    name: str,
    number: int,
    results: TiledResults,
    tiling: Tiling,
    bands: tuple[int, ...] | None = None,
) -> None:
    """Find what is in an image, write it and draw it.

    Args:
        predictor: The model.
        source: The image's path.
        name: Its path below a folder that holds all images.
        number: In this run, from 1.
        results: Of the predictor's task.
        tiling: Its tiles.
        bands: What to show of it, see `show_bands`.

    Raises:
        UnreadableImageError: It cannot be read, or is damaged somewhere.
    """
    from convnextv2.images import as_bgr
    from convnextv2.pictures import to_rgb, write_png

    with open_windows(source, predictor.load) as windows:
        grid = TileGrid(windows.shape, tiling.tile_size, tiling.overlap)
        image = TiledImage(source, name, number, grid)
        joiner = results.open(image)
        infer_image(predictor, windows, image, joiner, tiling)
        results.add(image, joiner)
        small, factor = read_reduced(windows, PICTURE_SIDE)
    picture = results.draw(
        to_rgb(as_bgr(small, predictor.load), bands=bands),
        joiner,
        factor,
        predictor.palette,
        predictor.classes,
    )
    write_png(picture, results.folder / "pictures" / f"{name}.png")


def infer_image(
    predictor: Predictor, windows: Windows, image: TiledImage, joiner: Joiner, tiling: Tiling
) -> None:
    """Find what is in the tiles that a joiner misses, and show the progress."""
    from rich.progress import track

    missing = len(joiner.list_missing())
    with closing(predict_tiles(predictor, windows.read, joiner, tiling.batch_size)) as done:
        for _ in track(done, description=Path(image.name).name, total=missing):
            pass
    if tiling.reduced and len(image.grid.tiles) > 1:
        small, factor = read_reduced(windows, tiling.tile_size)
        (found,) = predictor(small)
        joiner.add_reduced(found.sample, factor)


def predict_tiles(
    predictor: ImageModel,
    read: Callable[[Tile], np.ndarray],
    joiner: Joiner,
    batch_size: int = 1,
) -> Generator[int, None, None]:
    """Give a joiner the tiles that it misses; yields the number of each as it is added.

    Args:
        predictor: The model.
        read: Gives the pixels of a tile, (h, w, C) as the config loads them; in a thread, while
            the model looks at others.
        joiner: Of the image.
        batch_size: Tiles to compute at once.
    """
    from convnextv2.engine.memory import give_back_memory, keep_one_heap

    keep_one_heap()
    missing = joiner.list_missing()
    pixels = (read(joiner.grid.tiles[number]) for number in missing)
    # Closed before the file that is read.
    with closing(read_ahead(pixels, AHEAD * batch_size)) as pixels:
        found = predictor(pixels, batch_size, trim=joiner.trim)
        for number, prediction in zip(missing, found, strict=True):
            joiner.add(number, prediction.sample)
            if number % TRIMMED == 0:
                give_back_memory()
            yield number


def find_tile_size(cfg: Config) -> int | None:
    """Side of the images that a config trains on: of its last crop; None if it crops none.

    Args:
        cfg: Read, and its template filled.
    """
    from mmengine.registry import TRANSFORMS

    from convnextv2.engine.types import find_class, is_a, walk_entries

    loader = cfg.get("train_dataloader") or {}
    sizes = [
        step["crop_size"]
        for _, entry in walk_entries(loader.get("dataset"))
        for step in entry.get("pipeline") or []
        if is_a(find_class(step, TRANSFORMS, cfg.get("default_scope")), *_CROPS)
    ]
    whole = [size for size in sizes if size and min(size) > 1]  # others are shares of the image
    return int(min(whole[-1])) if whole else None
