"""A few pictures of each validation."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from convnextv2.images import as_bgr
from convnextv2.pictures import complete_palette, join_row, to_rgb
from convnextv2.predictor import load_file
from convnextv2.registry import HOOKS

from .tasks import PredictingTask, find_task
from .types import walk_built_datasets


@HOOKS.register_module()
class ValidationPicturesHook(Hook):
    """Hand image, truth and prediction, side by side, to the visualizer's backends.

    The images are the same every time, spread over the validation data (those of the first
    process). With `LocalVisBackend` they become ``vis_data/vis_image/val_1_STEP.png``. Unlike the
    visualization hooks of mmdet and mmseg it reads an image as the config does, whatever its bands
    and bits, and no image that it does not draw.

    Args:
        number: Pictures of each validation; 0: none.
        score_thr: What scores less is not drawn.
        max_side: Pixels; larger pictures are made smaller.
    """

    def __init__(self, number: int = 4, score_thr: float = 0.3, max_side: int = 1600) -> None:
        self.number, self.score_thr, self.max_side = number, score_thr, max_side
        self._batches: list[int] = []

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the images."""
        last = len(runner.val_dataloader) - 1
        places = np.linspace(0, last, min(self.number, last + 1)).round().astype(int).tolist()
        self._batches = places if is_main_process() else []

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw the first image of a batch; if it cannot be, say so and draw no more."""
        if batch_idx not in self._batches:
            return
        try:
            picture = self._draw(runner, outputs[0].cpu())
        except Exception as error:  # a picture is no reason to lose a training
            runner.logger.warning(f"no validation pictures: {error!r}")
            self.number, self._batches = 0, []
            return
        name = f"val_{self._batches.index(batch_idx) + 1}"
        runner.visualizer.add_image(name, picture, runner.iter)

    def _draw(self, runner: Runner, sample: Any) -> np.ndarray:
        task = find_task(runner.cfg)
        if not isinstance(task, PredictingTask):
            raise ValueError("this task has nothing to draw")
        dataset = runner.val_dataloader.dataset
        picture = to_rgb(read_image(dataset, sample.img_path))
        pair = draw_beside(task, picture, sample, dataset.metainfo, self.score_thr)
        row = join_row([picture, pair])
        factor = self.max_side / max(row.shape)
        if factor < 1:
            row = cv2.resize(row, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        return row


def draw_beside(
    task: PredictingTask,
    picture: np.ndarray,
    sample: Any,
    metainfo: Mapping[str, Any],
    score_thr: float,
) -> np.ndarray:
    """Truth and prediction, side by side.

    Args:
        task: Of the model.
        picture: (H, W, 3), uint8.
        sample: A data sample on the CPU, with what was found and what is there.
        metainfo: The data set's: its classes, and its palette if it has one.
        score_thr: What scores less is not drawn.

    Returns:
        Side by side, uint8; as high as the higher one.
    """
    names = metainfo["classes"]
    palette = complete_palette(metainfo.get("palette"), len(names))
    truth = task.draw_truth(picture, sample, palette)
    found = task.draw_found(picture, sample, palette, 1, names, score_thr)
    return join_row([truth, found])


def read_image(dataset: BaseDataset, path: str) -> np.ndarray:
    """An image (H, W, C), as a data set's own loader reads it; colours are BGR.

    Args:
        dataset: Built; it may wrap others.
        path: Of the image.

    Raises:
        UnreadableImageError: It cannot be read.
    """
    first: Any = next(walk_built_datasets(dataset))
    load = first.pipeline.transforms[0]
    return as_bgr(load_file(load, {"img_path": path, "img_id": 0})["img"], load)
