"""What of mmdet's detectors can be exported, and how a file's objects are held against mmdet's."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from convnextv2.engine.errors import InputError
from convnextv2.engine.types import is_a
from convnextv2.exports import Difference, Exportable, describe_images
from convnextv2.predictor import Predictor
from convnextv2.runtime import FORM

from .export import DetectorGraph, as_stages
from .export_ops import make_translations

if TYPE_CHECKING:
    from mmengine.config import Config

HARD_NMS = {"type": "nms", "iou_threshold": 0.5}
NEAR = 4  # pixels between the corners of two boxes that are the same object's, at most
# What may differ: the share of objects that only one of both has (two boxes that overlap by just
# the threshold), pixels, scores, and the share of all masks' pixels.
ALONE, PIXELS, SCORES, MASK = 0.02, 0.5, 5e-3, 5e-3
_HEADS = "mmdet.models.roi_heads"
_EXTRACTOR = f"{_HEADS}.roi_extractors.single_level_roi_extractor.SingleRoIExtractor"
_PARTS = {
    "rpn_head": ("mmdet.models.dense_heads.rpn_head.RPNHead",),
    "roi_head": (
        f"{_HEADS}.standard_roi_head.StandardRoIHead",
        f"{_HEADS}.cascade_roi_head.CascadeRoIHead",
    ),
}


class ExportableDetector(Exportable):
    """mmdet's Faster, Mask or Cascade R-CNN of a config, with the weights of a checkpoint.

    Soft non-maximum suppression, which ONNX does not have, becomes a hard one at an overlap of .5.

    Args:
        cfg: The config.
        checkpoint: Path or address.

    Raises:
        InputError: Something of it cannot be exported.
    """

    def __init__(self, cfg: Config, checkpoint: str) -> None:
        cfg = deepcopy(cfg)
        soft = replace_soft_nms(cfg.model)
        self._predictor = predictor = Predictor(cfg, checkpoint, "cpu")
        model: Any = predictor.model
        check(model)
        self.network = DetectorGraph(model)
        masks = ("masks",) if model.roi_head.with_mask else ()
        self.outputs = ("images", "bboxes", "scores", "labels", *masks)
        self.translations = make_translations()
        rcnn = model.roi_head.test_cfg
        self.about = {
            "form": FORM,
            "task": predictor.task.name,
            "kind": "objects",
            "classes": predictor.classes,
            "palette": predictor.palette,
            "label_offset": 0,
            "image": describe_images(cfg, model.backbone.in_channels) | {"smallest": 1},
            "windows": None,
            "score_threshold": rcnn.score_thr,
            "nms": {"iou_threshold": rcnn.nms.iou_threshold, "in_place_of_soft_nms": soft},
            "objects_an_image": rcnn.max_per_img,
            "mask_threshold": rcnn.get("mask_thr_binary"),
        }

    def predict(self, image: np.ndarray) -> Any:
        """mmdet's sample."""
        return next(self._predictor(image)).sample

    def compare(self, expected: Any, found: Any) -> list[Difference]:
        """The objects of both, by pairs that are nearest."""
        mine = {name: value.numpy() for name, value in expected.pred_instances.items()}
        return compare_objects(mine, vars(found.pred_instances))


def replace_soft_nms(model: Any) -> bool:
    """Let a detector's config have hard suppression; whether it had a soft one."""
    rcnn = model.get("test_cfg", {}).get("rcnn") or {}
    if rcnn.get("nms", {}).get("type") != "soft_nms":
        return False
    rcnn["nms"] = dict(HARD_NMS)
    return True


def check(model: Any) -> None:
    """Stop at what `DetectorGraph` would do otherwise than mmdet.

    Raises:
        InputError: There is such a thing.
    """
    for name, known in _PARTS.items():
        part = getattr(model, name, None)
        if not is_a(type(part), *known):
            kinds = ", ".join(entry.rpartition(".")[2] for entry in known)
            raise InputError(
                f"a {type(model).__name__} with {type(part).__name__} as {name} cannot be "
                f"exported: Faster, Mask and Cascade R-CNN can, whose {name} is one of {kinds}"
            )
    heads = model.roi_head.bbox_head
    for head in heads if hasattr(heads, "__len__") else [heads]:
        if head.custom_activation or head.bbox_coder.use_box_type:
            raise InputError("a bbox_head with a loss that has its own scores cannot be exported")
    for stage in as_stages(model.roi_head):
        _check_extractor(stage.bbox_roi_extractor, "bbox_roi_extractor")
        _check_extractor(stage.mask_roi_extractor, "mask_roi_extractor")
    rpn, rcnn = model.rpn_head, model.roi_head.test_cfg
    if not rpn.use_sigmoid_cls or rpn.test_cfg.nms.get("type", "nms") != "nms":
        raise InputError("rpn_head must have sigmoid scores and nms to be exported")
    if rcnn.nms.get("type", "nms") != "nms" or rcnn.nms.get("class_agnostic"):
        raise InputError(f"model.test_cfg.rcnn.nms is {rcnn.nms}; nms and soft_nms can be exported")


def _check_extractor(extractor: Any, name: str) -> None:
    """Only where the number of samples goes by the RoI's size, one of no size costs nothing."""
    for layer in getattr(extractor, "roi_layers", ()):
        options = (getattr(layer, key, None) for key in ("pool_mode", "aligned", "sampling_ratio"))
        if is_a(type(extractor), _EXTRACTOR) and tuple(options) == ("avg", True, 0):
            continue
        raise InputError(
            f"a {type(extractor).__name__} of {layer} as {name} cannot be exported: a "
            "SingleRoIExtractor of RoIAlign with sampling_ratio=0 can"
        )


def compare_objects(expected: dict, found: dict) -> list[Difference]:
    """Two lists of objects, as dicts of arrays; of two empty ones there is nothing to compare."""
    pairs = pair_objects(expected, found)
    number = max(len(expected["scores"]), len(found["scores"]))
    if not number:
        return []
    alone = number - len(pairs)
    mine, other = (np.array([pair[i] for pair in pairs], int) for i in (0, 1))

    def largest(name: str) -> float:
        gap = np.abs(expected[name][mine] - found[name][other])
        return float(gap.max(initial=0))

    differences = [
        Difference("the objects: a share of them that only one has", alone / number, ALONE),
        Difference("a box, in pixels", largest("bboxes"), PIXELS),
        Difference("a score", largest("scores"), SCORES),
    ]
    if "masks" in expected:
        one, two = expected["masks"][mine], found["masks"][other]
        wrong = float((one ^ two).sum() / max((one | two).sum(), 1))
        differences.append(Difference("a share of the masks' pixels", wrong, MASK))
    return differences


def pair_objects(expected: dict, found: dict) -> list[tuple[int, int]]:
    """Numbers of the objects of one label in both that are nearest to each other, each once."""
    pairs, free = [], np.ones(len(found["scores"]), bool)
    for number, box in enumerate(expected["bboxes"]):
        apart = np.abs(found["bboxes"] - box).max(1)
        possible = free & (found["labels"] == expected["labels"][number]) & (apart <= NEAR)
        if possible.any():
            # Of boxes that are equal, the one whose score is.
            apart = apart + np.abs(found["scores"] - expected["scores"][number])
            pairs.append((number, int(np.where(possible, apart, np.inf).argmin())))
            free[pairs[-1][1]] = False
    return pairs
