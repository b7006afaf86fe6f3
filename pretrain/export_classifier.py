"""A classifier as a network that leaves this project: images to the share of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from convnextv2.exports import Difference, Exportable, Normalization, describe_images
from convnextv2.predictor import Predictor
from convnextv2.runtime import FORM

if TYPE_CHECKING:
    from mmengine.config import Config

SCORES = 1e-3  # that a class's share may differ by


class ExportableClassifier(Exportable):
    """The classifier of a config, with the weights of a checkpoint.

    Args:
        cfg: The config.
        checkpoint: Path or address.

    Raises:
        InputError: Something of it cannot be exported.
    """

    outputs = ("scores",)

    def __init__(self, cfg: Config, checkpoint: str) -> None:
        self._predictor = predictor = Predictor(cfg, checkpoint, "cpu")
        model: Any = predictor.model
        self.network = ClassifierGraph(model)
        self.about = {
            "form": FORM,
            "task": predictor.task.name,
            "kind": "classes",
            "classes": predictor.classes,
            "palette": predictor.palette,
            "label_offset": 0,
            "image": describe_images(cfg, model.backbone.in_channels),
            "windows": None,
        }

    def predict(self, image: np.ndarray) -> Any:
        """The sample, with its scores."""
        return next(self._predictor(image)).sample

    def compare(self, expected: Any, found: Any) -> list[Difference]:
        """The largest difference of a class's share."""
        apart = np.abs(expected.pred_scores.numpy() - found.pred_scores).max()
        return [Difference("the share of a class", float(apart), SCORES)]


class ClassifierGraph(nn.Module):
    """Normalisation, backbone and linear layer.

    Args:
        model: A `Classifier`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.normalization = Normalization(model.data_preprocessor)
        self.model = model

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) in the units of the files to ``scores`` (B, classes), of sum 1."""
        return {"scores": self.model.classify(self.normalization(image)).softmax(1)}
