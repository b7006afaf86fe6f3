"""What follows from the settings of a pre-training template."""

from convnextv2.backbone.template import find_widths, set_backbone
from convnextv2.engine.errors import InputError
from convnextv2.engine.template import Template
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

DATASET = "convnextv2.pretrain.data.folder.UnlabelledImages"
PLACES = {"images": "data_prefix.img", "annotations": "ann_file"}


def fill(template: Template) -> None:
    """Write all that follows into the template's config.

    Raises:
        InputError: Crops in which nothing can be hidden, or larger than the image.
    """
    settings = template.settings
    find_widths(settings["arch"])
    height, width = as_pair(settings["image_size"])
    patch = template.cfg.model.get("patch_size", 32)
    if height * width < 2 * patch**2 or height % patch or width % patch:
        raise InputError(
            f"image_size {settings['image_size']} must be a multiple of the patches' side, "
            f"{patch}, and hold two of them"
        )
    if settings["scale"][1] > 1:
        raise InputError(f"scale is a share of the image, at most 1, not {settings['scale']}")
    set_length(template)
    set_rate(template)
    set_loaders(template)
    set_places(template, DATASET, PLACES)
    leave_validation(template, DATASET)
    set_backbone(template, {"": 0.0})
    set_bands(template)
    fill_blanks(template, {"size": (height, width), "scale": tuple(settings["scale"])})
