"""FCMAE's encoder as a network that leaves this project: images to features."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from convnextv2.exports import Difference, Exportable, Normalization
from convnextv2.runtime import FORM

if TYPE_CHECKING:
    from mmengine.config import Config

    from .fcmae import FCMAE

FEATURES = 1e-3  # of their largest value, that they may differ by


class ExportableEncoder(Exportable):
    """The encoder of a pre-training's config, with the weights of a checkpoint.

    Args:
        cfg: The config.
        checkpoint: Path or address.

    Attributes:
        model: The whole of it.

    Raises:
        InputError: The checkpoint does not fit, or something cannot be exported.
    """

    outputs = ("features", "pooled")

    def __init__(self, cfg: Config, checkpoint: str) -> None:
        from mmengine.registry import MODELS, TRANSFORMS, init_default_scope

        from convnextv2.engine.types import walk_datasets
        from convnextv2.engine.weights import fill_model, read_checkpoint

        init_default_scope(cfg.get("default_scope", "mmengine"))
        cfg.model.backbone.init_cfg = None
        self.model = model = MODELS.build(cfg.model).eval()
        fill_model(model, read_checkpoint(checkpoint), checkpoint, cfg.filename)
        self.network = EncoderGraph(model)
        _, entry = next(walk_datasets(cfg.train_dataloader.dataset))
        load = TRANSFORMS.build(entry["pipeline"][0])
        self.about = {
            "form": FORM,
            "task": "pretraining",
            "kind": "features",
            "classes": [],
            "palette": [],
            "label_offset": 0,
            "image": {
                "channels": model.backbone.in_channels,
                "channel_order": getattr(load, "channel_order", "bgr"),  # mmcv's has none
                "dtype": getattr(load, "dtype", "uint8"),
                "steps": [],
                "smallest": 32,
            },
            "windows": None,
        }

    def predict(self, image: np.ndarray) -> Any:
        """``features`` (C, H/32, W/32) and ``pooled`` (C,), as arrays."""
        height, width = (max(32 - side, 0) for side in image.shape[:2])
        image = np.pad(image, ((0, height), (0, width), (0, 0)), "edge")
        inputs = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            found = self.network(inputs)
        return SimpleNamespace(**{name: value[0].numpy() for name, value in found.items()})

    def compare(self, expected: Any, found: Any) -> list[Difference]:
        """The largest differences, as a share of the largest value."""
        differences = []
        for name in self.outputs:
            mine, other = getattr(expected, name), getattr(found, name)
            share = float(np.abs(mine - other).max() / max(np.abs(mine).max(), 1e-9))
            differences.append(Difference(f"{name}, as a share of the largest", share, FEATURES))
        return differences


class EncoderGraph(nn.Module):
    """Normalisation and backbone, with every patch visible.

    Args:
        model: Of a pre-training.
    """

    def __init__(self, model: FCMAE) -> None:
        super().__init__()
        self.normalization = Normalization(model.data_preprocessor)
        self.backbone = model.backbone

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) in the units of the files to the last stage's map and its mean."""
        features = self.backbone(self.normalization(image))[-1]
        return {"features": features, "pooled": features.mean((2, 3))}
