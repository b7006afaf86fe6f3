"""Non-maximum suppression and RoIAlign as operations that torch's exporter keeps in one piece.

In torch they are mmcv's; in ONNX its own, `NonMaxSuppression` and `RoiAlign`. A file of torch's
program names them, so whoever loads one imports this module first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmcv.ops import nms
from mmcv.ops import roi_align as mmcv_roi_align
from torch import Tensor

BOOL = 9  # among ONNX's types


@torch.library.custom_op("convnextv2::nms_keep", mutates_args=())
def nms_keep(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float) -> Tensor:
    """Which boxes stay, bool (G, N), after non-maximum suppression in each of G groups.

    Args:
        boxes: (G, N, 4), corners.
        scores: (G, N).
        iou_threshold: Boxes that overlap a better one by more are left out.
        score_threshold: So are those that score as much or less.
    """
    keep = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    for group in range(len(boxes)):
        candidates = (scores[group] > score_threshold).nonzero().flatten()
        if len(candidates):
            chosen = boxes[group, candidates], scores[group, candidates]
            _, kept = nms(*(part.contiguous() for part in chosen), iou_threshold)
            keep[group, candidates[kept]] = True
    return keep


@nms_keep.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


@torch.library.custom_op("convnextv2::roi_align", mutates_args=())
def roi_align(
    features: Tensor,
    images: Tensor,
    rois: Tensor,
    height: int,
    width: int,
    spatial_scale: float,
    sampling_ratio: int,
) -> Tensor:
    """Features (n, C, height, width) of RoIs, averaged, pixels' centres at halves.

    Args:
        features: (B, C, H, W).
        images: (n,), the number of each RoI's image.
        rois: (n, 4), corners, in pixels of the image.
        height: Of the result.
        width: Of the result.
        spatial_scale: Cells of the features a pixel.
        sampling_ratio: Samples a cell; 0: as many as the RoI is large.
    """
    rows = torch.cat([images[:, None].to(rois.dtype), rois], 1)
    size = (height, width)
    return mmcv_roi_align(
        features.contiguous(), rows, size, spatial_scale, sampling_ratio, "avg", True
    )


@roi_align.register_fake
def _(
    features: Tensor,
    images: Tensor,
    rois: Tensor,
    height: int,
    width: int,
    spatial_scale: float,
    sampling_ratio: int,
) -> Tensor:
    return features.new_empty(rois.shape[0], features.shape[1], height, width)


def make_translations() -> dict[Callable, Callable]:
    """The onnxscript function of each operation."""
    import onnxscript

    op: Any = onnxscript.opset18

    def onnx_nms_keep(boxes: Any, scores: Any, iou_threshold: float, score_threshold: float) -> Any:
        # One batch a group, one class: (G, 1, N).
        chosen = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(scores, op.Constant(value_ints=[1])),
            op.Constant(value_ints=[2**31 - 1]),
            op.Constant(value_floats=[iou_threshold]),
            op.Constant(value_floats=[score_threshold]),
        )  # (number, 3): group, class, box
        places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
        each = op.Gather(chosen, op.Constant(value_int=0), axis=1)
        ones = op.Expand(op.Constant(value_float=1.0), op.Shape(each))
        none = op.Mul(scores, op.Constant(value_float=0.0))
        return op.Cast(op.ScatterND(none, places, ones), to=BOOL)

    def onnx_roi_align(
        features: Any,
        images: Any,
        rois: Any,
        height: int,
        width: int,
        spatial_scale: float,
        sampling_ratio: int,
    ) -> Any:
        return op.RoiAlign(
            features,
            rois,
            images,
            output_height=height,
            output_width=width,
            spatial_scale=spatial_scale,
            sampling_ratio=sampling_ratio,
            mode="avg",
            coordinate_transformation_mode="half_pixel",
        )

    return {
        torch.ops.convnextv2.nms_keep.default: onnx_nms_keep,
        torch.ops.convnextv2.roi_align.default: onnx_roi_align,
    }
