"""The loss of FCMAE on held-out images."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from convnextv2.registry import METRICS


@METRICS.register_module()
class ReconstructionLoss(BaseMetric):
    """Mean over images of the training loss, each image with the mask of its seed."""

    default_prefix = "fcmae"

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the ``loss`` of each prediction."""
        self.results += [float(sample["loss"]) for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """``fcmae/loss``, lower is better; 1 is a prediction of each patch's mean."""
        return {"loss": sum(results) / len(results)}
