"""What follows from the settings of a segmentation template."""

from typing import Any

from mmengine.config import ConfigDict

from convnextv2.backbone.template import find_widths, set_backbone
from convnextv2.engine.errors import InputError
from convnextv2.engine.template import LOADERS, Template
from convnextv2.engine.template_parts import (
    as_pair,
    fill_blanks,
    find_heads,
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

DATASET = "mmseg.datasets.basesegdataset.BaseSegDataset"
PLACES = {"images": "data_prefix.img_path", "masks": "data_prefix.seg_map_path"}
# Of the recipes, see configs/segmentation.
DROP_PATH = {"tiny": 0.2, "base": 0.4, "large": 0.4, "huge": 0.4, "": 0.1}
# Longer sides of images are at most so many times the shorter; beyond, the shorter shrinks.
LONGEST = 4
TTA_SCALES = (0.75, 0.875, 1.0, 1.125, 1.25)


def fill(template: Template) -> None:
    """Write all that follows into the template's config."""
    set_length(template)
    set_rate(template)
    set_loaders(template)
    set_places(template, DATASET, PLACES)
    leave_validation(template, DATASET)
    set_backbone(template, DROP_PATH)
    _set_sizes(template)
    set_bands(template)
    set_classes(template)
    _set_widths(template)
    _set_names(template)
    _set_ignored(template)
    _refuse_one_class(template)


def _refuse_one_class(template: Template) -> None:
    """Stop where nothing can be learned: one class has every pixel, whatever the network says."""
    losses = [head.get("loss_decode") or {} for _, head in find_heads(template, "loss_decode")]
    each = [loss for entry in losses for loss in (entry if isinstance(entry, list) else [entry])]
    if len(template.settings["classes"]) == 1 and not any(loss.get("use_sigmoid") for loss in each):
        (name,) = template.settings["classes"]
        template.wrong.append(
            f"classes has one name, which every pixel would be: name what is none of it too, "
            f"('background', {name!r})"
        )


def _set_widths(template: Template) -> None:
    """The channels that each head takes, of the stages that it names."""
    widths = find_widths(template.settings["arch"])
    stages = template.cfg.model.backbone.get("out_indices", (0, 1, 2, 3))
    maps = [widths[stage] for stage in stages]
    for where, head in find_heads(template, "in_index"):
        index = head.get("in_index", -1)
        taken = [maps[i] for i in index] if isinstance(index, (list, tuple)) else maps[index]
        template.rule_entry(head, f"{where}.in_channels", "in_channels", taken, "arch")


def _set_names(template: Template) -> None:
    settings = template.settings
    classes = tuple(settings["classes"])
    for loader in LOADERS:
        for where, entry in template.datasets(loader, DATASET):
            meta = entry.setdefault("metainfo", ConfigDict())
            template.rule_entry(meta, f"{where}.metainfo.classes", "classes", classes, "classes")
            meta.setdefault("palette", complete_palette(None, len(classes)))
            if settings["mask_suffix"] is not None:
                suffix = settings["mask_suffix"]
                key = "seg_map_suffix"
                template.rule_entry(entry, f"{where}.{key}", key, suffix, "mask_suffix")


def _set_sizes(template: Template) -> None:
    """Crops, the size that batches are padded to, and windows and scales of tests."""
    size = as_pair(template.settings["image_size"])
    scale = (LONGEST * max(size), min(size))
    ranges = {"ratio_range": tuple(template.settings["scale"])}
    fill_blanks(template, {"scale": scale, "crop_size": size, **ranges})
    template.suppose("model.data_preprocessor", "size", size)
    template.suppose("model.test_cfg", "crop_size", size)
    template.suppose("model.test_cfg", "stride", tuple(side * 2 // 3 for side in size))
    if template.cfg.get("tta_pipeline") is None:
        template.cfg.merge_from_dict({"tta_pipeline": make_tta_pipeline(scale)})


def make_tta_pipeline(scale: tuple[int, int]) -> list[dict[str, Any]]:
    """Five scales, each as it is and mirrored, as the paper tests (A.4)."""
    sizes = [(int(scale[0] * ratio), int(scale[1] * ratio)) for ratio in TTA_SCALES]
    alternatives = [
        [{"type": "Resize", "scale": size, "keep_ratio": True} for size in sizes],
        [{"type": "RandomFlip", "prob": prob, "direction": "horizontal"} for prob in (0.0, 1.0)],
        [{"type": "convnextv2.LoadLabelMask"}],
        [{"type": "PackSegInputs"}],
    ]
    load = {"type": "convnextv2.LoadImage", "channel_order": "bgr"}
    return [load, {"type": "TestTimeAug", "transforms": alternatives}]


def _set_ignored(template: Template) -> None:
    """The number of pixels that do not count: of data, crops, pads, heads, losses and scores."""
    ignored = template.settings["ignore_index"]
    key = "ignore_index"
    for loader in LOADERS:
        for where, entry in template.datasets(loader, DATASET):
            template.rule_entry(entry, f"{where}.{key}", key, ignored, key)
            if entry.get("reduce_zero_label") and ignored != 255:
                raise InputError(f"{where}.reduce_zero_label needs ignore_index = 255")
    fill_blanks(template, {key: ignored})
    template.rule("model.data_preprocessor", "seg_pad_val", ignored, key)
    for where, head in find_heads(template, key):
        template.rule_entry(head, f"{where}.{key}", key, ignored, key)
    for where, metric in list_evaluators(template):
        template.rule_entry(metric, f"{where}.{key}", key, ignored, key)
