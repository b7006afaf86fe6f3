"""The names of ConvNeXt V2's parameters in the layouts in which its weights exist.

| layout       | whose                                                                     |
|--------------|---------------------------------------------------------------------------|
| convnextv2   | ours: the released names, GRN 1-D                                         |
| official     | the released files, fine-tuned or FCMAE only                              |
| minkowski    | the authors' pre-training: convolutions as MinkowskiEngine keeps them     |
| timm, transformers, mmpretrain | those libraries                                         |

`checkpoint_keys` converts between them.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

LAYOUTS = ("convnextv2", "official", "minkowski", "timm", "transformers", "mmpretrain")

# role: module's name in the order of LAYOUTS; {i} is the stage, {n} the stage counted from 1,
# {j} the block. Parts of the network that a layout does not have are None.
_MODULES = {
    "stem.conv": (
        "downsample_layers.0.0",
        "downsample_layers.0.0",
        "downsample_layers.0.0",
        "stem.0",
        "embeddings.patch_embeddings",
        "downsample_layers.0.0",
    ),
    "stem.norm": (
        "downsample_layers.0.1",
        "downsample_layers.0.1",
        "downsample_layers.0.1",
        "stem.1",
        "embeddings.layernorm",
        "downsample_layers.0.1",
    ),
    "downsample.norm": (
        "downsample_layers.{i}.0",
        "downsample_layers.{i}.0",
        "downsample_layers.{i}.0.ln",
        "stages.{i}.downsample.0",
        "encoder.stages.{i}.downsampling_layer.0",
        "downsample_layers.{i}.0",
    ),
    "downsample.conv": (
        "downsample_layers.{i}.1",
        "downsample_layers.{i}.1",
        "downsample_layers.{i}.1",
        "stages.{i}.downsample.1",
        "encoder.stages.{i}.downsampling_layer.1",
        "downsample_layers.{i}.1",
    ),
    "block.dwconv": (
        "stages.{i}.{j}.dwconv",
        "stages.{i}.{j}.dwconv",
        "stages.{i}.{j}.dwconv",
        "stages.{i}.blocks.{j}.conv_dw",
        "encoder.stages.{i}.layers.{j}.dwconv",
        "stages.{i}.{j}.depthwise_conv",
    ),
    "block.norm": (
        "stages.{i}.{j}.norm",
        "stages.{i}.{j}.norm",
        "stages.{i}.{j}.norm.ln",
        "stages.{i}.blocks.{j}.norm",
        "encoder.stages.{i}.layers.{j}.layernorm",
        "stages.{i}.{j}.norm",
    ),
    "block.pwconv1": (
        "stages.{i}.{j}.pwconv1",
        "stages.{i}.{j}.pwconv1",
        "stages.{i}.{j}.pwconv1.linear",
        "stages.{i}.blocks.{j}.mlp.fc1",
        "encoder.stages.{i}.layers.{j}.pwconv1",
        "stages.{i}.{j}.pointwise_conv1",
    ),
    "block.grn": (
        "stages.{i}.{j}.grn",
        "stages.{i}.{j}.grn",
        "stages.{i}.{j}.grn",
        "stages.{i}.blocks.{j}.mlp.grn",
        "encoder.stages.{i}.layers.{j}.grn",
        "stages.{i}.{j}.grn",
    ),
    "block.pwconv2": (
        "stages.{i}.{j}.pwconv2",
        "stages.{i}.{j}.pwconv2",
        "stages.{i}.{j}.pwconv2.linear",
        "stages.{i}.blocks.{j}.mlp.fc2",
        "encoder.stages.{i}.layers.{j}.pwconv2",
        "stages.{i}.{j}.pointwise_conv2",
    ),
    # The classifier: one norm after pooling, one linear layer.
    "norm": ("norm", "norm", None, "head.norm", "layernorm", "norm3"),
    # One norm behind each stage, of networks for dense prediction.
    "output.norm": ("norm{i}", None, None, None, "hidden_states_norms.stage{n}", "norm{i}"),
    "head": ("head", "head", None, "head.fc", "classifier", "head.fc"),
}
# What stands before every name but the classifier's in a whole model's file. Files of the network
# alone leave it out.
OWN_PREFIX = {"minkowski": "encoder.", "transformers": "convnextv2.", "mmpretrain": "backbone."}


def find_layouts(keys: Iterable[str]) -> list[tuple[str, str]]:
    """Where in a list of keys there are depthwise convolutions of a layout, complete or not.

    Returns:
        (prefix, layout) in order of appearance. The prefix ends with a dot, or is empty.
        ``convnextv2`` stands for ``official`` too: they differ in nothing but GRN's shape.
    """
    found: dict[tuple[str, str], None] = {}
    for key in keys:
        for layout in LAYOUTS:
            match = _anchor(layout).fullmatch(key) if layout != "official" else None
            if match:
                found[match["prefix"] or "", layout] = None
    return list(found)


def whole_model(keys: Iterable[str], prefix: str, layout: str) -> dict[str, str]:
    """The keys below a prefix that `find_layouts` found, and the classifier's beside them.

    Returns:
        name in the layout -> key.
    """
    own, heads = OWN_PREFIX.get(layout, ""), [module_name("head", layout)]
    inside = own
    if layout == "convnextv2" and f".{prefix}".endswith(".backbone."):  # a `Classifier`'s
        own, heads = "backbone.", ["norm", "head"]
    elif not f".{prefix}".endswith(f".{own}"):  # the network alone
        own, heads, inside = "", [], ""
    outer = prefix.removesuffix(own)
    beside = {outer + head for head in heads if head}
    names = {key.removeprefix(outer): key for key in keys if key.rpartition(".")[0] in beside}
    return names | {
        inside + key.removeprefix(prefix): key for key in keys if key.startswith(prefix)
    }


def network_keys(depths: Sequence[int]) -> set[str]:
    """Our names of every parameter from the stem to the last block, without norms behind them.

    Args:
        depths: Blocks of the four stages.
    """
    modules = {f"downsample_layers.{i}.{part}" for i in range(4) for part in range(2)}
    layers = ("dwconv", "norm", "pwconv1", "pwconv2")
    blocks = [f"stages.{i}.{j}" for i, depth in enumerate(depths) for j in range(depth)]
    modules |= {f"{block}.{layer}" for block in blocks for layer in layers}
    names = {f"{module}.{parameter}" for module in modules for parameter in ("weight", "bias")}
    return names | {
        f"{block}.grn.{parameter}" for block in blocks for parameter in ("gamma", "beta")
    }


def module_name(role: str, layout: str, i: int = 0, j: int = 0) -> str | None:
    """A module's full name in a layout; None if the layout does not have it."""
    template = _MODULES[role][LAYOUTS.index(layout)]
    if template is None:
        return None
    prefix = "" if role == "head" else OWN_PREFIX.get(layout, "")
    return prefix + template.format(i=i, n=i + 1, j=j)


