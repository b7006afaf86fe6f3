"""Label maps: a PNG of one byte a pixel, as the data set's own labels are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmengine.evaluator import BaseMetric

from convnextv2.pictures import write_png
from convnextv2.results import Prediction, ResultsWriter, TrainedModel

if TYPE_CHECKING:
    from torch import Tensor


class LabelsWriter(ResultsWriter):
    """``labels/``: a label map of each image of any origin, named after it, suffix included.

    Args:
        trained: The model.
        folder: Of the folder.
    """

    def __init__(self, trained: TrainedModel, folder: Path) -> None:
        self.folder, self.label_offset = folder / "labels", trained.label_offset

    def add(self, prediction: Prediction, number: int, name: str) -> None:
        """Write the label map of one image."""
        labels = to_label_map(prediction.sample.pred_sem_seg.data, self.label_offset)
        write_png(labels, self.folder / f"{name}.png")


class LabelMaps(BaseMetric):
    """A label map of each image of a test set, named after it without its suffix.

    Args:
        folder: Of the files.
        label_offset: 1 where 0 of a file is what nobody labelled, otherwise 0.
    """

    default_prefix = "results"

    def __init__(self, folder: Path, label_offset: int) -> None:
        super().__init__()
        self.folder, self.label_offset = folder, label_offset

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Write at once: each process its images."""
        for sample in data_samples:
            name = f"{Path(sample['img_path']).stem}.png"
            labels = to_label_map(sample["pred_sem_seg"]["data"], self.label_offset)
            write_png(labels, self.folder / name)
            self.results.append(name)

    def compute_metrics(self, results: list) -> dict:
        """There is no score."""
        return {}


def check_names(paths: Iterable[str]) -> None:
    """Stop before label maps that would overwrite each other.

    Raises:
        SystemExit: Two images would give their names to one label map.
    """
    paths = list(paths)
    stems = Counter(Path(path).stem for path in paths)
    if twice := sorted(path for path in paths if stems[Path(path).stem] > 1):
        some = "".join(f"\n  {path}" for path in twice[:6])
        raise SystemExit(
            f"--out: label maps have the names of their images and lie in one folder, but "
            f"{len(twice)} images share a name, such as{some}\ntools/infer.py keeps sub-folders"
        )


def to_label_map(labels: Tensor, label_offset: int) -> np.ndarray:
    """The label map (H, W), uint8, of what mmseg found in an image.

    Args:
        labels: (1, H, W), the classes' numbers from 0.
        label_offset: 1 where 0 of a file is what nobody labelled, otherwise 0.
    """
    return labels[0].cpu().numpy().astype(np.uint8) + np.uint8(label_offset)
