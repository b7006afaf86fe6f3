"""A picture of every test image, with the ground truth beside the prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from convnextv2.background import AHEAD, Background
from convnextv2.images import UnreadableImageError
from convnextv2.pictures import to_rgb, write_png
from convnextv2.registry import HOOKS
from convnextv2.words import write_legend

from .tasks import PredictingTask, list_tasks
from .types import is_a, walk_built_datasets
from .validation_pictures import draw_beside, read_image


@HOOKS.register_module()
class DrawPredictionsHook(Hook):
    """Write ``folder/NAME.png`` of each test image: truth and prediction, side by side.

    The image is read as the config reads it, whatever its bands and bits; those of mmdet and mmseg
    read 8 bits of colours. Without ground truth the photograph is on the left.

    Args:
        folder: To write into.
        score_thr: What scores less is not drawn.
        bands_shown: Bands to show, see `show_bands`.
    """

    def __init__(
        self, folder: str, score_thr: float = 0.3, bands_shown: Sequence[int] | None = None
    ) -> None:
        self.folder, self.score_thr, self.bands_shown = Path(folder), score_thr, bands_shown

    def before_test(self, runner: Runner) -> None:
        """Find out what to draw, and how images are read."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        kinds = [type(model), type(getattr(model, "module", None))]  # the second: inside of TTA
        self.task = next(
            task
            for task in list_tasks()
            if isinstance(task, PredictingTask) and any(is_a(kind, task.model) for kind in kinds)
        )
        self.dataset = runner.test_dataloader.dataset
        if is_main_process():
            write_legend(self.dataset.metainfo["classes"], self.folder)
        self.later = Background(AHEAD * (runner.test_dataloader.batch_size or 1))

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        """Draw the images of this process' batch, in a thread, while the next is computed."""
        for sample in outputs or ():
            name = self._name(sample.img_path)
            name = name if name.lower().endswith(".png") else f"{name}.png"
            self.later(self._draw, sample.cpu(), self.folder / name)

    def after_test(self, runner: Runner) -> None:
        """Wait for the last pictures."""
        self.later.finish()

    def _name(self, path: str) -> str:
        """With the sub-folders below the data set's, of which two may hold the same name."""
        first: Any = next(walk_built_datasets(self.dataset))
        roots = (getattr(first, "data_prefix", None) or {}).values()
        for root in filter(None, roots):
            if Path(path).is_relative_to(root):
                return str(Path(path).relative_to(root))
        return Path(path).name

    def _draw(self, sample: BaseDataElement, path: Path) -> None:
        try:
            picture = to_rgb(read_image(self.dataset, sample.img_path), bands=self.bands_shown)
        except UnreadableImageError:  # the test named it, and took a blank one
            picture = np.zeros((*sample.ori_shape, 3), np.uint8)
        pair = draw_beside(self.task, picture, sample, self.dataset.metainfo, self.score_thr)
        write_png(pair, path)
