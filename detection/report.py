"""What a report shows of a detector's validation."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.structures import BaseDataElement, InstanceData
from pycocotools import mask as coco_mask

from convnextv2.engine.types import walk_built_datasets
from convnextv2.reviews import Review, ReviewedImage

from .coco import decode_mask, encode_mask

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

IOU_THR = 0.5
SCORE_THR = 0.3


class DetectionReview(Review):
    """Which objects were taken for which class, by boxes and, of a model with masks, by masks.

    Of what scores `SCORE_THR` or more, each object found is given, best score first, the object
    of the data, of any class, that it overlaps most and that is not taken yet, by an IoU of
    `IOU_THR` or more. What is left over on either side stands against the background. What lies
    on a crowd, which COCO ignores, counts nowhere.

    An image's score is F1: twice the objects found with the right class, of all on both sides.
    """

    rest = "background"

    def look(self, sample: dict) -> ReviewedImage:
        """Give objects that were found to objects that are there."""
        truth = self._read_truth(sample["img_id"])
        found = read_found(sample["pred_instances"], sample["ori_shape"][:2])
        nothing = len(self.classes)
        pairs = {"bbox": match(found, truth, overlap_boxes(found, truth), nothing)}
        if found["masks"] is not None and truth["masks"] is not None:
            pairs["segm"] = match(found, truth, overlap_masks(found, truth), nothing)
        score, text = describe(pairs.get("segm", pairs["bbox"]), nothing)
        return ReviewedImage(str(sample["img_path"]), score, text, pairs, kept=(truth, found))

    def restore(self, kept: tuple[dict, dict]) -> BaseDataElement:
        """Instances, masks decoded."""
        truth, found = map(to_instances, kept)
        return BaseDataElement(gt_instances=truth, pred_instances=found)

    def curves(self) -> dict[str, np.ndarray]:
        """Of `CocoMetric`, at an IoU of .5."""
        found = [getattr(metric, "curves", None) for metric in self.metrics]
        return next((curves for curves in found if curves), {})

    @cached_property
    def _places(self) -> dict[Any, tuple[BaseDataset, int]]:
        """Where the annotations of each image lie."""
        datasets: list[Any] = list(walk_built_datasets(self.dataset))
        return {
            dataset.get_data_info(place)["img_id"]: (dataset, place)
            for dataset in datasets
            for place in range(len(dataset))
        }

    def _read_truth(self, img_id: object) -> dict:
        dataset, place = self._places[img_id]
        info = dataset.get_data_info(place)
        objects = info["instances"]
        masks = [entry.get("mask") for entry in objects]
        size = info["height"], info["width"]
        return {
            "boxes": np.array([entry["bbox"] for entry in objects], float).reshape(-1, 4),
            "labels": np.array([entry["bbox_label"] for entry in objects], int),
            "crowd": np.array([entry.get("ignore_flag", 0) for entry in objects], bool),
            "masks": [to_rle(mask, size) for mask in masks] if all(masks) else None,
        }


def read_found(instances: dict, size: tuple[int, int]) -> dict:
    """What scores enough, best first: ``boxes``, ``labels``, ``scores`` and ``masks`` as RLE.

    Args:
        instances: mmdet's, as a dict.
        size: Height and width of the image.
    """
    scores = instances["scores"].cpu().numpy()
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= SCORE_THR]
    masks = instances.get("masks")
    return {
        "boxes": instances["bboxes"].cpu().numpy().reshape(-1, 4)[order],
        "labels": instances["labels"].cpu().numpy()[order],
        "scores": scores[order],
        "masks": None if masks is None else [to_rle(masks[i], size) for i in order],
    }


def to_rle(mask: Any, size: tuple[int, int]) -> dict:
    """COCO's compressed RLE of polygons, of a RLE of any kind or of a mask (H, W)."""
    if hasattr(mask, "cpu"):
        mask = mask.cpu().numpy()
    if isinstance(mask, np.ndarray):
        return encode_mask(mask)
    if isinstance(mask, dict) and isinstance(mask["counts"], (str, bytes)):
        return mask
    rle = coco_mask.frPyObjects(mask, *size)
    return coco_mask.merge(rle) if isinstance(rle, list) else rle


def overlap_boxes(found: dict, truth: dict) -> np.ndarray:
    """IoU of boxes, (found, truth); with a crowd the part of what was found that lies on it."""
    a, b = found["boxes"][:, None], truth["boxes"][None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = sides.clip(0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b))
    whole = np.where(truth["crowd"], area_a, area_a + area_b - both)
    return both / whole.clip(1e-9)


def overlap_masks(found: dict, truth: dict) -> np.ndarray:
    """The same of masks."""
    shape = len(found["labels"]), len(truth["labels"])
    if 0 in shape:
        return np.zeros(shape)
    return np.asarray(coco_mask.iou(found["masks"], truth["masks"], truth["crowd"].tolist()))


def match(found: dict, truth: dict, overlaps: np.ndarray, nothing: int) -> np.ndarray:
    """Rows of true class, found class and how often, (n, 3), as `DetectionReview` says.

    Args:
        found: Best first.
        truth: What is there.
        overlaps: (found, truth).
        nothing: The background's number.
    """
    rows, free = [], ~truth["crowd"]
    for label, over in zip(found["labels"].tolist(), overlaps, strict=True):
        candidates = np.where(free, over, 0.0)
        if candidates.size and candidates.max() >= IOU_THR:
            taken = int(candidates.argmax())
            free[taken] = False
            rows.append((int(truth["labels"][taken]), label))
        elif not (over[truth["crowd"]] >= IOU_THR).any():
            rows.append((nothing, label))
    rows += [(label, nothing) for label in truth["labels"][free].tolist()]
    kinds, counts = np.unique(np.array(rows, int).reshape(-1, 2), axis=0, return_counts=True)
    return np.column_stack([kinds, counts]).astype(int)


def describe(pairs: np.ndarray, nothing: int) -> tuple[float, str]:
    """F1 of an image, and its mistakes in words."""
    there, said, counts = pairs.T
    right = int(counts[there == said].sum())
    missed = int(counts[said == nothing].sum())
    false = int(counts[there == nothing].sum())
    wrong = int(counts.sum()) - right - missed - false
    total = 2 * (right + wrong) + missed + false
    text = f"{right} right, {missed} missed, {false} where there is none, {wrong} of another class"
    return (2 * right / total if total else 1.0), text


def to_instances(objects: dict) -> InstanceData:
    """mmdet's instances of what was kept of an image."""
    import torch

    instances = InstanceData(
        bboxes=torch.from_numpy(objects["boxes"]), labels=torch.from_numpy(objects["labels"])
    )
    if "scores" in objects:
        instances.scores = torch.from_numpy(objects["scores"])
    if objects["masks"] is not None:
        masks = [decode_mask(rle) for rle in objects["masks"]]
        instances.masks = np.stack(masks) if masks else np.zeros((0, 1, 1), bool)
    return instances
