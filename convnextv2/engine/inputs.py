"""Whether what a run reads is there, asked before long work; weights given by address are fetched.

Nothing heavy is imported at the top, so that `--help` of the commands answers at once.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.types import list_metrics, walk_datasets

if TYPE_CHECKING:
    from mmengine.config import Config


def check_inputs(cfg: "Config", loaders: tuple[str, ...]) -> None:
    """Stop, naming them all, if files or folders that the run will need are not there.

    Args:
        cfg: The whole config.
        loaders: Names of the data loaders that will be used, such as ``train_dataloader``.

    Raises:
        SystemExit: Something is missing.
    """
    missing = [line for loader in loaders for line in _missing_data(cfg, loader)]
    missing += _missing_weights(cfg, "train_dataloader" in loaders)
    if missing:
        raise SystemExit(
            "These do not exist:\n" + "\n".join(missing) + "\n"
            "Correct the config, or set them on the command line: --cfg-options SETTING=PATH "
            "(of a template: data_root, train, val, weights)."
        )


def _missing_data(cfg: "Config", loader: str) -> Iterator[str]:
    """A line for each file or folder that a loader and its evaluator lack."""
    if not cfg.get(loader):
        return
    for setting, entry in walk_datasets(cfg[loader]["dataset"], f"{loader}.dataset"):
        root = entry.get("data_root") or ""
        yield from _missing(root, f"{setting}.data_root")
        if root and not Path(root).exists():
            continue
        if entry.get("ann_file"):
            yield from _missing_file(os.path.join(root, entry["ann_file"]), f"{setting}.ann_file")
        for key, folder in (entry.get("data_prefix") or {}).items():
            if folder:
                yield from _missing(os.path.join(root, folder), f"{setting}.data_prefix.{key}")
    name = loader.replace("dataloader", "evaluator")
    for evaluator in list_metrics(cfg.get(name)):
        yield from _missing_file(evaluator.get("ann_file"), f"{name}.ann_file")


def _missing_weights(cfg: "Config", trains: bool) -> Iterator[str]:
    """A line for each file that the model lacks; initial weights are for a training alone."""
    model = cfg.get("model", {})
    init_cfg = model.get("backbone", {}).get("init_cfg") or {}
    if isinstance(init_cfg, dict) and trains:
        setting = "model.backbone.init_cfg.checkpoint"
        yield from _missing_file(init_cfg.get("checkpoint"), setting)
    statistics = (model.get("data_preprocessor") or {}).get("statistics")
    setting = "model.data_preprocessor.statistics, from "
    setting += "tools/dataset_converters/compute_statistics.py CONFIG"
    yield from _missing_file(statistics, setting)
    setting = "load_from, or the checkpoint on the command line"
    yield from _missing_file(cfg.get("load_from"), setting)


def _missing(path: str | None, setting: str) -> Iterator[str]:
    if path and "://" not in path and not Path(path).expanduser().exists():
        yield f"  {path}   ({setting})"


def _missing_file(path: str | None, setting: str) -> Iterator[str]:
    yield from _missing(path, setting)
    if path and Path(path).expanduser().is_dir():
        yield f"  {path}   is a folder, not a file   ({setting})"
    elif path and Path(path).is_file() and not Path(path).stat().st_size:
        yield f"  {path}   is empty   ({setting})"


def fetch_checkpoints(cfg: "Config") -> None:
    """Download checkpoints that are given by address, and let ``load_from`` name the copy.

    To call in every process before the runner is made: it would load addresses in mmengine's own
    way, and a long download would meet the time limit of the process group.

    Raises:
        OSError: The server does not give the file.
        ValueError: It is no weight file, or not the right one.
    """
    from convnextv2.downloads import fetch_weights
    from convnextv2.transfers import is_address

    init_cfg = cfg.get("model", {}).get("backbone", {}).get("init_cfg")
    if isinstance(init_cfg, dict) and is_address(str(init_cfg.get("checkpoint"))):
        option = (
            "--cfg-options model.backbone.init_cfg.checkpoint=PATH, or a template's weights=PATH"
        )
        fetch_weights(init_cfg["checkpoint"], option)
    if is_address(str(cfg.get("load_from"))):
        option = "load_from=PATH, or the checkpoint on the command line"
        cfg.load_from = str(fetch_weights(cfg.load_from, option))
