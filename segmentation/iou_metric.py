"""mmseg's IoU, of each class too."""

import math

from mmseg.evaluation import IoUMetric as MMSegIoUMetric

from convnextv2.registry import METRICS


@METRICS.register_module()
class IoUMetric(MMSegIoUMetric):
    """mmseg's `IoUMetric`, which logs a table of the classes, and returns their IoU besides."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The numbers of the data set, in percent, with ``IoU_CLASS`` of each class.

        A class that is neither there nor found has none.
        """
        metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        both, union, *_ = (sum(areas) for areas in zip(*results, strict=True))
        shares = (100 * both / union).tolist()
        names = [f"IoU_{name}" for name in self.dataset_meta["classes"]]
        return metrics | {
            name: round(share, 2)
            for name, share in zip(names, shares, strict=True)
            if not math.isnan(share)
        }
