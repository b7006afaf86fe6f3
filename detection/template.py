"""What follows from the settings of a detection template."""

import os

from mmengine.config import ConfigDict

from convnextv2.backbone.template import find_widths, set_backbone
from convnextv2.engine.template import LOADERS, Template
from convnextv2.engine.template_parts import (
    as_pair,
    fill_blanks,
    leave_validation,
    list_evaluators,
    set_bands,
    set_classes,
    set_length,
    set_loaders,
    set_places,
    set_rate,
)
from convnextv2.pictures import complete_palette

DATASET = "mmdet.datasets.coco.CocoDataset"
PLACES = {"annotations": "ann_file", "images": "data_prefix.img"}
# Of the recipes, see configs/detection.
DROP_PATH = {"base": 0.4, "large": 0.5, "huge": 0.5, "": 0.2}
# Its number of classes is one, objects.
RPN = "mmdet.models.dense_heads.rpn_head.RPNHead"


def fill(template: Template) -> None:
    """Write all that follows into the template's config."""
    set_length(template)
    set_rate(template)
    set_loaders(template)
    set_places(template, DATASET, PLACES)
    leave_validation(template, DATASET)
    set_backbone(template, DROP_PATH)
    set_bands(template)
    set_classes(template, without=(RPN,))
    _set_neck(template)
    _set_names(template)
    _set_sizes(template)
    _set_metric(template)


def _set_neck(template: Template) -> None:
    """The widths that the neck takes, of the stages that the backbone gives it."""
    widths = find_widths(template.settings["arch"])
    stages = template.cfg.model.backbone.get("out_indices", (0, 1, 2, 3))
    taken = [widths[stage] for stage in stages]
    neck = template.find("model.neck")
    if neck is not None and "in_channels" in neck:
        template.rule("model.neck", "in_channels", taken, "arch")


def _set_names(template: Template) -> None:
    classes = tuple(template.settings["classes"])
    for loader in LOADERS:
        for where, entry in template.datasets(loader, DATASET):
            meta = entry.setdefault("metainfo", ConfigDict())
            template.rule_entry(meta, f"{where}.metainfo.classes", "classes", classes, "classes")
            meta.setdefault("palette", complete_palette(None, len(classes)))


def _set_sizes(template: Template) -> None:
    """Crops, the size that batches are padded to, and that of test images."""
    height, width = as_pair(template.settings["image_size"])
    masks = _has_masks(template)
    sizes = {"scale": (width, height), "crop_size": (width, height)}
    ranges = {"ratio_range": tuple(template.settings["scale"]), "with_mask": masks}
    fill_blanks(template, sizes | ranges)
    for pad in template.cfg.model.data_preprocessor.get("batch_augments") or ():
        if "size" in pad and pad["size"] is None:
            pad["size"] = (height, width)
        if "pad_mask" in pad and pad["pad_mask"] is None:
            pad["pad_mask"] = masks


def _set_metric(template: Template) -> None:
    for where, metric in list_evaluators(template):
        part = "val" if template.settings["val"] is not None else "train"
        places = template.settings[part]
        if "ann_file" in metric and places is not None:
            path = os.path.join(template.settings["data_root"], places["annotations"])
            template.rule_entry(metric, f"{where}.ann_file", "ann_file", path, part)
        if "metric" in metric and metric["metric"] is None:
            metric["metric"] = ["bbox", "segm"] if _has_masks(template) else "bbox"


def _has_masks(template: Template) -> bool:
    return bool((template.find("model.roi_head") or {}).get("mask_head"))
