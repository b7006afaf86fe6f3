"""What follows from the settings of a classification template."""

import os

from mmengine.config import ConfigDict

from convnextv2.backbone.template import find_widths, set_backbone
from convnextv2.engine.errors import InputError
from convnextv2.engine.template import LOADERS, Template
from convnextv2.engine.template_parts import (
    as_pair,
    fill_blanks,
    leave_validation,
    set_bands,
    set_length,
    set_loaders,
    set_places,
    set_rate,
)

from .classes import list_classes
from .folder import list_named

DATASET = "convnextv2.pretrain.supervised.folder.LabelledImages"
PLACES = {"images": "data_prefix.img", "annotations": "ann_file"}
# Of the recipes, see configs/classification.
DROP_PATH = {"femto": 0.0, "pico": 0.0, "tiny": 0.2, "large": 0.2, "huge": 0.3, "": 0.1}
FINE_TUNED = 0.001  # scale of the head's first values; 1 from scratch


def fill(template: Template) -> None:
    """Write all that follows into the template's config.

    Raises:
        InputError: Crops larger than the image, or classes that cannot be found out.
    """
    settings = template.settings
    find_widths(settings["arch"])
    if settings["scale"][1] > 1:
        raise InputError(f"scale is a share of the image, at most 1, not {settings['scale']}")
    classes = _find_classes(template)
    set_length(template)
    set_rate(template)
    set_loaders(template)
    set_places(template, DATASET, PLACES)
    leave_validation(template, DATASET)
    set_backbone(template, DROP_PATH)
    set_bands(template)
    template.rule("model", "num_classes", len(classes), "classes")
    template.suppose("model", "head_init_scale", FINE_TUNED if settings["weights"] else 1.0)
    for loader in LOADERS:
        for where, entry in template.datasets(loader, DATASET):
            meta = entry.setdefault("metainfo", ConfigDict())
            template.rule_entry(meta, f"{where}.metainfo.classes", "classes", classes, "classes")
    size = as_pair(settings["image_size"])
    fill_blanks(template, {"size": size, "scale": tuple(settings["scale"])})


def _find_classes(template: Template) -> tuple[str, ...]:
    """The names that are set, or else of the folders, or in the list, that is trained on."""
    names, places = template.settings["classes"], template.settings["train"]
    if names is None and places is None:
        raise InputError("classes is None and train is None: set classes")
    if names is None:
        root = os.path.join(template.settings["data_root"], places["images"])
        try:
            if (listed := places.get("annotations")) is None:
                names = list_classes(root)
            else:
                path = os.path.join(template.settings["data_root"], listed)
                names = list_named(path, root, None)[1]
        except (OSError, ValueError) as error:
            raise InputError(f"classes is None, and the data do not tell them: {error}") from error
    if len(names) < 2:
        raise InputError(
            f"there is one class, {names[0]!r}, which every image would be: put what is none of "
            "it into a class of its own"
        )
    return tuple(names)
