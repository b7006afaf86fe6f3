"""Finding the ConvNeXt V2 in the content of a weight file, whatever it is wrapped in.

One rule: the weights lie at the prefix below which a known layout is complete. A prefix is the
path to them: the keys of nested dicts (``state_dict``, ``model_ema``), then what stands before
each name (``module.``, ``_orig_mod.``, ``student.backbone.``), joined by dots.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mmengine.logging import print_log
from torch import Tensor

from .checkpoint_keys import convert_keys
from .layouts import find_layouts, network_keys, whole_model

_DEEPEST = 8  # nested dicts; a file's dict may contain itself


class FoundWeights(NamedTuple):
    """A ConvNeXt V2 in a weight file."""

    prefix: str
    """Where it was found, without a dot at the end; empty if at the top."""
    layout: str
    tensors: dict[str, Tensor]
    """By the layout's names, whether it has a place for them or not."""
    missing: list[str]
    """Our names of the network's parameters that are not there."""
    others: int
    """Number of tensors beside them in the same dict: of heads and decoders."""


def find_weights(
    content: object, prefix: str | None = None, name: str = "the file"
) -> FoundWeights:
    """Find the one ConvNeXt V2 in a weight file's content.

    Args:
        content: Dict of tensors by name, at any depth of other dicts.
        prefix: Where to look: a path, the beginning of one, or parts out of its middle. By
            default everywhere, but of a checkpoint of mmengine's `EMAHook` the averaged weights,
            which it saves as ``state_dict``; a line in the log says so.
        name: What to call the file in errors.

    Returns:
        The complete one; if there is none, the only incomplete one.

    Raises:
        ValueError: There is none, or more than one to choose from.
    """
    everything = list(_candidates(content))
    if not everything:
        keys = [key for _, tensors in _dicts(content) for key in tensors]
        if not keys:
            raise ValueError(f"{name} holds no tensors by name, so it is no weight file")
        raise ValueError(
            f"{name} is not a ConvNeXt V2 checkpoint in a known layout; its keys begin: "
            + ", ".join(keys[:5])
        )
    if prefix is None:
        candidates = _averaged(everything, content, name)
    else:
        candidates = _below(everything, prefix.strip("."))
    if not candidates:
        raise ValueError(
            f"{name} has no ConvNeXt V2 weights below the prefix {prefix!r}, but below "
            + _choices(everything)
        )
    candidates = [found for found in candidates if not found.missing] or candidates
    if len(candidates) > 1:
        raise ValueError(
            f"{name} holds ConvNeXt V2 weights {len(candidates)} times, below "
            f"{_choices(candidates)}"
        )
    return candidates[0]


def _candidates(content: object) -> Iterator[FoundWeights]:
    for path, tensors in _dicts(content):
        for prefix, layout in find_layouts(tensors):
            keys = whole_model(tensors, prefix, layout)
            own = {name: tensors[key] for name, key in keys.items()}
            gamma = own.get("stages.0.0.grn.gamma")
            if layout == "convnextv2" and gamma is not None and gamma.ndim > 1:
                layout = "official"
            missing = _missing(convert_keys(own, layout, "convnextv2").tensors)
            where = ".".join(filter(None, (*path, prefix.rstrip("."))))
            yield FoundWeights(where, layout, own, missing, len(tensors) - len(own))


def _dicts(content: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple, dict]]:
    """(path, tensors by key) of each dict that has some, from the outside in."""
    if not isinstance(content, Mapping) or len(path) > _DEEPEST:
        return
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        yield path, tensors
    for key, value in content.items():
        yield from _dicts(value, (*path, str(key)))


def _missing(tensors: Mapping[str, Tensor]) -> list[str]:
    """What a network lacks whose last blocks are those that are there."""
    depths = [1, 1, 1, 1]
    for name in tensors:
        part, stage, block, *_ = (*name.split("."), "")
        if part == "stages":
            depths[int(stage)] = max(depths[int(stage)], int(block) + 1)
    return sorted(network_keys(depths) - tensors.keys())


def _below(candidates: list[FoundWeights], prefix: str) -> list[FoundWeights]:
    """Those at `prefix`; if none, those whose path begins with it; if none, has it inside."""
    at = [found for found in candidates if found.prefix == prefix]
    begin = [found for found in candidates if f"{found.prefix}.".startswith(f"{prefix}.")]
    return at or begin or [found for found in candidates if f".{prefix}." in f".{found.prefix}."]


def _choices(candidates: list[FoundWeights]) -> str:
    listed = ", ".join(
        repr(found.prefix) + (" (incomplete)" if found.missing else "") for found in candidates
    )
    first = candidates[0].prefix
    return (
        f"{listed}. Choose by prefix: init_cfg=dict(type='Pretrained', checkpoint=..., "
        f"prefix={first!r}), or --prefix {first or repr('')}"
    )


def _averaged(candidates: list[FoundWeights], content: object, name: str) -> list[FoundWeights]:
    """Without the weights of the last step, where mmengine's `EMAHook` saved both."""
    if not isinstance(content, Mapping) or not {"state_dict", "ema_state_dict"} <= content.keys():
        return candidates
    parts = [found.prefix.split(".")[0] for found in candidates]
    if not {"state_dict", "ema_state_dict"} <= set(parts):
        return candidates
    print_log(
        f"{name}: its moving average of the weights (EMA) is taken, 'state_dict'; those of the "
        "last step are below the prefix 'ema_state_dict'",
        logger="current",
    )
    pairs = zip(candidates, parts, strict=True)
    return [found for found, part in pairs if part != "ema_state_dict"]
