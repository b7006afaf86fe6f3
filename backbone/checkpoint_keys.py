"""One pure function between the key layouts in which ConvNeXt V2 weights exist.

Layouts: ``convnextv2`` (ours: the released names, GRN 1-D), ``official`` (the released files),
``timm``, ``transformers``, ``mmpretrain``. The table below is the whole difference; a layout's
entry names the module that holds the parameters of that role.
"""

import re
from collections.abc import Mapping

from torch import Tensor

LAYOUTS = ("convnextv2", "official", "timm", "transformers", "mmpretrain")

# role: names in the order of LAYOUTS; {i} is the stage, {j} the block.
_MODULES = {
    "stem.conv": (
        "downsample_layers.0.0",
        "downsample_layers.0.0",
        "stem.0",
        "convnextv2.embeddings.patch_embeddings",
        "backbone.downsample_layers.0.0",
    ),
    "stem.norm": (
        "downsample_layers.0.1",
        "downsample_layers.0.1",
        "stem.1",
        "convnextv2.embeddings.layernorm",
        "backbone.downsample_layers.0.1",
    ),
    "downsample.norm": (
        "downsample_layers.{i}.0",
        "downsample_layers.{i}.0",
        "stages.{i}.downsample.0",
        "convnextv2.encoder.stages.{i}.downsampling_layer.0",
        "backbone.downsample_layers.{i}.0",
    ),
    "downsample.conv": (
        "downsample_layers.{i}.1",
        "downsample_layers.{i}.1",
        "stages.{i}.downsample.1",
        "convnextv2.encoder.stages.{i}.downsampling_layer.1",
        "backbone.downsample_layers.{i}.1",
    ),
    "block.dwconv": (
        "stages.{i}.{j}.dwconv",
        "stages.{i}.{j}.dwconv",
        "stages.{i}.blocks.{j}.conv_dw",
        "convnextv2.encoder.stages.{i}.layers.{j}.dwconv",
        "backbone.stages.{i}.{j}.depthwise_conv",
    ),
    "block.norm": (
        "stages.{i}.{j}.norm",
        "stages.{i}.{j}.norm",
        "stages.{i}.blocks.{j}.norm",
        "convnextv2.encoder.stages.{i}.layers.{j}.layernorm",
        "backbone.stages.{i}.{j}.norm",
    ),
    "block.pwconv1": (
        "stages.{i}.{j}.pwconv1",
        "stages.{i}.{j}.pwconv1",
        "stages.{i}.blocks.{j}.mlp.fc1",
        "convnextv2.encoder.stages.{i}.layers.{j}.pwconv1",
        "backbone.stages.{i}.{j}.pointwise_conv1",
    ),
    "block.grn": (
        "stages.{i}.{j}.grn",
        "stages.{i}.{j}.grn",
        "stages.{i}.blocks.{j}.mlp.grn",
        "convnextv2.encoder.stages.{i}.layers.{j}.grn",
        "backbone.stages.{i}.{j}.grn",
    ),
    "block.pwconv2": (
        "stages.{i}.{j}.pwconv2",
        "stages.{i}.{j}.pwconv2",
        "stages.{i}.blocks.{j}.mlp.fc2",
        "convnextv2.encoder.stages.{i}.layers.{j}.pwconv2",
        "backbone.stages.{i}.{j}.pointwise_conv2",
    ),
    # The classifier: one norm after pooling, one linear layer.
    "norm": ("norm", "norm", "head.norm", "convnextv2.layernorm", "backbone.norm3"),
    "head": ("head", "head", "head.fc", "classifier", "head.fc"),
}
# GRN's two parameters: their names and their shape around the C channels.
_GRN = {
    "convnextv2": ("gamma", "beta", (-1,)),
    "official": ("gamma", "beta", (1, 1, 1, -1)),
    "timm": ("weight", "bias", (-1,)),
    "transformers": ("weight", "bias", (1, 1, 1, -1)),
    "mmpretrain": ("gamma", "beta", (-1,)),
}


def detect_layout(keys: Mapping[str, object]) -> str:
    """Name the layout of a state dict by the name of its first depthwise convolution.

    Raises:
        ValueError: No layout has such keys.
    """
    for column, layout in enumerate(LAYOUTS):
        key = _MODULES["block.dwconv"][column].format(i=0, j=0) + ".weight"
        if key in keys:
            grn = keys.get("stages.0.0.grn.gamma")
            # The released files and ours differ in nothing but the shape of GRN.
            return "official" if layout == "convnextv2" and getattr(grn, "ndim", 1) > 1 else layout
    some = ", ".join(list(keys)[:5]) or "nothing"
    raise ValueError(f"not a ConvNeXt V2 checkpoint in a known layout; its keys begin: {some}")


def convert_keys(
    state_dict: Mapping[str, Tensor], source: str, target: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Rename and reshape a state dict from one layout into another.

    Args:
        state_dict: Tensors by name; not changed.
        source: Layout it is in, see `detect_layout`.
        target: Layout wanted.

    Returns:
        The converted tensors, and the names that the source layout does not know.
    """
    source_column, target_column = LAYOUTS.index(source), LAYOUTS.index(target)
    patterns = {role: _pattern(names[source_column]) for role, names in _MODULES.items()}
    converted, unknown = {}, []
    for key, tensor in state_dict.items():
        module, _, parameter = key.rpartition(".")
        matches = {role: pattern.fullmatch(module) for role, pattern in patterns.items()}
        role = next((role for role, match in matches.items() if match), None)
        if role is None:
            unknown.append(key)
            continue
        if role == "block.grn":
            names = _GRN[source][:2]
            if parameter not in names:
                unknown.append(key)
                continue
            parameter = _GRN[target][names.index(parameter)]
            tensor = tensor.reshape(_GRN[target][2])
        name = _MODULES[role][target_column].format(**matches[role].groupdict())
        converted[f"{name}.{parameter}"] = tensor
    return converted, unknown


def _pattern(template: str) -> re.Pattern:
    escaped = re.escape(template)
    for letter in "ij":
        escaped = escaped.replace(rf"\{{{letter}\}}", rf"(?P<{letter}>\d+)")
    return re.compile(escaped)
