"""The classifier of the supervised stage (paper, Tables 9 to 14)."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from convnextv2.backbone import ConvNeXtV2
from convnextv2.registry import MODELS

from .head_weights import load_head
from .samples import ClassSample

HEAD_STD = 0.02


@MODELS.register_module()
class Classifier(BaseModel):
    """The backbone, the mean over its last map, LayerNorm, and one linear layer.

    Where ``backbone.init_cfg`` names a file that holds a classifier, its norm is loaded too, and
    its linear layer if that has as many classes. The weights' names are the released ones, those
    of the backbone below ``backbone.``.

    Args:
        backbone: Config of a `ConvNeXtV2`; its last stage alone is returned, not normalised.
        num_classes: At least 2.
        head_init_scale: Times the linear layer's initial values: .001 to fine-tune (paper,
            Table 9), 1 from scratch.
        label_smoothing: Share of each label that is spread over all classes, 0 to 1.
        mixing: Config of a `MixBatch`, or None.
        data_preprocessor: Config of a `FCMAEDataPreprocessor`; by default that of ImageNet.

    Raises:
        ValueError: An option outside its range.
    """

    def __init__(
        self,
        backbone: dict,
        num_classes: int,
        head_init_scale: float = 1.0,
        label_smoothing: float = 0.0,
        mixing: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if data_preprocessor is None:
            data_preprocessor = {"type": "convnextv2.FCMAEDataPreprocessor"}
        super().__init__(data_preprocessor, init_cfg)
        if num_classes < 2:
            raise ValueError(f"num_classes must be 2 or more, got {num_classes}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        self.backbone: ConvNeXtV2 = MODELS.build(
            {**backbone, "out_indices": (3,), "output_norm": False}
        )
        self.norm = nn.LayerNorm(self.backbone.channels[-1], eps=1e-6)
        self.head = nn.Linear(self.backbone.channels[-1], num_classes)
        nn.init.trunc_normal_(self.head.weight, std=HEAD_STD * head_init_scale)
        nn.init.zeros_(self.head.bias)
        self.label_smoothing = label_smoothing
        self.mixing = MODELS.build(mixing) if mixing else None

    def init_weights(self) -> None:
        """Load what ``backbone.init_cfg`` names; without one, keep the initialisation."""
        super().init_weights()
        cfg = self.backbone.init_cfg
        if isinstance(cfg, dict) and cfg.get("type") == "Pretrained":
            load_head(self.norm, self.head, cfg["checkpoint"], cfg.get("prefix"))

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[ClassSample] | None = None,
        mode: str = "tensor",
    ) -> dict[str, Tensor] | Sequence[ClassSample] | Tensor:
        """Run the model.

        Args:
            inputs: Normalised images (B, C, H, W).
            data_samples: Of the images; their classes must be known in mode ``loss``.
            mode: ``loss``: ``dict(loss=...)``. ``predict``: the samples, with what was found.
                ``tensor``: logits (B, num_classes).

        Raises:
            ValueError: An unknown mode.
            FloatingPointError: In mode ``loss``, the loss is not finite.
        """
        if mode == "loss":
            return {"loss": self.forward_loss(inputs, data_samples or ())}
        if mode == "predict":
            return self.predict(inputs, data_samples)
        if mode == "tensor":
            return self.classify(inputs)
        raise ValueError(f"mode must be loss, predict or tensor, got {mode!r}")

    def classify(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, num_classes)."""
        (features,) = self.backbone(images)
        return self.head(self.norm(features.mean((2, 3))))

    def forward_loss(self, images: Tensor, samples: Sequence[ClassSample]) -> Tensor:
        """Cross-entropy with smoothed labels, and with those of both images where they are mixed.

        Shape (): the mean over the batch.
        """
        labels = torch.cat([sample.gt_label for sample in samples]).to(images.device)
        if self.mixing is None:
            loss = self._cross_entropy(self.classify(images), labels)
        else:
            seeds = torch.tensor([sample.seed for sample in samples])
            mixed, others, share = self.mixing(images, labels, seeds)
            logits = self.classify(mixed)
            loss = share * self._cross_entropy(logits, labels)
            loss = loss + (1 - share) * self._cross_entropy(logits, others)
        loss = loss.mean()
        if not loss.isfinite():
            raise FloatingPointError(
                "the loss is not finite: the learning rate may be too high, float16 too narrow "
                f"(use bfloat16), or an image of this batch odd, {samples[0].img_path} and others"
            )
        return loss

    def predict(
        self, images: Tensor, samples: Sequence[ClassSample] | None = None
    ) -> Sequence[ClassSample]:
        """The samples, or new ones, with the classes' shares of certainty and the most certain."""
        scores = self.classify(images).float().softmax(1)
        samples = samples or [ClassSample() for _ in scores]
        for sample, score in zip(samples, scores, strict=True):
            sample.pred_scores = score
            sample.pred_label = score.argmax(keepdim=True)
        return samples

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each image, (B,), in at least float32."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing)
