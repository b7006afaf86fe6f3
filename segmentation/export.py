"""A segmenter as a network that leaves this project: images to logits of their size.

What comes before (resizing) and after (windows, the image's own size, the label of the largest
logit) does `convnextv2/runtime/`, by the words of `about`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from convnextv2.engine.errors import InputError
from convnextv2.exports import Difference, Exportable, Normalization, describe_images
from convnextv2.predictor import Predictor
from convnextv2.runtime import FORM

if TYPE_CHECKING:
    from mmengine.config import Config

# The share of an image's pixels whose label may be another: where two logits are as good as equal.
OTHER_LABELS = 1e-3


class ExportableSegmenter(Exportable):
    """mmseg's segmenter of a config, with the weights of a checkpoint.

    Args:
        cfg: The config.
        checkpoint: Path or address.

    Raises:
        InputError: Something of it cannot be exported.
    """

    def __init__(self, cfg: Config, checkpoint: str) -> None:
        self._predictor = predictor = Predictor(cfg, checkpoint, "cpu")
        model: Any = predictor.model
        if not hasattr(model, "encode_decode"):
            raise InputError(f"a {type(model).__name__} cannot be exported, an EncoderDecoder can")
        if getattr(model.data_preprocessor, "test_cfg", None):
            raise InputError("model.data_preprocessor.test_cfg pads images, which is not exported")
        self.network, self.outputs = SegmenterGraph(model), ("logits",)
        windows = None
        if model.test_cfg.get("mode") == "slide":
            windows = {"crop": model.test_cfg.crop_size, "stride": model.test_cfg.stride}
        self.about = {
            "form": FORM,
            "task": predictor.task.name,
            "kind": "labels",
            "classes": predictor.classes,
            "palette": predictor.palette,
            "label_offset": predictor.label_offset,
            "image": describe_images(cfg, model.backbone.in_channels),
            "windows": windows,
            "threshold": getattr(model.decode_head, "threshold", None),
        }

    def predict(self, image: np.ndarray) -> Any:
        """mmseg's sample."""
        return next(self._predictor(image)).sample

    def compare(self, expected: Any, found: Any) -> list[Difference]:
        """The share of pixels that have another label."""
        other = expected.pred_sem_seg.data.numpy() != found.pred_sem_seg.data
        return [
            Difference("the labels of a share of the pixels", float(other.mean()), OTHER_LABELS)
        ]


class SegmenterGraph(nn.Module):
    """Normalisation, backbone and heads of a segmenter.

    Args:
        model: mmseg's `EncoderDecoder`; it is not changed.
    """

    model: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.normalization = Normalization(model.data_preprocessor)
        self.model = replace_pools(deepcopy(model))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) in the units of the files to ``logits`` (B, classes, H, W)."""
        images = self.normalization(image)
        return {"logits": self.model.encode_decode(images, [{"img_shape": images.shape[2:]}])}


def replace_pools(module: nn.Module) -> nn.Module:
    """Put an `AdaptivePool` in the place of each of torch's below a module, which is returned."""
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d):
            module.add_module(name, AdaptivePool(child.output_size))
        else:
            replace_pools(child)
    return module


class AdaptivePool(nn.Module):
    """torch's adaptive average pooling for images whose size is not known before.

    ONNX has no such operation, and torch's exporter writes it out for one size only. Means of rows
    and columns are two products with matrices of a size that the image gives.

    Args:
        output_size: Of `nn.AdaptiveAvgPool2d`: an integer, or (H, W).
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        both = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.output_size: tuple[int, int] = both

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, *output_size)."""
        rows, columns = (
            _means(side, size, x) for side, size in zip(x.shape[2:], self.output_size, strict=True)
        )
        return rows @ x @ columns.transpose(0, 1)


def _means(side: int, size: int, like: Tensor) -> Tensor:
    """(size, side): each row takes the mean of the pixels of one cell."""
    cells = torch.arange(size, device=like.device)[:, None]
    pixels = torch.arange(side, device=like.device)
    # torch's: from floor(i * side / size) up to ceil((i + 1) * side / size), which is left out.
    inside = (pixels >= cells * side // size) & (pixels < ((cells + 1) * side + size - 1) // size)
    weights = inside.to(like.dtype)
    return weights / weights.sum(1, keepdim=True)
