"""Testing by tiles: whole images against whole annotations, through a network that sees tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.registry import TRANSFORMS
from mmengine.structures import BaseDataElement

from convnextv2.predictor import ImageModel
from convnextv2.registry import MODELS
from convnextv2.runtime.tiles import TileGrid
from convnextv2.tiled import predict_tiles
from convnextv2.windows import DecodedImage

from .tasks import PredictingTask, list_tasks
from .types import find_class, is_a, walk_datasets, without_labels

_LABELS = "mmcv.transforms.loading.LoadAnnotations"
_PACK = (
    "mmdet.datasets.transforms.formatting.PackDetInputs",
    "mmseg.datasets.transforms.formatting.PackSegInputs",
)


@MODELS.register_module()
class TiledModel(BaseTTAModel):
    """A model that predicts images by overlapping tiles; `use_tiles` puts it into a config.

    It is one of mmengine's models for augmentation at test time, of which checkpoints are loaded
    into the model inside.

    Args:
        module: The model, or its config.
        steps: What the test pipeline does with an image once it is read; done with each tile.
        tile_size: Side of a tile.
        overlap: What neighbours share.
        batch_size: Tiles to compute at once.
    """

    def __init__(
        self, module: Any, steps: list[dict], tile_size: int, overlap: int, batch_size: int = 1
    ) -> None:
        super().__init__(module)
        self.tile_size, self.overlap, self.batch_size = tile_size, overlap, batch_size
        self.task = next(
            task
            for task in list_tasks()
            if isinstance(task, PredictingTask) and is_a(type(self.module), task.model)
        )
        self._steps = [TRANSFORMS.build(step) for step in steps]

    def test_step(self, data: dict) -> list[BaseDataElement]:
        """Fill the samples of whole images, ``inputs`` (C, H, W) each, with what is in them."""
        samples = []
        for image, sample in zip(data["inputs"], data["data_samples"], strict=True):
            pixels = DecodedImage(np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()))
            grid = TileGrid(pixels.shape, self.tile_size, self.overlap)
            joiner = self.task.open_joiner(self.module, grid)
            look = ImageModel(self.task, self.module, [dict, *self._steps])
            for _ in predict_tiles(look, pixels.read, joiner, self.batch_size):
                pass
            joiner.fill(sample)
            samples.append(sample)
        return samples

    def merge_preds(self, data_samples_list: list) -> list:
        """Refuse: mmengine's class asks for it, but tiles are no variants of the image.

        Raises:
            TypeError: Always; `test_step` puts tiles together, one after the other.
        """
        raise TypeError("tiles are put together by test_step, and are no variants of an image")


def use_tiles(cfg: Config, tile_size: int, overlap: int) -> None:
    """Let a config test by tiles: whole images reach the model, the pipeline's rest is for tiles.

    The loader's batch is that of the tiles. Masks of the annotations are not loaded, which would
    fill the memory with a large image for each object; evaluators read them from the file.
    """
    scope = cfg.get("default_scope")
    steps: list[dict] = []
    for _, entry in walk_datasets(cfg.test_dataloader.dataset):
        load, *rest = entry["pipeline"]
        steps = without_labels(rest, scope)
        kept = [step for step in rest if _is(step, scope, _LABELS, *_PACK)]
        entry["pipeline"] = [load, *(_leave_masks(step, scope) for step in kept)]
    cfg.model = {
        "type": "convnextv2.TiledModel",
        "module": cfg.model,
        "steps": steps,
        "tile_size": tile_size,
        "overlap": overlap,
        "batch_size": cfg.test_dataloader.get("batch_size", 1),
    }
    cfg.test_dataloader.batch_size = 1


def _is(step: dict, scope: str | None, *names: str) -> bool:
    return is_a(find_class(step, TRANSFORMS, scope), *names)


def _leave_masks(step: dict, scope: str | None) -> dict:
    if _is(step, scope, "mmdet.datasets.transforms.loading.LoadAnnotations"):
        return {**step, "with_mask": False}
    return step