def possible_roles(layout: str, keys: Iterable[str]) -> list[str]:
    """The roles that a layout's names can have among these keys of one file."""
    roles = [role for role, names in _MODULES.items() if names[LAYOUTS.index(layout)]]
    if layout == "mmpretrain":
        # norm3 is a classifier's unless other stages have norms too.
        dense = any(re.fullmatch(r"(backbone\.)?norm[0-2]\.weight", key) for key in keys)
        roles.remove("norm" if dense else "output.norm")
    return roles


def find_role(module: str, layout: str, roles: Sequence[str]) -> tuple[str | None, dict]:
    """The role of a layout's module, and which stage `i` and block `j` it is of."""
    for role in roles:
        match = _pattern(role, layout).fullmatch(module)
        if match:
            place = {letter: int(index) for letter, index in match.groupdict().items()}
            if "n" in place:
                place["i"] = place.pop("n") - 1
            return role, place
    return None, {}


@lru_cache
def _pattern(role: str, layout: str) -> re.Pattern:
    prefix = "" if role == "head" else re.escape(OWN_PREFIX.get(layout, ""))
    return re.compile(f"(?:{prefix})?{_name_pattern(role, layout)}")


@lru_cache
def _anchor(layout: str) -> re.Pattern:
    parameter = "kernel" if layout == "minkowski" else "weight"
    name = _name_pattern("block.dwconv", layout)
    return re.compile(rf"(?P<prefix>.+\.)?{name}\.{parameter}")


def _name_pattern(role: str, layout: str) -> str:
    escaped = re.escape(_MODULES[role][LAYOUTS.index(layout)] or "")
    for letter, index in {"i": "[0-3]", "n": "[1-4]", "j": r"\d+"}.items():
        escaped = escaped.replace(rf"\{{{letter}\}}", f"(?P<{letter}>{index})")
    return escaped
