"""A detector as a network that leaves this project: images to boxes, scores, labels and masks.

mmdet's two-stage detectors decide by lists of any length, image by image, which no graph can hold.
Here the same is done with tensors of fixed length, all images at once: what mmdet leaves out keeps
its place with a score of `LEFT_OUT`. Beside each function stands what it is to be held against.

B images, L levels of the pyramid, K candidates a level, P proposals an image, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnextv2.exports import Normalization

from .export_ops import nms_keep, roi_align

LEFT_OUT = -1.0  # below every score


class DetectorGraph(nn.Module):
    """Normalisation, backbone, neck and heads of mmdet's Faster, Mask or Cascade R-CNN.

    Args:
        model: mmdet's `TwoStageDetector` with an `RPNHead` and a `StandardRoIHead` or
            `CascadeRoIHead`. Its modules are called, its `predict` is not.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.normalization = Normalization(model.data_preprocessor)
        self.model = model
        self.divisor = model.data_preprocessor.pad_size_divisor
        self.pad_value = model.data_preprocessor.pad_value
        self.stages = as_stages(model.roi_head)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) in the units of the files to the n objects of all images.

        Returns:
            ``images`` (n,), the number of the image of each, sorted; ``bboxes`` (n, 4), corners in
            pixels of the image; ``scores`` (n,), falling in each image; ``labels`` (n,); and
            ``masks`` (n, 28, 28), probabilities inside of the box, where the model has them.
        """
        height, width = image.shape[2:]
        # So written, torch sees that all maps are a whole number of cells, and traces the faster.
        right, bottom = (
            (side + self.divisor - 1) // self.divisor * self.divisor - side
            for side in (width, height)
        )
        x = F.pad(self.normalization(image), (0, right, 0, bottom), value=self.pad_value)
        features = self.model.extract_feat(x)
        shape, cfg = (height, width), self.model.roi_head.test_cfg
        proposals, valid = propose(self.model.rpn_head, features, shape)
        boxes, scores = classify(self.stages, features, proposals, shape)
        found = choose(boxes, scores.masked_fill(~valid[..., None], LEFT_OUT), cfg)
        if self.model.roi_head.with_mask:
            found["masks"] = segment(self.stages, features, found)
        return found


class Stage:
    """The heads of one stage of a cascade; a plain detector has one.

    Args:
        roi_head: mmdet's.
        number: Of the stage; None: there are none.
    """

    def __init__(self, roi_head: Any, number: int | None) -> None:
        for name in ("bbox_roi_extractor", "bbox_head", "mask_roi_extractor", "mask_head"):
            part = getattr(roi_head, name, None)
            setattr(self, name, part if number is None or part is None else part[number])

    bbox_roi_extractor: Any
    bbox_head: Any
    mask_roi_extractor: Any
    mask_head: Any


def as_stages(roi_head: Any) -> list[Stage]:
    """The stages of a RoI head."""
    if isinstance(roi_head.bbox_head, nn.ModuleList):
        return [Stage(roi_head, number) for number in range(len(roi_head.bbox_head))]
    return [Stage(roi_head, None)]


def propose(head: Any, features: Sequence[Tensor], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Proposals (B, P, 4): `RPNHead._predict_by_feat_single` and `_bbox_post_process`.

    Of an image that has fewer of them, some are none: which are, bool (B, P), comes second.
    """
    cfg = head.test_cfg
    levels = [
        _best_of_level(head, logits, deltas, anchors, shape, cfg.nms_pre)
        for logits, deltas, anchors in zip(*head(features), _anchors(head, features), strict=True)
    ]
    boxes, scores = (torch.stack(parts, 1) for parts in zip(*levels, strict=True))  # (B, L, K, .)
    sides = boxes[..., 2:] - boxes[..., :2]
    scores = scores.masked_fill((sides <= cfg.min_bbox_size).any(-1), LEFT_OUT)
    scores = _suppress(boxes, scores, cfg.nms.iou_threshold).flatten(1)
    boxes = boxes.flatten(1, 2)
    best, places = scores.topk(min(cfg.max_per_img, scores.shape[1]))
    boxes, valid = boxes.gather(1, places[..., None].expand(-1, -1, 4)), best > LEFT_OUT
    # Regions of no size may have no features, see `extract`: a pixel for what is none, too.
    return torch.cat([boxes[..., :2], boxes[..., 2:] + (~valid)[..., None]], -1), valid


def _anchors(head: Any, features: Sequence[Tensor]) -> list[Tensor]:
    sizes = [level.shape[2:] for level in features]
    return head.prior_generator.grid_priors(sizes, features[0].dtype, features[0].device)


def _best_of_level(
    head: Any, logits: Tensor, deltas: Tensor, anchors: Tensor, shape: Sequence[int], count: int
) -> tuple[Tensor, Tensor]:
    """Boxes (B, K, 4) and scores (B, K) of the best candidates of one level."""
    # Places for `count` of them on the smallest map, too: then the number is the same for all.
    scores = F.pad(logits.permute(0, 2, 3, 1).flatten(1).sigmoid(), (0, count), value=LEFT_OUT)
    deltas = F.pad(deltas.permute(0, 2, 3, 1).reshape(deltas.shape[0], -1, 4), (0, 0, 0, count))
    anchors = F.pad(anchors, (0, 0, 0, count))
    best, places = scores.topk(count)
    deltas = deltas.gather(1, places[..., None].expand(-1, -1, 4))
    boxes = head.bbox_coder.decode(
        anchors[places].flatten(0, 1), deltas.flatten(0, 1), max_shape=shape
    )
    return boxes.unflatten(0, (-1, count)), best


