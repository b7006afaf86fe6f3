"""Reading weight files safely and loading them into the backbone, completely or not at all.

Taken as they are: the authors' files (fine-tuned or FCMAE only), timm, transformers, mmpretrain,
and our own: pre-training, detection and segmentation checkpoints and exports; ``.pth``, ``.pt``,
``.bin`` and ``.safetensors``; a path or an http(s) address.
"""

import argparse
import logging
import pickle
from pathlib import Path

import torch
from mmengine.dist import barrier, get_local_rank, is_distributed
from mmengine.logging import print_log
from mmengine.runner.checkpoint import get_torch_safe_globals
from torch import Tensor, nn

from .checkpoint_keys import convert_keys, detect_layout


def load_pretrained(
    backbone: nn.Module, checkpoint: str, strict: bool = True, prefix: str | None = None
) -> None:
    """Load a weight file in any known layout into a `ConvNeXtV2`, and log one line about it.

    The output norms are not part of the pre-trained network: they are loaded where the file has
    them (a detector's or segmenter's checkpoint) and otherwise keep their initial values.

    Args:
        backbone: Filled in place.
        checkpoint: Path or http(s) address.
        strict: Refuse a file that does not fill the whole network.
        prefix: Read only the keys below this prefix. By default the backbone is found by itself.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is none of ConvNeXt V2, or, if `strict`, fills only a part.
    """
    weights = backbone_weights(read_checkpoint(checkpoint), prefix)
    own = backbone.state_dict()
    wanted = {name for name in own if name.split(".")[0] in ("downsample_layers", "stages")}
    fitting = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    missing = sorted(wanted - weights.keys())
    unexpected = sorted(weights.keys() - own.keys())
    misshapen = [
        f"{k}: file {tuple(v.shape)}, model {tuple(own[k].shape)}"
        for k, v in weights.items()
        if k in own and k not in fitting
    ]
    matched = len(fitting.keys() & wanted)
    summary = (
        f"{checkpoint}: {matched} of {len(wanted)} tensors of the backbone matched, "
        f"{len(missing)} missing, {len(unexpected)} unexpected, {len(misshapen)} of another shape"
    )
    if strict and (matched < len(wanted) or misshapen or unexpected):
        lists = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
        details = "".join(f"\n  {what}: {_some(names)}" for what, names in lists.items() if names)
        raise ValueError(
            f"{summary}{details}\nIs this the right arch? To load what fits all the same, say "
            "init_cfg=dict(type='Pretrained', checkpoint=..., strict=False)."
        )
    backbone.load_state_dict(fitting, strict=False)
    level = logging.INFO if matched == len(wanted) else logging.WARNING
    print_log(summary, logger="current", level=level)


def backbone_weights(state_dict: dict[str, Tensor], prefix: str | None = None) -> dict[str, Tensor]:
    """Pick the backbone out of a state dict of any layout, in our names.

    Heads, decoders and the classifier's norm are left out; output norms of our own dense models
    (``norm0`` ... ``norm3``) are kept.

    Raises:
        ValueError: Nothing in it looks like ConvNeXt V2, or nothing is below `prefix`.
    """
    if prefix is None and "backbone.stages.0.0.dwconv.weight" in state_dict:
        prefix = "backbone."
    if prefix is not None:
        prefix = prefix.rstrip(".") + "."
        state_dict = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
        if not state_dict:
            raise ValueError(f"the checkpoint has no key that begins with {prefix!r}")
    weights, _ = convert_keys(state_dict, detect_layout(state_dict), "convnextv2")
    weights = {k: v for k, v in weights.items() if not k.startswith(("norm.", "head."))}
    if prefix is not None:
        weights |= {k: v for k, v in state_dict.items() if k[:4] == "norm" and k[4:5].isdigit()}
    return weights


def read_checkpoint(checkpoint: str) -> dict[str, Tensor]:
    """Read the tensors of a weight file by name, without running code from it.

    Args:
        checkpoint: Path or http(s) address; downloads are kept in torch's hub folder.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file holds objects other than tensors and plain data.
    """
    path = _local_file(checkpoint)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    # The authors' files keep their command line, an argparse.Namespace; training checkpoints
    # keep mmengine's log buffers. Nothing else is let through.
    allowed = [*get_torch_safe_globals(), argparse.Namespace]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{checkpoint} was refused: it is no weight file, or holds objects that would run "
            f"code when loaded. {error}"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {}
    if isinstance(content, dict):
        tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise ValueError(f"{checkpoint} holds no tensors by name, so it is no weight file")
    return {key.removeprefix("module."): tensor for key, tensor in tensors.items()}


def _local_file(checkpoint: str) -> Path:
    if not checkpoint.startswith(("http://", "https://")):
        path = Path(checkpoint).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint at {path.absolute()}")
        return path
    path = Path(torch.hub.get_dir(), "checkpoints", checkpoint.rsplit("/", 1)[-1])
    if get_local_rank() == 0 and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        print_log(f"downloading {checkpoint} to {path}", logger="current")
        torch.hub.download_url_to_file(checkpoint, str(path))
    if is_distributed():
        barrier()
    return path


def _some(names: list[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
