"""Label masks of tiles of large images, for training."""

from __future__ import annotations

from typing import Any

import numpy as np
import tifffile
from mmengine.dataset import Compose
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from convnextv2.engine.errors import InputError
from convnextv2.files import printable
from convnextv2.registry import DATASETS
from convnextv2.runtime.tiles import Tile
from convnextv2.tiled_dataset import TiledDataset

_TIFF = (".tif", ".tiff")


@DATASETS.register_module()
class TiledSegDataset(TiledDataset):
    """Tiles of the images of one of mmseg's data sets.

    An image's mask is decoded once, as long as the image is open, by the pipeline's own step.

    Args:
        args: As of `TiledDataset`. There are no empty tiles: every pixel has a label.
        kwargs: As of `TiledDataset`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.pop("empty_share", None) is not None:
            raise InputError("TiledSegDataset: empty_share is of objects; label masks have none")
        super().__init__(*args, **kwargs)
        steps = self.pipeline.transforms
        self._load_mask = Compose([step for step in steps if isinstance(step, LoadAnnotations)])
        self.pipeline.transforms = [s for s in steps if not isinstance(s, LoadAnnotations)]

    def read_size(self, info: dict) -> tuple[int, int]:
        """By the image's header."""
        path = info["img_path"]
        try:
            if path.lower().endswith(_TIFF):
                with tifffile.TiffFile(path) as file:
                    page = file.pages.first
                    return page.imagelength, page.imagewidth
            if path.lower().endswith(".npy"):
                return np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
            with Image.open(path) as image:
                return image.height, image.width
        except Exception as error:  # each decoder has its own kind
            raise InputError(f"{printable(path)}: {error}") from error

    def is_empty(self, info: dict, tile: Tile) -> bool:
        """None is."""
        return False

    def prepare_labels(self, info: dict) -> np.ndarray:
        """The whole label mask (H, W), as the pipeline's step makes it."""
        height, width = self.read_size(info)
        whole = self._load_mask({**info, "height": height, "width": width})["gt_seg_map"]
        if whole.shape != (height, width):
            raise InputError(
                f"{printable(info['seg_map_path'])} has {' x '.join(map(str, whole.shape))} "
                f"pixels, its image {height} x {width}"
            )
        return whole

    def cut_labels(self, info: dict, labels: np.ndarray, tile: Tile) -> dict:
        """``gt_seg_map`` (h, w)."""
        x0, y0, x1, y1 = tile
        return {"gt_seg_map": labels[y0:y1, x0:x1].copy(), "seg_fields": ["gt_seg_map"]}
