"""An exported model against the model that it was made of: images/s, from array to results."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from convnextv2.engine.cli import add_cfg_options, whole

REFERENCE = "torch"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `benchmark.py exported`."""
    command.add_argument("config", help="path of the config")
    command.add_argument("checkpoint", help="path or address of the checkpoint")
    command.add_argument("model", help="its ONNX file, of tools/deployment/export_model.py")
    command.add_argument("image", help="to predict for, again and again")
    command.add_argument("--batch", nargs="+", type=whole(1), default=[1, 8])
    command.add_argument("--threads", nargs="+", type=whole(1), default=[1, 2])
    command.add_argument("--repeats", type=whole(1), default=5, help="rounds; the median counts")
    add_cfg_options(command)
    command.add_argument("--json", metavar="FILE", help="also write the figures there")


def run(args: argparse.Namespace, machine: str) -> None:
    """Measure and show."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from convnextv2 import runtime
    from convnextv2.engine.config import read_config
    from convnextv2.predictor import Predictor

    started = {}
    cfg = read_config(args.config, args.cfg_options)
    start = time.perf_counter()
    eager = Predictor(cfg, args.checkpoint, "cpu")
    started[REFERENCE] = time.perf_counter() - start
    ((_, image, _),) = eager(args.image)
    title = f"{Path(args.model).name}, {image.shape[0]} x {image.shape[1]} pixels, {machine}"
    table = Table("batch, threads", REFERENCE, "onnxruntime", title=title)
    rows = []
    for threads in args.threads:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        exported = runtime.Predictor(args.model, threads)
        started["onnxruntime"] = time.perf_counter() - start
        contestants: dict[str, Callable] = {REFERENCE: eager, "onnxruntime": exported}
        for batch in args.batch:
            rates = measure(contestants, [image] * batch, args.repeats)
            ratio = rates["onnxruntime"] / rates[REFERENCE]
            cells = f"{rates[REFERENCE]:.2f}", f"{rates['onnxruntime']:.2f} ({ratio:.2f}x)"
            table.add_row(f"{batch}, {threads}", *cells)
            rows.append({"batch": batch, "threads": threads, **rates})
    console = Console()
    console.print(table)
    console.print(", ".join(f"{name} starts in {s:.2f} s" for name, s in started.items()))
    if args.json:
        content = {"title": title, "images_per_s": rows, "start_s": started}
        Path(args.json).write_text(json.dumps(content, indent=2))


def measure(
    contestants: dict[str, Callable], images: Sequence[object], repeats: int
) -> dict[str, float]:
    """Images/s of each: the median of rounds in which they take turns, without the first.

    Args:
        contestants: Name -> predictor.
        images: Of one batch.
        repeats: Number of rounds.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats + 1):
        for name, predict in contestants.items():
            start = time.perf_counter()
            list(predict(images, batch_size=len(images)))
            times[name].append(time.perf_counter() - start)
    return {name: len(images) / statistics.median(taken[1:]) for name, taken in times.items()}
