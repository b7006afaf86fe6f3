"""How fast images come: decoded and augmented images per second and core, stage by stage."""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_cfg_options, whole

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.dataset import BaseDataset

    from convnextv2.tools.analysis_tools.benchmarks.loader_stages import Rate


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `benchmark.py loader`."""
    config = "configs/pretrain/fcmae_convnextv2_custom.py"
    command.add_argument("config", nargs="?", default=config, help=f"default: {config}")
    command.add_argument(
        "--generate",
        type=whole(1),
        metavar="N",
        help="measure on so many generated JPEG files in place of the config's data set: 500 x 375 "
        "and about 115 kB each, for detection 640 x 480 and 155 kB with seven objects, for "
        "segmentation 640 x 480 and 50 kB with label masks",
    )
    command.add_argument("--images", type=whole(1), default=400, help="read so many in each round")
    command.add_argument(
        "--workers", nargs="+", type=whole(0), default=[0, 1, 2], help="of DataLoader"
    )
    command.add_argument("--repeats", type=whole(1), default=5, help="rounds; the median counts")
    add_cfg_options(command)
    command.add_argument("--json", metavar="FILE", help="also write the figures there")


def run(args: argparse.Namespace, machine: str) -> None:
    """Measure and show."""
    import cv2
    import torch
    from mmengine.registry import FUNCTIONS, init_default_scope

    from convnextv2.engine.config import read_config
    from convnextv2.engine.settings import need_entries
    from convnextv2.tools.analysis_tools.benchmarks.loader_references import find_reference
    from convnextv2.tools.analysis_tools.benchmarks.loader_stages import make_stages, measure

    # One core for each process, as DataLoader's workers have it.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "train_dataloader")
    init_default_scope(cfg.get("default_scope") or "mmengine")
    with tempfile.TemporaryDirectory() as folder:
        dataset = _build(cfg, args.generate, Path(folder))
        reference = find_reference(dataset)
        collate = cfg.train_dataloader.get("collate_fn") or {"type": "pseudo_collate"}
        make_batch = FUNCTIONS.get(collate["type"])
        stages = make_stages(dataset, reference, args.images, args.workers, make_batch)
        rates = measure(stages, args.images, args.repeats)
        infos = [dataset.get_data_info(i) for i in range(min(100, len(dataset)))]
        sizes = [i["size"] if "size" in i else os.path.getsize(i["img_path"]) for i in infos]
        kilobytes = statistics.mean(sizes) / 1e3
    title = f"loader, {len(dataset)} images of {kilobytes:.0f} kB, {machine}"
    _show(title, rates, reference.name)
    if args.json:
        content = {
            "title": title,
            "images_per_s": {name: rate.images_per_s for name, rate in rates.items()},
            "cpu_ms": {name: rate.cpu_ms for name, rate in rates.items()},
        }
        Path(args.json).write_text(json.dumps(content, indent=2))


def _build(cfg: "Config", generated: int | None, folder: Path) -> "BaseDataset":
    """The first data set of a config's training, or one of the same kind of generated files."""
    from mmengine.registry import DATASETS

    from convnextv2.engine.types import walk_datasets
    from convnextv2.tools.analysis_tools.benchmarks.loader_files import generate

    _, entry = next(walk_datasets(cfg.train_dataloader.dataset))
    if generated:
        entry = generate(entry, folder, generated)
    try:
        return DATASETS.build(entry)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"{error}\nor measure on generated files: --generate 400") from error


def _show(title: str, rates: dict[str, "Rate"], reference: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", title=title)
    for name in ("images/s", "CPU ms / image"):
        table.add_column(name, justify="right")
    slowest = rates[reference].images_per_s
    for name, rate in rates.items():
        cpu = "" if rate.cpu_ms is None else f"{rate.cpu_ms:.2f}"
        times = rate.images_per_s / slowest
        table.add_row(name, f"{rate.images_per_s:.0f} ({times:.2f}x)", cpu)
    console = Console()
    console.print(table)
    console.print(f"In brackets: as a multiple of {reference!r}.", highlight=False)
