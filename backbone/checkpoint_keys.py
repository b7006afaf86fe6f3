"""One pure function between the layouts in which ConvNeXt V2 weights exist.

| layout       | whose                                                                     |
|--------------|---------------------------------------------------------------------------|
| convnextv2   | ours: the released names, GRN 1-D                                         |
| official     | the released files, fine-tuned or FCMAE only                              |
| minkowski    | the authors' pre-training: convolutions as MinkowskiEngine keeps them     |
| timm, transformers, mmpretrain | those libraries                                         |

`_MODULES` holds the names, `_GRN` and `_from_kernel` the shapes: that is the whole difference.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

LAYOUTS = ("convnextv2", "official", "minkowski", "timm", "transformers", "mmpretrain")

# role: module's name in the order of LAYOUTS; {i} is the stage, {j} the block. Parts of the
# network that a layout does not have are None.
_MODULES = {
    "stem.conv": (
        "downsample_layers.0.0",
        "downsample_layers.0.0",
        "encoder.downsample_layers.0.0",
        "stem.0",
        "convnextv2.embeddings.patch_embeddings",
        "backbone.downsample_layers.0.0",
    ),
    "stem.norm": (
        "downsample_layers.0.1",
        "downsample_layers.0.1",
        "encoder.downsample_layers.0.1",
        "stem.1",
        "convnextv2.embeddings.layernorm",
        "backbone.downsample_layers.0.1",
    ),
    "downsample.norm": (
        "downsample_layers.{i}.0",
        "downsample_layers.{i}.0",
        "encoder.downsample_layers.{i}.0.ln",
        "stages.{i}.downsample.0",
        "convnextv2.encoder.stages.{i}.downsampling_layer.0",
        "backbone.downsample_layers.{i}.0",
    ),
    "downsample.conv": (
        "downsample_layers.{i}.1",
        "downsample_layers.{i}.1",
        "encoder.downsample_layers.{i}.1",
        "stages.{i}.downsample.1",
        "convnextv2.encoder.stages.{i}.downsampling_layer.1",
        "backbone.downsample_layers.{i}.1",
    ),
    "block.dwconv": (
        "stages.{i}.{j}.dwconv",
        "stages.{i}.{j}.dwconv",
        "encoder.stages.{i}.{j}.dwconv",
        "stages.{i}.blocks.{j}.conv_dw",
        "convnextv2.encoder.stages.{i}.layers.{j}.dwconv",
        "backbone.stages.{i}.{j}.depthwise_conv",
    ),
    "block.norm": (
        "stages.{i}.{j}.norm",
        "stages.{i}.{j}.norm",
        "encoder.stages.{i}.{j}.norm.ln",
        "stages.{i}.blocks.{j}.norm",
        "convnextv2.encoder.stages.{i}.layers.{j}.layernorm",
        "backbone.stages.{i}.{j}.norm",
    ),
    "block.pwconv1": (
        "stages.{i}.{j}.pwconv1",
        "stages.{i}.{j}.pwconv1",
        "encoder.stages.{i}.{j}.pwconv1.linear",
        "stages.{i}.blocks.{j}.mlp.fc1",
        "convnextv2.encoder.stages.{i}.layers.{j}.pwconv1",
        "backbone.stages.{i}.{j}.pointwise_conv1",
    ),
    "block.grn": (
        "stages.{i}.{j}.grn",
        "stages.{i}.{j}.grn",
        "encoder.stages.{i}.{j}.grn",
        "stages.{i}.blocks.{j}.mlp.grn",
        "convnextv2.encoder.stages.{i}.layers.{j}.grn",
        "backbone.stages.{i}.{j}.grn",
    ),
    "block.pwconv2": (
        "stages.{i}.{j}.pwconv2",
        "stages.{i}.{j}.pwconv2",
        "encoder.stages.{i}.{j}.pwconv2.linear",
        "stages.{i}.blocks.{j}.mlp.fc2",
        "convnextv2.encoder.stages.{i}.layers.{j}.pwconv2",
        "backbone.stages.{i}.{j}.pointwise_conv2",
    ),
    # The classifier: one norm after pooling, one linear layer.
    "norm": ("norm", "norm", None, "head.norm", "convnextv2.layernorm", "backbone.norm3"),
    "head": ("head", "head", None, "head.fc", "classifier", "head.fc"),
}
# GRN: the names of its two parameters, and their shape around the channels.
_GRN = {
    "convnextv2": ("gamma", "beta", (-1,)),
    "official": ("gamma", "beta", (1, 1, 1, -1)),
    "minkowski": ("gamma", "beta", (1, -1)),
    "timm": ("weight", "bias", (-1,)),
    "transformers": ("weight", "bias", (1, 1, 1, -1)),
    "mmpretrain": ("gamma", "beta", (-1,)),
}
_SPARSE = ("block.dwconv", "downsample.conv")  # convolutions of MinkowskiEngine
# Names that some files have and others leave out: a whole model, or only its network.
_OPTIONAL_PREFIX = {"transformers": "convnextv2.", "mmpretrain": "backbone."}


class Conversion(NamedTuple):
    """What `convert_keys` made of a state dict."""

    tensors: dict[str, Tensor]
    unknown: list[str]
    """Keys that the source layout does not have, or the target layout has no place for."""
    reshaped: list[str]
    """Keys, in the target layout, of tensors whose shape changed."""


def detect_layout(state_dict: Mapping[str, Tensor]) -> str:
    """Name the layout of a state dict by its first depthwise convolution.

    Raises:
        ValueError: No layout has such keys.
    """
    for column, layout in enumerate(LAYOUTS):
        module = _MODULES["block.dwconv"][column].format(i=0, j=0)
        names = {module, module.removeprefix(_OPTIONAL_PREFIX.get(layout, ""))}
        parameter = "kernel" if layout == "minkowski" else "weight"
        if any(f"{name}.{parameter}" in state_dict for name in names):
            gamma = state_dict.get("stages.0.0.grn.gamma")
            # The released files and ours differ in nothing but the shape of GRN.
            released = layout == "convnextv2" and gamma is not None and gamma.ndim > 1
            return "official" if released else layout
    some = ", ".join(list(state_dict)[:5]) or "nothing"
    raise ValueError(f"not a ConvNeXt V2 checkpoint in a known layout; its keys begin: {some}")


def convert_keys(state_dict: Mapping[str, Tensor], source: str, target: str) -> Conversion:
    """Rename and reshape a state dict from one layout into another.

    Args:
        state_dict: Tensors by name; not changed.
        source: Layout it is in, see `detect_layout`.
        target: Layout wanted.
    """
    source_column, target_column = LAYOUTS.index(source), LAYOUTS.index(target)
    prefix = _OPTIONAL_PREFIX.get(source, "")
    patterns = {
        role: re.compile(_pattern(names[source_column], prefix))
        for role, names in _MODULES.items()
        if names[source_column]
    }
    result = Conversion({}, [], [])
    for key, tensor in state_dict.items():
        module, _, parameter = key.rpartition(".")
        matches = {role: pattern.fullmatch(module) for role, pattern in patterns.items()}
        role = next((role for role, match in matches.items() if match), None)
        standard = role and _to_standard(role, parameter, tensor, source)
        if not standard or not _MODULES[role][target_column]:
            result.unknown.append(key)
            continue
        parameter, converted = _from_standard(role, *standard, target)
        name = _MODULES[role][target_column].format(**matches[role].groupdict())
        result.tensors[f"{name}.{parameter}"] = converted
        if converted.shape != tensor.shape:
            result.reshaped.append(f"{name}.{parameter}")
    return result


def _pattern(template: str, optional_prefix: str) -> str:
    prefix = optional_prefix if template.startswith(optional_prefix) else ""
    escaped = re.escape(template.removeprefix(prefix))
    for letter in "ij":
        escaped = escaped.replace(rf"\{{{letter}\}}", rf"(?P<{letter}>\d+)")
    return f"(?:{re.escape(prefix)})?{escaped}"


def _to_standard(
    role: str, parameter: str, tensor: Tensor, layout: str
) -> tuple[str, Tensor] | None:
    """A parameter's name and tensor as in our layout; None if the layout has no such name."""
    sparse = layout == "minkowski" and role in _SPARSE
    names = _GRN[layout][:2] if role == "block.grn" else ("kernel" if sparse else "weight", "bias")
    if parameter not in names:
        return None
    is_weight = parameter == names[0]
    if role == "block.grn":
        return ("gamma", "beta")[not is_weight], tensor.reshape(-1)
    if sparse:
        tensor = _from_kernel(tensor) if is_weight else tensor.reshape(-1)
    return ("weight", "bias")[not is_weight], tensor


def _from_standard(role: str, parameter: str, tensor: Tensor, layout: str) -> tuple[str, Tensor]:
    """The inverse of `_to_standard`."""
    if role == "block.grn":
        gamma, beta, shape = _GRN[layout]
        return (gamma if parameter == "gamma" else beta), tensor.reshape(shape)
    if layout == "minkowski" and role in _SPARSE:
        if parameter == "weight":
            return "kernel", _to_kernel(tensor, depthwise=role == "block.dwconv")
        return parameter, tensor.reshape(1, -1)
    return parameter, tensor


def _from_kernel(kernel: Tensor) -> Tensor:
    """MinkowskiEngine's (k*k, C) or (k*k, in, out), x running slowest, to (out, in, k, k)."""
    if kernel.ndim == 2:
        kernel = kernel[:, None]
    k = math.isqrt(len(kernel))
    return kernel.unflatten(0, (k, k)).permute(3, 2, 1, 0).contiguous()


def _to_kernel(weight: Tensor, depthwise: bool) -> Tensor:
    """The inverse of `_from_kernel`."""
    kernel = weight.permute(3, 2, 1, 0).flatten(0, 1).contiguous()
    return kernel[:, 0] if depthwise else kernel
