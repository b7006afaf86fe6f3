"""Reading weight files without running code from them.

Taken as they are: the authors' files (fine-tuned or FCMAE only), timm, transformers, mmpretrain,
and our own: pre-training, detection and segmentation checkpoints and exports; ``.pth``, ``.pt``,
``.bin`` and ``.safetensors``; a path or an http(s) address.
"""

import argparse
import pickle
from pathlib import Path

import torch
from mmengine.dist import barrier, get_local_rank, is_distributed
from mmengine.logging import print_log
from mmengine.runner.checkpoint import get_torch_safe_globals
from torch import Tensor


def read_checkpoint(checkpoint: str) -> dict[str, Tensor]:
    """Read the tensors of a weight file by name.

    Args:
        checkpoint: Path or http(s) address; downloads are kept in torch's hub folder.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file holds objects other than tensors and plain data.
    """
    return _tensors(_read(checkpoint), checkpoint)


def read_content(checkpoint: str) -> object:
    """Read the whole content of a weight file: dicts of tensors and plain data.

    Args:
        checkpoint: Path or http(s) address; downloads are kept in torch's hub folder.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file holds objects other than tensors and plain data.
    """
    return _read(checkpoint)


def read_trained_model(checkpoint: str) -> tuple[dict[str, Tensor], dict]:
    """Read the tensors by name, and what the file says of the data set it was trained on.

    The second, such as ``classes`` and ``palette``, is empty in files of other origin.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file holds objects other than tensors and plain data.
    """
    content = _read(checkpoint)
    meta = content.get("meta") if isinstance(content, dict) else None
    return _tensors(content, checkpoint), dict((meta or {}).get("dataset_meta") or {})


def read_training_facts(checkpoint: str) -> dict[str, str]:
    """What a training checkpoint says of its run: epoch, iter, seed, time and versions, as text.

    Empty for files of other origin.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file holds objects other than tensors and plain data.
    """
    content = _read(checkpoint)
    meta = content.get("meta") if isinstance(content, dict) else None
    known = ("experiment_name", "epoch", "iter", "seed", "time", "mmengine_version")
    return {key: str(meta[key]) for key in known if key in (meta or {})}


def _tensors(content: object, checkpoint: str) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {}
    if isinstance(content, dict):
        tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise ValueError(f"{checkpoint} holds no tensors by name, so it is no weight file")
    return {key.removeprefix("module."): tensor for key, tensor in tensors.items()}


def _read(checkpoint: str) -> object:
    """A weight file's content: tensors and plain data only."""
    path = _local_file(checkpoint)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    # The authors' files keep their command line, an argparse.Namespace; training checkpoints
    # keep mmengine's log buffers. Nothing else is let through.
    allowed = [*get_torch_safe_globals(), argparse.Namespace]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{checkpoint} was refused: it is no weight file, or holds objects that would run "
            f"code when loaded. {error}"
        ) from error


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
