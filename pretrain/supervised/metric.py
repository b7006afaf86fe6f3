"""How often the right class is the most certain one, or among the five most certain."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from convnextv2.registry import METRICS


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Top-1 and top-5 accuracy in percent, and the mean over the classes of each one's top-1.

    Exact in any number of processes. Of classes that score the same, those that come first are
    counted as more certain; one that is not a number is the least certain. Without top-5 where
    there are no more than five classes.
    """

    default_prefix = "accuracy"

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Note the place of the right class among all, from 0, of each image."""
        for sample in data_samples:
            label, scores = int(sample["gt_label"]), sample["pred_scores"]
            above = (scores > scores[label]).sum() + (scores[:label] == scores[label]).sum()
            # Nothing is larger than what is not a number: all would seem to be right.
            place = len(scores) if scores[label].isnan() else int(above)
            self.results.append((label, place, len(scores)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """``top1``, ``top5`` and ``mean_class``."""
        labels, places, counts = np.array(results).T
        first = places == 0
        shares = np.bincount(labels, first) / np.maximum(np.bincount(labels), 1)
        scores = {"top1": first.mean(), "mean_class": shares[np.unique(labels)].mean()}
        if counts.max() > 5:
            scores["top5"] = (places < 5).mean()
        return {name: 100 * float(score) for name, score in scores.items()}
