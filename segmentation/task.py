"""Semantic segmentation, among the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from convnextv2.engine.tasks import SETTINGS, PredictingTask

from .check import MaskPart
from .draw import paint
from .pad import pad_small
from .report import SegmentationReview
from .results import LabelMaps, LabelsWriter, check_names, to_label_map

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

    from .export import ExportableSegmenter
    from .tiled import LabelsJoiner
    from .tiled_results import TiledLabels


class Segmentation(PredictingTask):
    """A label for every pixel; of mmseg. There are no scores."""

    name = "segmentation"
    model = "mmseg.models.segmentors.base.BaseSegmentor"
    image_shape = (512, 2048)  # as in the paper's Table 7
    parts = (MaskPart,)
    preprocessor = "convnextv2.SegDataPreProcessor"
    colour_steps = (
        "mmseg.datasets.transforms.transforms.PhotoMetricDistortion",
        "mmseg.datasets.transforms.transforms.CLAHE",
        "mmseg.datasets.transforms.transforms.AdjustGamma",
        "mmseg.datasets.transforms.transforms.RGB2Gray",
    )
    settings = (*SETTINGS, "classes", "mask_suffix", "ignore_index")
    places = MappingProxyType({"images": True, "masks": True})
    scores = ("mIoU", "mAcc", "aAcc")

    def fill_template(self, template: Template) -> None:
        """See `segmentation/template.py`."""
        from .template import fill

        fill(template)

    def make_exportable(self, cfg: Config, checkpoint: str) -> ExportableSegmenter:
        """Logits of each class."""
        from .export import ExportableSegmenter

        return ExportableSegmenter(cfg, checkpoint)

    def open_review(
        self, dataset: BaseDataset, metrics: Sequence[BaseMetric]
    ) -> SegmentationReview:
        """Which class's pixels are taken for which."""
        return SegmentationReview(dataset, metrics)

    def draw_truth(
        self, picture: np.ndarray, sample: BaseDataElement, palette: Palette, scale: int = 1
    ) -> np.ndarray:
        """The annotated labels as colours, if there are any."""
        if "gt_sem_seg" not in sample:
            return picture.copy()
        labels = sample.gt_sem_seg.data[0].numpy().astype(int)
        return paint(picture, labels, palette, scale)

    def draw_found(
        self,
        picture: np.ndarray,
        sample: BaseDataElement,
        palette: Palette,
        scale: int = 1,
        names: Sequence[str] = (),
        score_thr: float = 0.0,
    ) -> np.ndarray:
        """The found labels as colours."""
        labels = to_label_map(sample.pred_sem_seg.data, 0)
        return paint(picture, labels, palette, scale, names)

    def open_results(self, trained: TrainedModel, folder: Path, score_thr: float) -> LabelsWriter:
        """The folder ``labels``."""
        return LabelsWriter(trained, folder)

    def open_joiner(self, model: nn.Module, grid: TileGrid) -> LabelsJoiner:
        """Of logits."""
        from .tiled import LabelsJoiner, find_labels

        return LabelsJoiner(grid, find_labels(model))

    def open_tiled_results(
        self, trained: TrainedModel, folder: Path, stamp: dict, score_thr: float
    ) -> TiledLabels:
        """The folder ``labels``, of TIFF files."""
        from .tiled_results import TiledLabels  # needs tifffile

        return TiledLabels(trained, folder, stamp)

    def open_test_results(self, datasets: Sequence[BaseDataset], folder: Path) -> LabelMaps:
        """A label map for each image."""
        infos = (data.get_data_info(i) for data in datasets for i in range(len(data)))
        check_names(info["img_path"] for info in infos)
        return LabelMaps(folder, int(getattr(datasets[0], "reduce_zero_label", False)))

    def leave_labels(self, entry: dict) -> None:
        """Forget the folder of label maps."""
        entry.get("data_prefix", {}).pop("seg_map_path", None)

    def prepare(self, sample: dict) -> None:
        """Pad small images, as mmseg does not."""
        pad_small(sample)

    def trim(self, sample: BaseDataElement) -> None:
        """Leave out the logits: as large as the image, for each class."""
        sample.pop("seg_logits", None)


TASK = Segmentation()
