"""Detection and instance segmentation, among the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from convnextv2.engine.tasks import SETTINGS, PredictingTask

from .check import CocoPart
from .draw import outline
from .results import CocoResults, ObjectsWriter, find_test_ids

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config
    from mmengine.dataset import BaseDataset
    from mmengine.evaluator import BaseMetric
    from mmengine.structures import BaseDataElement
    from torch import nn

    from convnextv2.engine.template import Template
    from convnextv2.pictures import Palette
    from convnextv2.results import TrainedModel
    from convnextv2.runtime.tiles import TileGrid

    from .exportable import ExportableDetector
    from .report import DetectionReview
    from .tiled import ObjectsJoiner
    from .tiled_results import TiledObjects


class Detection(PredictingTask):
    """Boxes, and masks where the model has them; of mmdet."""

    name = "detection"
    model = "mmdet.models.detectors.base.BaseDetector"
    image_shape = (800, 1280)  # as in the paper's Table 6
    parts = (CocoPart,)
    preprocessor = "convnextv2.DetDataPreprocessor"
    colour_steps = (
        "mmdet.datasets.transforms.transforms.PhotoMetricDistortion",
        "mmdet.datasets.transforms.transforms.YOLOXHSVRandomAug",
        "mmdet.datasets.transforms.colorspace.ColorTransform",  # and all of its kind
    )
    settings = (*SETTINGS, "classes")
    places = MappingProxyType({"images": True, "annotations": True})
    scores = ("coco/segm_mAP", "coco/bbox_mAP", "coco/segm_mAP_50", "coco/bbox_mAP_50")
    full_precision = "mmcv's operators, such as RoIAlign, take no bfloat16 on a CPU"

    def fill_template(self, template: Template) -> None:
        """See `detection/template.py`."""
        from .template import fill

        fill(template)

    def make_exportable(self, cfg: Config, checkpoint: str) -> ExportableDetector:
        """Of two stages: boxes, and masks where the model has them."""
        from .exportable import ExportableDetector

        return ExportableDetector(cfg, checkpoint)

    def open_review(self, dataset: BaseDataset, metrics: Sequence[BaseMetric]) -> DetectionReview:
        """Who is taken for whom, by boxes and masks."""
        from .report import DetectionReview  # needs pycocotools

        return DetectionReview(dataset, metrics)

    def draw_truth(
        self, picture: np.ndarray, sample: BaseDataElement, palette: Palette, scale: int = 1
    ) -> np.ndarray:
        """Outlines of the annotated objects, if there are any."""
        if "bboxes" not in sample.get("gt_instances", ()):
            return picture.copy()
        return outline(picture, sample.gt_instances, palette, scale)

    def draw_found(
        self,
        picture: np.ndarray,
        sample: BaseDataElement,
        palette: Palette,
        scale: int = 1,
        names: Sequence[str] = (),
        score_thr: float = 0.0,
    ) -> np.ndarray:
        """Outlines of the objects that score as much."""
        found = sample.pred_instances
        return outline(picture, found[found.scores >= score_thr], palette, scale, names)

    def open_results(self, trained: TrainedModel, folder: Path, score_thr: float) -> ObjectsWriter:
        """``results.json``."""
        return ObjectsWriter(trained, folder, score_thr)

    def open_joiner(self, model: nn.Module, grid: TileGrid) -> ObjectsJoiner:
        """Of pieces of objects."""
        from .tiled import ObjectsJoiner  # needs pycocotools

        return ObjectsJoiner(grid)

    def open_tiled_results(
        self, trained: TrainedModel, folder: Path, stamp: dict, score_thr: float
    ) -> TiledObjects:
        """The same ``results.json``."""
        from .tiled_results import TiledObjects  # needs pycocotools

        return TiledObjects(trained, folder, stamp, score_thr)

    def open_test_results(self, datasets: Sequence[BaseDataset], folder: Path) -> CocoResults:
        """``results.bbox.json`` and ``results.segm.json``."""
        return CocoResults(folder, datasets[0].metainfo["classes"], find_test_ids(datasets))


TASK = Detection()
