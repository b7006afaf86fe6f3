"""How fast images come: decoded and augmented images per second and core, stage by stage."""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_cfg_options, whole

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

    from convnextv2.pretrain.data.transforms import RandomResizedCrop

REFERENCE = "OpenCV alone"  # decoding, cropping and resizing in a bare loop
BATCH = 50


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `benchmark.py loader`."""
    config = "configs/pretrain/fcmae_convnextv2_custom.py"
    command.add_argument("config", nargs="?", default=config, help=f"default: {config}")
    command.add_argument(
        "--generate",
        type=whole(1),
        metavar="N",
        help="measure on so many generated JPEG files, 500 x 375 and about 115 kB each, in place "
        "of the config's data set",
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
    from mmengine.registry import DATASETS, FUNCTIONS, init_default_scope
    from rich.console import Console
    from rich.table import Table

    from convnextv2.engine.config import read_config
    from convnextv2.engine.settings import need_entries
    from convnextv2.engine.types import find_class, is_a

    # One core for each process, as DataLoader's workers have it.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "train_dataloader")
    entry = cfg.train_dataloader.dataset
    init_default_scope("mmengine")
    with tempfile.TemporaryDirectory() as folder:
        if args.generate:
            generate(Path(folder), args.generate)
            labelled = "convnextv2.pretrain.supervised.folder.LabelledImages"
            kind = "LabelledImages" if is_a(find_class(entry, DATASETS), labelled) else None
            kind = f"convnextv2.{kind or 'UnlabelledImages'}"
            entry = {"type": kind, "data_root": folder, "pipeline": entry.pipeline}
        try:
            dataset = DATASETS.build(entry)
        except (FileNotFoundError, ValueError) as error:
            raise SystemExit(f"{error}\nor measure on generated files: --generate 400") from error
        collate = cfg.train_dataloader.get("collate_fn") or {"type": "pseudo_collate"}
        rates = measure(
            dataset, args.images, args.workers, args.repeats, FUNCTIONS.get(collate["type"])
        )
        infos = [dataset.get_data_info(i) for i in range(min(100, len(dataset)))]
        sizes = [i["size"] if "size" in i else os.path.getsize(i["img_path"]) for i in infos]
        kilobytes = statistics.mean(sizes) / 1e3
    title = f"loader, {len(dataset)} images of {kilobytes:.0f} kB, {machine}"
    table = Table("stage", title=title)
    table.add_column("images/s", justify="right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:.0f} ({rate / rates[REFERENCE]:.2f}x)")
    console = Console()
    console.print(table)
    console.print(f"In brackets: as a multiple of {REFERENCE!r}.", highlight=False)
    if args.json:
        Path(args.json).write_text(json.dumps({"title": title, "images_per_s": rates}, indent=2))


def measure(
    dataset: "BaseDataset",
    images: int,
    workers: list[int],
    repeats: int,
    make_batch: Callable[[list], object],
) -> dict[str, float]:
    """Images per second of each stage, the median of rounds in which they take turns.

    Args:
        dataset: Of single images, with labels or without.
        images: Read in each round.
        workers: Numbers of `DataLoader`'s processes.
        repeats: Rounds.
        make_batch: Of samples, as the config collates them.

    Raises:
        SystemExit: The pipeline is none of pre-training or classification, or no image can be
            read.
    """
    from torch.utils.data import DataLoader

    from convnextv2.engine.seeded_dataset import SeededDataset
    from convnextv2.engine.seeding import SeededIndex

    transforms = {type(t).__name__: t for t in dataset.pipeline.transforms}
    if not {"LoadImage", "RandomResizedCrop"} <= transforms.keys():
        raise SystemExit(
            "only pipelines of pre-training and classification, with LoadImage and "
            "RandomResizedCrop"
        )
    good = find_readable(dataset, images)
    indices = [SeededIndex(good[i % len(good)], 0, i) for i in range(images)]
    batches = [indices[i : i + BATCH] for i in range(0, images, BATCH)]
    seeded = SeededDataset(dataset)

    def pipeline(length: int) -> Callable[[], None]:
        def stage() -> None:
            for index in indices:
                results = dataset.get_data_info(index)
                for transform in dataset.pipeline.transforms[:length]:
                    results = transform(results)

        return stage

    def collate() -> None:
        for batch in batches:
            make_batch([seeded[index] for index in batch])

    def through(loader: DataLoader) -> Callable[[], None]:
        def stage() -> None:
            for _ in loader:
                pass

        return stage

    stages = {REFERENCE: lambda: bare_loop(dataset, indices, transforms["RandomResizedCrop"])}
    first = list(transforms).index("LoadImage")
    for i, name in enumerate(list(transforms)[first:-1]):
        stages["decoding" if i == 0 else f"decoding to {name}"] = pipeline(first + i + 1)
    stages["decoding and transforms"] = pipeline(len(dataset.pipeline.transforms))
    stages["data set to batch, one process"] = collate
    for number in workers:
        loader = DataLoader(
            seeded,
            batch_sampler=batches,
            num_workers=number,
            persistent_workers=number > 0,
            collate_fn=make_batch,
        )
        stages[f"DataLoader, workers: {number}"] = through(loader)
    times: dict[str, list[float]] = {name: [] for name in stages}
    for stage in stages.values():
        stage()  # starts the workers, fills the cache of files
    for _ in range(repeats):
        for name, stage in stages.items():
            start = time.perf_counter()
            stage()
            times[name].append(time.perf_counter() - start)
    return {name: images / statistics.median(values) for name, values in times.items()}


def find_readable(dataset: "BaseDataset", count: int) -> list[int]:
    """At most `count` images of a data set, drawn at random, without those that cannot be read."""
    import numpy as np

    load = next(t for t in dataset.pipeline.transforms if type(t).__name__ == "LoadImage")
    good, bad = [], []
    for i in np.random.default_rng(0).permutation(len(dataset))[:count].tolist():
        try:
            load(dataset.get_data_info(i))
            good.append(i)
        except ValueError as error:
            bad.append(str(error))
    if bad:
        print(f"{len(bad)} images are left out:", *bad, sep="\n  ")
    if not good:
        raise SystemExit("no image can be read")
    return good


def bare_loop(dataset: "BaseDataset", indices: Sequence[int], crop: "RandomResizedCrop") -> None:
    """What no loader can do without: decode, crop as the pipeline would, resize.

    What OpenCV does not decode, the data set's own transform does.
    """
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    load = next(t for t in dataset.pipeline.transforms if type(t).__name__ == "LoadImage")
    for index in indices:
        info = dataset.get_data_info(index)
        if "content" in info:  # out of a tar shard
            content = np.frombuffer(info["content"], np.uint8)
        else:
            content = np.fromfile(info["img_path"], np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
        if image is None:
            image = load(info)["img"][..., :4]
        height, width = image.shape[:2]
        share = np.sqrt(rng.uniform(*crop.scale))
        h, w = max(1, int(height * share)), max(1, int(width * share))
        y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
        cv2.resize(image[y : y + h, x : x + w], crop.size[::-1], interpolation=cv2.INTER_CUBIC)


def generate(folder: Path, count: int) -> None:
    """Write JPEG files, 500 x 375 pixels and about 115 kB, as ImageNet's are on average.

    Half of them below ``a``, the others below ``b``, which may be classes.
    """
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    for name in "ab":
        (folder / name).mkdir()
    for i in range(count):
        shapes = cv2.resize(
            rng.integers(0, 256, (40, 50, 3), dtype=np.uint8), (500, 375), interpolation=2
        )
        noise = rng.normal(0, 21, (375, 500, 1))
        pixels = np.clip(shapes + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "ab"[i % 2] / f"{i}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
