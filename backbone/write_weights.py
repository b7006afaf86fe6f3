"""Weight files as people with a layout expect them."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from convnextv2.files import written_whole

# The key below which a layout's .pth files keep their tensors; the others have them at the top.
WRAPPERS = {"official": "model", "minkowski": "model", "mmpretrain": "state_dict"}


def write_weights(tensors: dict[str, Tensor], target: Path, layout: str, **metadata: str) -> None:
    """Write tensors, completely or not at all.

    Args:
        tensors: By name.
        target: Ends in .safetensors, or in anything else for torch's format.
        layout: Whose people.
        metadata: Kept in the head of a .safetensors file.
    """
    with written_whole(target) as partial:
        if target.suffix == ".safetensors":
            own_memory = {k: v.clone().contiguous() for k, v in tensors.items()}
            save_file(own_memory, partial, metadata={"format": "pt", **metadata})
        else:
            wrapper = WRAPPERS.get(layout)
            torch.save({wrapper: tensors} if wrapper else tensors, partial)
