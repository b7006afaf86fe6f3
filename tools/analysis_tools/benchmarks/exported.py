"""An exported model against the model that it was made of: images/s, from array to results.

Each contestant has a process of its own, so that its memory and the time until it is ready are its
own; they take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from convnextv2.engine.cli import add_cfg_options, whole
from convnextv2.engine.errors import InputError

from .runners import RUNNERS, answer

REFERENCE = "torch"
NEEDS = {"openvino": "openvino"}  # a package that need not be there


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `benchmark.py exported`."""
    command.add_argument("config", help="path of the config")
    command.add_argument("checkpoint", help="path or address of the checkpoint")
    command.add_argument("model", help="its ONNX file, of tools/deployment/export_model.py")
    command.add_argument("image", help="to predict for, again and again")
    command.add_argument("--batch", nargs="+", type=whole(1), default=[1, 8])
    command.add_argument("--threads", nargs="+", type=whole(1), default=[1, 2])
    command.add_argument("--repeats", type=whole(1), default=5, help="rounds; the median counts")
    others = [name for name in RUNNERS if name != REFERENCE]
    command.add_argument("--only", nargs="+", choices=others, help="besides torch; default: all")
    add_cfg_options(command)
    command.add_argument("--json", metavar="FILE", help="also write the figures there")


def run(args: argparse.Namespace, machine: str) -> None:
    """Measure and show."""
    from rich.console import Console

    from convnextv2.engine.config import read_config

    for path in (args.model, args.image):
        if not Path(path).is_file():
            raise InputError(f"no file at {path}")
    read_config(args.config, args.cfg_options)  # a wrong one is named before the processes start
    names = [name for name in RUNNERS if name in (REFERENCE, *(args.only or RUNNERS))]
    names = [name for name in names if name not in NEEDS or find_spec(NEEDS[name])]
    rows = [row for threads in args.threads for row in measure(names, args, threads)]
    title = f"{Path(args.model).name}, {Path(args.image).name}, {machine}"
    Console().print(make_table(title, rows))
    if args.json:
        Path(args.json).write_text(json.dumps({"title": title, "rows": rows}, indent=2))


def measure(names: list[str], args: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Rows of contestant, batch, threads, what `take_turns` gives, and seconds until ready."""
    context = get_context("spawn")
    links: dict[str, Connection] = {}
    started, rows = {}, []
    processes = []
    try:
        for name in names:  # one after the other: to start takes a core
            links[name], theirs = context.Pipe()
            processes.append(
                context.Process(target=answer, args=(name, vars(args), threads, theirs))
            )
            start = time.perf_counter()
            processes[-1].start()
            theirs.close()
            receive(name, links[name])
            started[name] = time.perf_counter() - start
        for batch in sorted(args.batch):
            found = take_turns(links, batch, args.repeats)
            rows += [
                {"name": name, "batch": batch, "threads": threads, "start_s": started[name], **each}
                for name, each in found.items()
            ]
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return rows


def take_turns(links: dict[str, Connection], batch: int, repeats: int) -> dict[str, dict]:
    """Of each the medians of the rounds without the first, and MB at most so far.

    The processor's seconds an image, of all threads, count where other work keeps it busy.
    """
    said: dict[str, list] = {name: [] for name in links}
    for _ in range(repeats + 1):
        for name, link in links.items():
            link.send(batch)
            said[name].append(receive(name, link))
    found = {}
    for name, rounds in said.items():
        seconds, used, peaks = zip(*rounds[1:], strict=True)
        found[name] = {
            "images_per_s": batch / statistics.median(seconds),
            "processor_s": statistics.median(used) / batch,
            "mb": max(peaks),
        }
    return found


def receive(name: str, link: Connection) -> tuple[float, float, float]:
    """What a contestant says.

    Raises:
        InputError: It says what went wrong, or has died.
    """
    try:
        said = link.recv()
    except EOFError as error:
        raise InputError(f"{name} has died; was there enough memory?") from error
    if isinstance(said, str):
        raise InputError(f"{name}: {said}")
    return said


def make_table(title: str, rows: list[dict[str, Any]]) -> Any:
    """The rows, each rate with its ratio to the reference's."""
    from rich.table import Table

    names = "", "batch", "threads", "images/s", "processor, s/image", "MB", "ready after, s"
    table = Table(*names, title=title)
    base = {(r["batch"], r["threads"]): r for r in rows if r["name"] == REFERENCE}
    for row in rows:
        other = base[row["batch"], row["threads"]]
        rate, used = row["images_per_s"], row["processor_s"]
        table.add_row(
            row["name"],
            str(row["batch"]),
            str(row["threads"]),
            f"{rate:.2f} ({rate / other['images_per_s']:.2f}x)",
            f"{used:.4f} ({used / other['processor_s']:.2f}x)",
            f"{row['mb']:.0f}",
            f"{row['start_s']:.1f}",
        )
    return table
