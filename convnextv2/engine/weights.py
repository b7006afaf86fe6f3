"""Reading weight files without running code from them.

Taken as they are: the authors' files (fine-tuned or FCMAE only), timm, transformers, mmpretrain,
and our own: pre-training, detection and segmentation checkpoints and exports; torch's format and
safetensors; a path or an http(s) address.
"""

from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import Tensor, nn

from convnextv2.downloads import fetch_weights
from convnextv2.transfers import is_address
from convnextv2.weight_files import check_form

from .errors import InputError
from .plain_pickles import load_plain


def read_checkpoint(checkpoint: str) -> dict[str, Tensor]:
    """Read the tensors of a weight file by name.

    Args:
        checkpoint: Path or http(s) address; downloads are kept in torch's hub folder.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, or holds anything but tensors and plain data.
    """
    return _tensors(read_content(checkpoint), checkpoint)


def read_trained_model(checkpoint: str) -> tuple[dict[str, Tensor], dict]:
    """Read the tensors by name, and what the file says of the data set it was trained on.

    The second, such as ``classes`` and ``palette``, is empty in files of other origin.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, or holds anything but tensors and plain data.
    """
    content = read_content(checkpoint)
    meta = content.get("meta") if isinstance(content, dict) else None
    return _tensors(content, checkpoint), dict((meta or {}).get("dataset_meta") or {})


def fill_model(model: nn.Module, tensors: dict[str, Tensor], checkpoint: str, config: str) -> None:
    """Give a model all of its weights.

    Args:
        model: Of the config.
        tensors: By name.
        checkpoint: Where they are from, for the error.
        config: Path of the config, for the error.

    Raises:
        InputError: They do not fit, or not all are there.
    """
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reasons = "\n".join(shorten(line, 300) for line in str(error).splitlines())
        raise InputError(f"{checkpoint} does not fit {config}. {reasons}") from error


def read_training_facts(checkpoint: str) -> dict[str, str]:
    """What a training checkpoint says of its run: epoch, iter, seed, time and versions, as text.

    Empty for files of other origin.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, or holds anything but tensors and plain data.
    """
    content = read_content(checkpoint)
    meta = (content.get("meta") if isinstance(content, dict) else None) or {}
    known = ("experiment_name", "epoch", "iter", "seed", "time", "mmengine_version")
    return {key: str(meta[key]) for key in known if key in meta}


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


def read_content(checkpoint: str, map_location: str | torch.device = "cpu") -> Any:
    """Read all of a weight file: tensors and plain data.

    Args:
        checkpoint: Path or http(s) address.
        map_location: As of `torch.load`; ``meta`` makes tensors without values.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It was refused; the message names the file and the reason.
    """
    path = _local_file(checkpoint)
    try:
        read = load_plain if check_form(path) == "torch" else _load_safetensors
        return read(path, map_location)
    except ValueError as error:
        raise ValueError(f"{checkpoint} was refused: it {error}") from error


def read_for_mmengine() -> None:
    """Let mmengine's runners and ``init_cfg`` read every checkpoint by `read_content`.

    mmengine's own way allows `getattr`, and reads again without protection where that fails. The
    registry of its loaders is public; what it knows by name only is looked up there first.
    """
    CheckpointLoader.register_scheme(("", "http://", "https://"), _load_from_content, force=True)
    for scheme, find_addresses in _ADDRESS_TABLES.items():
        loader = _load_by_name(scheme, find_addresses)
        CheckpointLoader.register_scheme(scheme, loader, force=True)
    unprotected = ("pavi://", r"(\S+\:)?s3://", r"(\S+\:)?petrel://")
    CheckpointLoader.register_scheme(unprotected, _load_from_nowhere, force=True)


def _load_from_content(filename: str, map_location: str | torch.device | None = None) -> Any:
    content = read_content(filename, "cpu" if map_location is None else map_location)
    if isinstance(content, dict) and isinstance(content.get("meta"), dict):
        # mmengine would execute this entry, which only its oldest releases wrote.
        content["meta"].pop("config", None)
    return content


def _load_from_nowhere(filename: str, map_location: object = None) -> object:
    scheme = filename.split("://")[0]
    raise ValueError(f"{filename}: files of {scheme}:// are not read; copy it, and give the path")


def _load_by_name(scheme: str, find_addresses: Callable[[], dict[str, str]]) -> Callable:
    def _load_from_zoo(filename: str, map_location: str | torch.device | None = None) -> object:
        name, addresses = filename.removeprefix(scheme), find_addresses()
        if name not in addresses:
            raise ValueError(f"{filename}: {scheme} has no weights of that name")
        content = _load_from_content(addresses[name], map_location)
        return content if scheme != "mmcls://" else _backbone_of(content)

    return _load_from_zoo


def _backbone_of(content: dict) -> dict:
    """mmcls' classifiers as detectors take them: their backbone, without its prefix."""
    tensors = content.get("state_dict", content)
    prefix = "backbone."
    below = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return {"state_dict": below}


_ADDRESS_TABLES = {
    "torchvision://": mmengine_checkpoint.get_torchvision_models,
    "modelzoo://": mmengine_checkpoint.get_torchvision_models,
    "open-mmlab://": mmengine_checkpoint.get_external_models,
    "openmmlab://": mmengine_checkpoint.get_external_models,
    "mmcls://": mmengine_checkpoint.get_mmcls_models,
}


def _load_safetensors(path: Path, map_location: str | torch.device) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=str(torch.device(map_location)))
    except SafetensorError as error:
        raise ValueError(f"is damaged: {error}") from error


def _local_file(checkpoint: str) -> Path:
    if is_address(checkpoint):
        return fetch_weights(checkpoint)
    path = Path(checkpoint).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path.absolute()}")
    return path
