"""Loading weight files of any known layout into the backbone, completely or not at all."""

import logging
import re
from typing import NamedTuple

from mmengine.logging import print_log
from torch import Tensor, nn

from convnextv2.engine.weights import read_content

from .checkpoint_keys import convert_keys
from .find_weights import find_weights

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

    The output norms are not part of the pre-trained network: they are loaded where both the file
    (a detector's or segmenter's) and the backbone have them. The backbone's others keep their
    initial values, the file's others are left out.

    Args:
        backbone: Filled in place.
        checkpoint: Path or http(s) address.
        strict: Refuse a file that does not fill the whole network.
        prefix: Where in the file to look, such as ``state_dict_ema`` or ``teacher``. By default
            the backbone is found by itself, see `find_weights`.
        inflate: How the stem takes a file of another number of image channels, see
            `inflate_stem`.

    Returns:
        The line that was logged.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is none of ConvNeXt V2, holds several to choose from by `prefix`, or,
            if `strict`, fills only a part.
    """
    return fill_backbone(backbone, find_backbone(checkpoint, prefix), checkpoint, strict, inflate)


def fill_backbone(
    backbone: nn.Module,
    weights: "BackboneWeights",
    name: str,
    strict: bool = True,
    inflate: str = "mean",
) -> str:
    """`load_pretrained` with weights that were read already, from a file of this name."""
    tensors, reshaped, note = dict(weights.tensors), list(weights.reshaped), ""
    own = backbone.state_dict()
    stem, in_channels = tensors.get(STEM), own[STEM].shape[1]
    if stem is not None and stem.shape[1] != in_channels:
        tensors[STEM] = inflate_stem(stem, in_channels, inflate)
        reshaped.append(STEM)
        note = f"; stem from {stem.shape[1]} to {in_channels} channels by {inflate!r}"
    fitting = {k: v for k, v in tensors.items() if k in own and v.shape == own[k].shape}
    network = {key for key in own if not _is_output_norm(key)}
    matched = len(fitting.keys() & network)
    problems = _problems(tensors, own)
    counts = ", ".join(f"{len(names)} {what}" for what, names in problems.items())
    where = f" below {weights.prefix!r}" if weights.prefix else ""
    summary = (
        f"{name} ({weights.layout}{where}): {matched} of {len(network)} tensors matched, {counts}, "
        f"{len(reshaped)} reshaped, {weights.others} of other parts left out{note}"
        + _about_norms(tensors, own)
    )
    if strict and any(problems.values()):
        details = [f"\n  {what}: {_some(names)}" for what, names in problems.items() if names]
        raise ValueError(
            f"{summary}{''.join(details)}\nIs this the right arch? To read another part of the "
            "file, say prefix=... (--prefix of a command); to load what fits all the same, "
            "init_cfg=dict(type='Pretrained', checkpoint=..., strict=False)."
        )
    backbone.load_state_dict(fitting, strict=False)
    level = logging.INFO if matched == len(network) else logging.WARNING
    print_log(summary, logger="current", level=level)
    return summary


class BackboneWeights(NamedTuple):
    """The backbone's part of a weight file."""

    tensors: dict[str, Tensor]
    """In our names and shapes, with the output norms that the file has."""
    layout: str
    prefix: str
    """Where in the file they were found; empty if at the top."""
    reshaped: list[str]
    others: int
    """Number of tensors of heads, decoders and classifiers, left out."""


def find_backbone(checkpoint: str, prefix: str | None = None) -> BackboneWeights:
    """Pick the backbone out of a weight file of any layout, see `find_weights`.

    Args:
        checkpoint: Path or http(s) address.
        prefix: Where in the file to look; by default everywhere.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Nothing in it looks like ConvNeXt V2, nothing does below `prefix`, or more
            than one does.
    """
    found = find_weights(read_content(checkpoint), prefix, checkpoint)
    converted = convert_keys(found.tensors, found.layout, "convnextv2")
    tensors = {k: v for k, v in converted.tensors.items() if not k.startswith(("norm.", "head."))}
    if found.layout == "convnextv2":  # in which blocks of another kind have more, see variants.py
        own = (k for k in converted.unknown if k.startswith("stages."))
        tensors |= {k: found.tensors[k] for k in own}
    others = found.others + len(found.tensors) - len(tensors)
    return BackboneWeights(tensors, found.layout, found.prefix, converted.reshaped, others)


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


def _is_output_norm(name: str) -> bool:
    return re.match(r"norm\d\.", name) is not None


def _problems(tensors: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, list[str]]:
    """Names, by what is wrong with them; output norms that one side lacks are not."""
    both = tensors.keys() & own.keys()
    return {
        "missing": sorted(k for k in own.keys() - both if not _is_output_norm(k)),
        "unexpected": sorted(k for k in tensors.keys() - both if not _is_output_norm(k)),
        "of another shape": [
            f"{k} {tuple(tensors[k].shape)}, not {tuple(own[k].shape)}"
            for k in sorted(both)
            if tensors[k].shape != own[k].shape
        ],
    }


def _about_norms(tensors: dict[str, Tensor], own: dict[str, Tensor]) -> str:
    """What becomes of the output norms of a file that has some."""
    theirs = {key.split(".")[0] for key in tensors if _is_output_norm(key)}
    ours = {key.split(".")[0] for key in own if _is_output_norm(key)}
    parts = {
        "loaded": theirs & ours,
        "without a place left out": theirs - ours,
        "not in the file": ours - theirs if theirs else (),
    }
    lists = [f"{', '.join(sorted(names))} {what}" for what, names in parts.items() if names]
    return "; output norms: " + ", ".join(lists) if lists else ""


def _some(names: list[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