def _suppress(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Scores (..., K) after non-maximum suppression inside of each group of K boxes (..., K, 4).

    `mmcv.ops.batched_nms` moves the groups apart, so that one suppression does for all of them.
    """
    flat = boxes.reshape(-1, *boxes.shape[-2:]), scores.reshape(-1, scores.shape[-1])
    keep = nms_keep(*flat, threshold, LEFT_OUT)
    return scores.masked_fill(~keep.reshape(scores.shape), LEFT_OUT)


def classify(
    stages: Sequence[Stage], features: Sequence[Tensor], proposals: Tensor, shape: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Boxes (B, P, C, 4) and scores (B, P, C) of proposals.

    `CascadeRoIHead._refine_roi` and the first half of `BBoxHead._predict_by_feat_single`.
    """
    count = proposals.shape[1]  # not len(), which would fix the number of images
    images = torch.arange(proposals.shape[0], device=proposals.device).repeat_interleave(count)
    rois, total = proposals.flatten(0, 1), torch.zeros(())  # (B * P, 4)
    for number, stage in enumerate(stages):
        rows = extract(stage.bbox_roi_extractor, features, images, rois)
        logits, deltas = stage.bbox_head(rows)
        total = total + logits
        if number < len(stages) - 1:
            labels = logits[:, :-1].argmax(1)
            rois = stage.bbox_head.regress_by_class(rois, labels, deltas, {"img_shape": shape})
    head = stages[-1].bbox_head
    scores = (total / len(stages)).softmax(-1)[:, :-1]  # (B * P, C); the last is the background
    classes = 1 if head.reg_class_agnostic else scores.shape[1]
    boxes = head.bbox_coder.decode(
        rois.repeat_interleave(classes, 0), deltas.reshape(-1, 4), max_shape=shape
    )
    boxes = boxes.reshape(-1, count, classes, 4).expand(-1, -1, scores.shape[1], -1)
    return boxes, scores.reshape(-1, count, scores.shape[1])


def choose(boxes: Tensor, scores: Tensor, cfg: Any) -> dict[str, Tensor]:
    """The objects among boxes (B, P, C, 4) with scores (B, P, C): mmdet's `multiclass_nms`."""
    classes = scores.shape[2]
    scores = scores.masked_fill(scores <= cfg.score_thr, LEFT_OUT)
    boxes, scores = boxes.transpose(1, 2), scores.transpose(1, 2)  # (B, C, P, .)
    scores = _suppress(boxes, scores, cfg.nms.get("iou_threshold", 0.5)).flatten(1)
    number = boxes.shape[2]
    best, places = scores.topk(min(cfg.max_per_img, classes * number))
    boxes = boxes.flatten(1, 2).gather(1, places[..., None].expand(-1, -1, 4))
    images, ranks = (best > LEFT_OUT).nonzero(as_tuple=True)
    return {
        "images": images,
        "bboxes": boxes[images, ranks],
        "scores": best[images, ranks],
        "labels": places[images, ranks] // number,
    }


def segment(
    stages: Sequence[Stage], features: Sequence[Tensor], found: dict[str, Tensor]
) -> Tensor:
    """Masks (n, 28, 28) of objects: `FCNMaskHead.predict_by_feat`, before it pastes them."""
    masks = []
    for stage in stages:
        rows = extract(stage.mask_roi_extractor, features, found["images"], found["bboxes"])
        logits = stage.mask_head(rows)
        if not stage.mask_head.class_agnostic:
            labels = found["labels"][:, None, None, None].expand(-1, 1, *logits.shape[2:])
            logits = logits.gather(1, labels)
        masks.append(logits[:, 0].sigmoid())
    return torch.stack(masks).mean(0)


def extract(extractor: Any, features: Sequence[Tensor], images: Tensor, rois: Tensor) -> Tensor:
    """Features (n, C, h, w) of RoIs (n, 4) of images (n,): `SingleRoIExtractor.forward`.

    There each level is asked for its own RoIs. Here each is asked for all, and those of others are
    of no size: their features cost nothing, and are nothing, which some runtimes call NaN.
    """
    levels = features[: extractor.num_inputs]
    rows = torch.cat([images[:, None].to(rois.dtype), rois], 1)
    mine = extractor.map_roi_levels(rows, len(levels))
    chosen: Any = 0
    for number, (level, layer) in enumerate(zip(levels, extractor.roi_layers, strict=True)):
        own, size = (mine == number)[:, None], layer.output_size
        found = roi_align(
            level, images, rois * own, size[0], size[1], layer.spatial_scale, layer.sampling_ratio
        )
        chosen = torch.where(own[..., None, None], found, chosen) if number else found
    return chosen
