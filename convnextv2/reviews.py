"""What a validation leaves for the report: who was taken for whom, and the worst images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset
    from mmengine.structures import BaseDataElement


@dataclass
class ReviewedImage:
    """What is known of one image after a validation.

    Attributes:
        path: Of its file.
        score: 1 where all is right, 0 where nothing is.
        text: The same in words.
        pairs: What was compared, such as ``bbox`` -> (n, 3) rows of true class, found class and
            how often. The number behind the last class stands for none.
        kept: What `Review.restore` needs to draw it; None but for the worst.
    """

    path: str
    score: float
    text: str
    pairs: dict[str, np.ndarray]
    kept: Any = None


class Review(BaseMetric):
    """A metric that scores nothing: it compares, image by image, and keeps what a report shows.

    Memory: some hundred bytes an image, and the predictions for the worst. An error, as of data
    of an unknown kind, is logged once and ends the review, not the validation.

    Args:
        dataset: That is validated on; it may wrap others.
        metrics: That score it.
        worst: Images whose predictions are kept.

    Attributes:
        images: Of the last validation, in the first process.
        rest: How pixels or objects are called that belong to no class; None if there are none.
    """

    default_prefix = "review"
    rest: str | None = None

    def __init__(self, dataset: BaseDataset, metrics: Sequence[BaseMetric], worst: int = 8) -> None:
        super().__init__()
        self.dataset, self.metrics, self.worst = dataset, metrics, worst
        self.images: list[ReviewedImage] = []
        self._failed = False

    @abstractmethod
    def look(self, sample: dict) -> ReviewedImage:
        """Compare what was found in one image with the truth.

        Args:
            sample: What the model returned for it, as a dict.
        """

    @abstractmethod
    def restore(self, kept: Any) -> BaseDataElement:
        """The truth and what was found, for the task to draw, of what `look` kept."""

    def curves(self) -> dict[str, np.ndarray]:
        """Precision at evenly spaced recalls from 0 to 1: ``bbox`` -> (recalls, classes).

        NaN where a class is nowhere. Empty of tasks without scores.
        """
        return {}

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list((self.dataset_meta or {})["classes"])

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Compare each image of a batch."""
        if self._failed:
            return
        try:
            for sample in data_samples:
                self.results.append(self.look(sample))
                self._forget_better()
        except Exception as error:  # a report is no reason to lose a training
            self._failed = True
            self.results.clear()
            print_log(f"no confusion matrix: {error!r}", logger="current")

    def _forget_better(self) -> None:
        kept = [image for image in self.results if image.kept is not None]
        if len(kept) > self.worst:
            max(kept, key=lambda image: image.score).kept = None

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the images of all processes in the first one."""
        return {} if self._failed else super().evaluate(size)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Keep the images; there is no score."""
        self.images = results
        return {}

    def confusion(self) -> dict[str, np.ndarray]:
        """What was compared -> how often each class (row) was taken for each (column).

        The last row and column are of `rest`, where there is one.
        """
        side = len(self.classes) + (self.rest is not None)
        tables: dict[str, np.ndarray] = {}
        for image in self.images:
            for kind, pairs in image.pairs.items():
                table = tables.setdefault(kind, np.zeros((side, side), np.int64))
                np.add.at(table, (pairs[:, 0], pairs[:, 1]), pairs[:, 2])
        return tables

    def worst_images(self) -> list[ReviewedImage]:
        """Those that can be drawn, worst first; none in which all is right."""
        kept = [image for image in self.images if image.kept is not None and image.score < 1]
        return sorted(kept, key=lambda image: image.score)[: self.worst]
