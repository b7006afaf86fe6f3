"""Loading weight files of any known layout into the backbone, completely or not at all."""

import logging
from typing import NamedTuple

from mmengine.logging import print_log
from torch import Tensor, nn

from convnextv2.engine.weights import read_checkpoint

from .checkpoint_keys import convert_keys, detect_layout

STEM = "downsample_layers.0.0.weight"
INFLATIONS = ("mean", "repeat", "zero")


def load_pretrained(
    backbone: nn.Module,
    checkpoint: str,
    strict: bool = True,
    prefix: str | None = None,
    inflate: str = "mean",
) -> str:
    """Load a weight file in any known layout into a `ConvNeXtV2`, and log one line about it.

    The output norms are not part of the pre-trained network: they are loaded where the file has
    them (a detector's or segmenter's checkpoint) and otherwise keep their initial values.

    Args:
        backbone: Filled in place.
        checkpoint: Path or http(s) address.
        strict: Refuse a file that does not fill the whole network.
        prefix: Read only the keys below this prefix. By default the backbone is found by itself.
        inflate: How the stem takes a file of another number of image channels, see
            `inflate_stem`.

    Returns:
        The line that was logged.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is none of ConvNeXt V2, or, if `strict`, fills only a part.
    """
    weights = find_backbone(read_checkpoint(checkpoint), prefix)
    tensors, reshaped = weights.tensors, list(weights.reshaped)
    own = backbone.state_dict()
    note = ""
    stem = tensors.get(STEM)
    if stem is not None and stem.shape[1] != backbone.in_channels:
        tensors[STEM] = inflate_stem(stem, backbone.in_channels, inflate)
        reshaped.append(STEM)
        note = f"; stem from {stem.shape[1]} to {backbone.in_channels} channels by {inflate!r}"

    network = {name for name in own if name.split(".")[0] in ("downsample_layers", "stages")}
    fitting = {k: v for k, v in tensors.items() if k in own and v.shape == own[k].shape}
    matched = len(fitting.keys() & network)
    lists = {
        "missing": sorted(network - tensors.keys()),
        "unexpected": sorted(tensors.keys() - own.keys()),
        "of another shape": [
            f"{k} {tuple(tensors[k].shape)}, not {tuple(own[k].shape)}"
            for k in sorted(tensors.keys() & own.keys() - fitting.keys())
        ],
    }
    counts = ", ".join(f"{len(names)} {what}" for what, names in lists.items())
    summary = (
        f"{checkpoint} ({weights.layout}): {matched} of {len(network)} tensors matched, {counts}, "
        f"{len(reshaped)} reshaped, {weights.others} of other parts left out{note}"
    )
    if strict and any(lists.values()):
        details = "".join(f"\n  {what}: {_some(names)}" for what, names in lists.items() if names)
        raise ValueError(
            f"{summary}{details}\nIs this the right arch? To load what fits all the same, say "
            "init_cfg=dict(type='Pretrained', checkpoint=..., strict=False)."
        )
    backbone.load_state_dict(fitting, strict=False)
    level = logging.INFO if matched == len(network) else logging.WARNING
    print_log(summary, logger="current", level=level)
    return summary


class BackboneWeights(NamedTuple):
    """The backbone's part of a weight file."""

    tensors: dict[str, Tensor]
    """In our names and shapes."""
    layout: str
    reshaped: list[str]
    others: int
    """Number of tensors of heads, decoders and classifiers, left out."""


def find_backbone(state_dict: dict[str, Tensor], prefix: str | None = None) -> BackboneWeights:
    """Pick the backbone out of a state dict of any layout.

    Output norms of our own dense models (``norm0`` ... ``norm3``) are kept.

    Raises:
        ValueError: Nothing in it looks like ConvNeXt V2, or nothing is below `prefix`.
    """
    total = len(state_dict)
    state_dict = backbone_keys(state_dict, prefix)
    layout = detect_layout(state_dict)
    converted = convert_keys(state_dict, layout, "convnextv2")
    tensors = {k: v for k, v in converted.tensors.items() if not k.startswith(("norm.", "head."))}
    if layout == "convnextv2":
        tensors |= {k: v for k, v in state_dict.items() if k[:4] == "norm" and k[4:5].isdigit()}
    return BackboneWeights(tensors, layout, converted.reshaped, total - len(tensors))


def backbone_keys(state_dict: dict[str, Tensor], prefix: str | None = None) -> dict[str, Tensor]:
    """What is below `prefix`, without it; by default below ``backbone.`` if our network is there.

    Raises:
        ValueError: Nothing is below `prefix`.
    """
    if prefix is None and "backbone.stages.0.0.dwconv.weight" in state_dict:
        prefix = "backbone."
    if prefix is None:
        return state_dict
    prefix = prefix.rstrip(".") + "."
    below = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
    if not below:
        raise ValueError(f"the checkpoint has no key that begins with {prefix!r}")
    return below


def inflate_stem(weight: Tensor, in_channels: int, how: str) -> Tensor:
    """A stem's weight for another number of image channels.

    Args:
        weight: (C, channels of the file, 4, 4).
        in_channels: Wanted.
        how: ``mean``: every channel gets the mean over the file's. ``repeat``: the file's
            channels in turn. Both are scaled by their number, so that the output keeps its
            size. ``zero``: the file's channels, then zeros.

    Raises:
        ValueError: An unknown way.
    """
    given = weight.shape[1]
    if how == "mean":
        return weight.mean(1, keepdim=True).repeat(1, in_channels, 1, 1) * (given / in_channels)
    if how == "repeat":
        return weight[:, [i % given for i in range(in_channels)]] * (given / in_channels)
    if how == "zero":
        inflated = weight.new_zeros(len(weight), in_channels, *weight.shape[2:])
        inflated[:, :given] = weight[:, :in_channels]
        return inflated
    raise ValueError(f"inflate must be one of {', '.join(INFLATIONS)}, got {how!r}")


def _some(names: list[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
