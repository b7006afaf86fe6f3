"""Classification, the supervised stage, among the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from convnextv2.engine.tasks import SETTINGS, PredictingTask

from .check import LabelledPart

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config
    from mmengine.dataset import BaseDataset
    from mmengine.evaluator import BaseMetric
    from mmengine.structures import BaseDataElement

    from convnextv2.engine.template import Template
    from convnextv2.exports import Exportable
    from convnextv2.pictures import Palette
    from convnextv2.results import TrainedModel

    from .report import ClassificationReview
    from .results import ClassesWriter, ClassResults


class Classification(PredictingTask):
    """A class for every image."""

    name = "classification"
    model = "convnextv2.pretrain.supervised.classifier.Classifier"
    parts = (LabelledPart,)
    preprocessor = "convnextv2.FCMAEDataPreprocessor"
    settings = (*SETTINGS, "classes")
    optional = ("classes",)
    places = MappingProxyType({"images": True, "annotations": False})
    scores = ("accuracy/top1", "accuracy/top5", "accuracy/mean_class")

    def fill_template(self, template: Template) -> None:
        """See `pretrain/supervised/template.py`."""
        from .template import fill

        fill(template)

    def make_exportable(self, cfg: Config, checkpoint: str) -> Exportable:
        """Logits' softmax, of images that the runtime has cropped."""
        from convnextv2.pretrain.export_classifier import ExportableClassifier

        return ExportableClassifier(cfg, checkpoint)

    def open_review(
        self, dataset: BaseDataset, metrics: Sequence[BaseMetric]
    ) -> ClassificationReview:
        """Which class was taken for which."""
        from .report import ClassificationReview

        return ClassificationReview(dataset, metrics)

    def list_next(self, config: str, checkpoint: str, folder: str) -> dict[str, list[str]]:
        """Also: go on to a dense task."""
        weights = ["--cfg-options", f"weights={checkpoint}"]
        dense = ["train.py", "CONFIG_OF_A_DETECTOR_OR_SEGMENTER", *weights]
        return {**super().list_next(config, checkpoint, folder), "fine-tune": dense}

    def draw_truth(
        self, picture: np.ndarray, sample: BaseDataElement, palette: Palette, scale: int = 1
    ) -> np.ndarray:
        """The picture as it is: what is true of it is a name, which `draw_found` writes."""
        return picture.copy()

    def draw_found(
        self,
        picture: np.ndarray,
        sample: BaseDataElement,
        palette: Palette,
        scale: int = 1,
        names: Sequence[str] = (),
        score_thr: float = 0.0,
    ) -> np.ndarray:
        """Below the picture the names of the best classes, and the true one's where it is known.

        The best one is named whatever it scores. The line of another that scores less than
        `score_thr` stays empty, as all frames of a video must be of one size.
        """
        from convnextv2.words import label_words

        from .draw import caption, dark
        from .results import find_best

        if not names:
            return picture.copy()
        words = label_words(tuple(names))
        lines = []
        for number, one in enumerate(find_best(sample, names)):
            shown = number == 0 or one["score"] >= score_thr
            text = f"{one['score']:.2f} {words[one['label']]}" if shown else ""
            lines.append((text, dark(palette, one["label"])))
        if "gt_label" in sample:
            lines.append((f"true: {words[int(sample.gt_label)]}", (0, 0, 0)))
        return caption(picture, lines)

    def open_results(self, trained: TrainedModel, folder: Path, score_thr: float) -> ClassesWriter:
        """``results.json``, ``results.csv`` and ``sheet.png``."""
        from .results import ClassesWriter

        return ClassesWriter(trained, folder)

    def open_test_results(self, datasets: Sequence[BaseDataset], folder: Path) -> ClassResults:
        """``results.classes.json``."""
        from .results import ClassResults

        return ClassResults(folder, datasets[0].metainfo["classes"])


TASK = Classification()
