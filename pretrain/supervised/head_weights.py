"""Loading a classifier's norm and linear layer out of a weight file of any known layout."""

from mmengine.logging import print_log
from torch import nn

from convnextv2.backbone.checkpoint_keys import convert_keys
from convnextv2.backbone.find_weights import find_weights
from convnextv2.engine.weights import read_content


def load_head(norm: nn.LayerNorm, head: nn.Linear, checkpoint: str, prefix: str | None) -> None:
    """Fill both as far as the file has them, and log what became of them.

    A linear layer of another number of classes is left out. Of the same number it is loaded,
    whatever its classes mean.

    Args:
        norm: Behind the pooling.
        head: The linear layer.
        checkpoint: Path or http(s) address of a file that holds the backbone.
        prefix: Where in the file to look, see `find_weights`.
    """
    found = find_weights(read_content(checkpoint), prefix, checkpoint)
    tensors = convert_keys(found.tensors, found.layout, "convnextv2").tensors
    said = []
    for name, module in (("norm", norm), ("head", head)):
        parts = {key: tensors.get(f"{name}.{key}") for key in ("weight", "bias")}
        fits = all(
            value is not None and value.shape == getattr(module, key).shape
            for key, value in parts.items()
        )
        if fits:
            module.load_state_dict(parts)
            said.append(f"{name} loaded")
        elif parts["weight"] is None:
            said.append(f"{name} not in the file, begins anew")
        else:
            theirs, ours = len(parts["weight"]), len(module.weight)
            said.append(f"{name} of {theirs} left out, this one of {ours} begins anew")
    print_log(f"{checkpoint}, the classifier: {'; '.join(said)}", logger="current")
