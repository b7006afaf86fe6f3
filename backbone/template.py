"""What follows from the arch that a template is set to."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import ConfigDict

from convnextv2.engine.errors import InputError, suggest
from convnextv2.engine.template import Template

from .convnextv2 import ARCHS

RELEASED = "https://dl.fbaipublicfiles.com/convnext/convnextv2"
WEIGHTS = {
    "fcmae": f"{RELEASED}/pt_only/convnextv2_{{}}_1k_224_fcmae.pt",
    "imagenet": f"{RELEASED}/im1k/convnextv2_{{}}_1k_224_ema.pt",
}


def find_widths(arch: Any) -> list[int]:
    """Channels of the four stages.

    Raises:
        InputError: There is no such arch.
    """
    if isinstance(arch, str):
        if arch not in ARCHS:
            known = f"{', '.join(ARCHS)}, or dict(depths=..., channels=...)"
            raise InputError(f"arch is one of {known}, not {arch!r}{suggest(arch, ARCHS)}")
        return list(ARCHS[arch]["channels"])
    if set(arch) != {"depths", "channels"}:
        raise InputError(f"arch must have `depths` and `channels`, not {', '.join(arch)}")
    return list(arch["channels"])


def set_backbone(template: Template, drop_path: Mapping[str, float]) -> None:
    """The backbone's arch, weights, frozen stages and stochastic depth.

    Args:
        template: The template.
        drop_path: Rate of each arch; "" stands for the others.
    """
    settings, where = template.settings, "model.backbone"
    arch = settings["arch"]
    template.rule(where, "arch", arch, "arch")
    template.rule(where, "frozen_stages", settings["frozen_stages"], "frozen_stages")
    usual = drop_path.get(arch if isinstance(arch, str) else "", drop_path[""])
    template.suppose(where, "drop_path_rate", usual)
    _set_weights(template, settings["weights"], arch)


def _set_weights(template: Template, weights: str | None, arch: Any) -> None:
    backbone = template.find("model.backbone")
    if backbone is None:
        return
    checkpoint = WEIGHTS[weights].format(arch) if weights in WEIGHTS else weights
    where = "model.backbone.init_cfg"
    if "init_cfg" in backbone and backbone["init_cfg"] is None and checkpoint:
        template.wrong.append(f"{where} is None, but weights is {weights!r}: set weights = None")
    elif checkpoint is None and backbone.get("init_cfg"):
        template.wrong.append(f"{where} is set, but weights is None: set weights to the path")
    elif checkpoint is not None:
        if backbone.get("init_cfg") is None:
            backbone["init_cfg"] = ConfigDict(type="Pretrained")
        template.rule(where, "type", "Pretrained", "weights")
        template.rule(where, "checkpoint", checkpoint, "weights")
