"""One pure function between the layouts in which ConvNeXt V2 weights exist.

`layouts` holds the names; `_GRN`, `_TIMM_CONVOLUTIONS` and `_from_kernel` the shapes: that is the
whole difference.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from .layouts import OWN_PREFIX, find_role, module_name, possible_roles

# GRN: the names of its two parameters, and their shape around the channels.
_GRN = {
    "convnextv2": ("gamma", "beta", (-1,)),
    "official": ("gamma", "beta", (1, 1, 1, -1)),
    "minkowski": ("gamma", "beta", (1, -1)),
    "timm": ("weight", "bias", (-1,)),
    "transformers": ("weight", "bias", (1, 1, 1, -1)),
    "mmpretrain": ("gamma", "beta", (-1,)),
}
_GRN_NAMES = _GRN["convnextv2"][:2]
_SPARSE = ("block.dwconv", "downsample.conv")  # convolutions of MinkowskiEngine
_POINTWISE = ("block.pwconv1", "block.pwconv2")
# Widths of the stem for which timm keeps the pointwise layers as 1x1 convolutions: Atto, Femto,
# Pico and Nano. Those of all others are linear layers.
_TIMM_CONVOLUTIONS = (40, 48, 64, 80)


class Conversion(NamedTuple):
    """What `convert_keys` made of a state dict."""

    tensors: dict[str, Tensor]
    unknown: list[str]
    """Keys that the source layout does not have, or the target layout has no place for."""
    reshaped: list[str]
    """Keys, in the target layout, of tensors whose shape changed."""


def convert_keys(state_dict: Mapping[str, Tensor], source: str, target: str) -> Conversion:
    """Rename and reshape a state dict from one layout into another.

    Args:
        state_dict: Tensors by name, of a whole model or of the network alone; not changed.
        source: Layout it is in, see `find_weights`.
        target: Layout wanted.
    """
    roles = possible_roles(source, state_dict)
    convolutions = target == "timm" and _stem_width(state_dict, source) in _TIMM_CONVOLUTIONS
    result = Conversion({}, [], [])
    for key, tensor in state_dict.items():
        module, _, parameter = key.rpartition(".")
        role, place = find_role(module, source, roles)
        standard = role and _to_standard(role, parameter, tensor, source)
        name = role and module_name(role, target, **place)
        if not role or not standard or not name:
            result.unknown.append(key)
            continue
        parameter, converted = _from_standard(role, *standard, target, convolutions)
        name = f"{name}.{parameter}"
        if name in result.tensors:  # two of the source for one place of the target
            result.unknown.append(key)
            continue
        result.tensors[name] = converted
        if converted.shape != tensor.shape:
            result.reshaped.append(name)
    return result


def _stem_width(state_dict: Mapping[str, Tensor], layout: str) -> int | None:
    name = f"{module_name('stem.conv', layout)}.weight"
    for key in (name, name.removeprefix(OWN_PREFIX.get(layout, ""))):
        if key in state_dict:
            return len(state_dict[key])
    return None


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
        return _GRN_NAMES[not is_weight], tensor.reshape(-1)
    if sparse:
        tensor = _from_kernel(tensor) if is_weight else tensor.reshape(-1)
    if role in _POINTWISE and tensor.shape[2:] == (1, 1):
        tensor = tensor.flatten(1)
    return ("weight", "bias")[not is_weight], tensor


def _from_standard(
    role: str, parameter: str, tensor: Tensor, layout: str, convolutions: bool
) -> tuple[str, Tensor]:
    """The inverse of `_to_standard`; pointwise layers as 1x1 `convolutions`, or linear."""
    if role == "block.grn":
        gamma, beta, shape = _GRN[layout]
        return (gamma if parameter == "gamma" else beta), tensor.reshape(shape)
    if layout == "minkowski" and role in _SPARSE:
        if parameter == "weight":
            return "kernel", _to_kernel(tensor, depthwise=role == "block.dwconv")
        return parameter, tensor.reshape(1, -1)
    if convolutions and role in _POINTWISE and parameter == "weight":
        tensor = tensor[..., None, None]
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
