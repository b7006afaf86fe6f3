"""What the features are like while a network trains, for every task with this backbone."""

from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from convnextv2.backbone import ConvNeXtV2
from convnextv2.engine.fsdp import whole_parameters
from convnextv2.engine.seeding import SeededIndex
from convnextv2.pretrain.analysis import Report, analyse
from convnextv2.registry import HOOKS


@HOOKS.register_module()
class FeatureHook(Hook):
    """Write each layer's and stage's figures to the visualizer's backends; warn of a collapse.

    The images and their crops are the same every time; all their pixels are visible. Of stages
    the output is looked at: ``diversity/stageN`` (mean cosine distance between the channels of an
    image: 0 all alike, .5 unrelated), ``effective_rank/stageN``, ``varying/stageN``. Of layers
    `point`: ``distance/stages.I.J``, ``dead/...``, ``saturated/...``. `pretrain/analysis.py` says
    what they are. A model whose ``backbone`` is another is left alone.

    Args:
        interval: Iterations from one time to the next; the last iteration counts too.
        num_images: Images, taken evenly from the training data.
        point: Where in the layers, see `analysis.POINTS`.
    """

    priority = "LOW"

    def __init__(self, interval: int = 1000, num_images: int = 4, point: str = "expansion") -> None:
        if interval < 1 or num_images < 1:
            raise ValueError("interval and num_images must be at least 1")
        self.interval = interval
        self.num_images = num_images
        self.point = point
        self.samples: list[dict] = []

    def before_train(self, runner: Runner) -> None:
        """Load the images."""
        if not isinstance(getattr(_unwrap(runner.model), "backbone", None), ConvNeXtV2):
            return
        dataset = runner.train_dataloader.dataset
        count = min(self.num_images, len(dataset))
        places = np.linspace(0, len(dataset) - 1, count).astype(int).tolist()
        samples = [dataset[SeededIndex(i, 0, i)] for i in places]
        keys = ("inputs", "data_samples")
        self.samples = [{key: s[key] for key in keys if key in s} for s in samples]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: object = None
    ) -> None:
        """Measure, in the first process."""
        last = runner.iter + 1 == runner.max_iters
        if self.samples and (last or self.every_n_train_iters(runner, self.interval)):
            with whole_parameters(runner.model):  # of which all processes take part
                if is_main_process():
                    self._show(runner)

    def _show(self, runner: Runner) -> None:
        model = _unwrap(runner.model)
        model.eval()
        report = analyse(
            model.backbone, [(_prepare(model, s), None) for s in self.samples], self.point
        )
        model.train()
        runner.visualizer.add_scalars(list_scalars(report), runner.iter + 1)
        stages = report.stages
        distances = " ".join(f"{stage.distance.mean:.3f}" for stage in stages)
        ranks = " ".join(f"{s.effective_rank:.1f}/{len(s.singular_values)}" for s in stages)
        runner.logger.info(
            f"features of the stages: distance between channels {distances} (0: alike, 0.5: "
            f"unrelated, trained or not); effective rank {ranks}"
        )
        for sentence in report.find_collapse():
            runner.logger.warning(f"collapsed: {sentence}")


def list_scalars(report: Report) -> dict[str, float]:
    """The figures of a report by the names that `FeatureHook` gives them."""
    scalars = {}
    for i, stage in enumerate(report.stages, 1):
        scalars[f"diversity/stage{i}"] = stage.distance.mean
        scalars[f"effective_rank/stage{i}"] = stage.effective_rank
        scalars[f"varying/stage{i}"] = stage.varying_share
    for layer in report.layers:
        scalars[f"distance/{layer.place}"] = layer.distance.mean
        scalars[f"dead/{layer.place}"] = layer.dead
        scalars[f"saturated/{layer.place}"] = layer.saturated
    return scalars


def _unwrap(model: Any) -> Any:
    return model.module if is_model_wrapper(model) else model


def _prepare(model: Any, sample: dict) -> Tensor:
    """Normalised, (1, C, H, W)."""
    with torch.no_grad():
        return model.data_preprocessor(pseudo_collate([sample]), False)["inputs"]
