"""Measure speed and memory against peers, all in one run: machines are noisy, ratios less so."""

import argparse
import importlib
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_debug, make_parser, run, whole
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_file
from convnextv2.tools.analysis_tools import benchmark_loader

if TYPE_CHECKING:
    from rich.console import Console

# Name of the command and of benchmark_NAME.py: what it compares, batch, image height and width.
COMMANDS = {
    "backbone": ("the backbone against other implementations of the network", 2, (384, 384)),
    "fcmae": ("a pre-training step with each of the encoders", 16, (224, 224)),
}


@dataclass
class Contestant:
    """Something to measure: `inference` and `train` do one step on `images` images."""

    name: str
    inference: Callable[[], None]
    train: Callable[[], None]
    images: int


@dataclass
class Figures:
    """What was measured of a contestant: medians, and the peak memory of one step in MB."""

    name: str
    inference_images_per_s: float
    train_images_per_s: float
    inference_peak_mb: float
    train_peak_mb: float


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/analysis_tools/benchmark.py backbone --arch tiny --json backbone.json",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (help_text, batch, shape) in COMMANDS.items():
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--arch", nargs="+", default=["tiny"], help="some of atto ... huge")
        command.add_argument("--batch", type=whole(1), default=batch)
        command.add_argument("--shape", nargs=2, type=whole(1), default=shape, metavar=("H", "W"))
        command.add_argument(
            "--repeats", type=whole(1), default=7, help="rounds; the median counts"
        )
        command.add_argument("--only", nargs="+", help="names, or beginnings of names, to measure")
        command.add_argument("--json", metavar="FILE", help="also write the figures there")
        add_debug(command)
    loader = commands.add_parser("loader", help="images read and augmented, by core and stage")
    benchmark_loader.add_arguments(loader)
    add_debug(loader)
    args = parser.parse_args()
    if args.json:
        check_file(args.json, "--json")
    if args.command == "loader":
        benchmark_loader.run(args, machine())
    else:
        compare_networks(args)


def compare_networks(args: argparse.Namespace) -> None:
    """Measure the contestants of `backbone` or `fcmae` for each arch, and show a table of each."""
    from rich.console import Console

    from convnextv2.backbone import ARCHS

    contest = importlib.import_module(f"convnextv2.tools.analysis_tools.benchmark_{args.command}")
    if unknown := [arch for arch in args.arch if arch not in ARCHS]:
        raise InputError(f"unknown arch {unknown[0]!r}; choose some of {', '.join(ARCHS)}")
    console = Console()
    tables = []
    for arch in args.arch:
        contestants, notes = contest.make_contestants(arch, args.batch, tuple(args.shape))
        if args.only:
            wanted = (contest.REFERENCE, *args.only)
            contestants = [c for c in contestants if c.name.startswith(wanted)]
        for note in notes:
            console.print(note, highlight=False)
        with console.status("") as status:
            figures = measure(contestants, args.repeats, status.update)
        size = " x ".join(map(str, (args.batch, 3, *args.shape)))
        title = f"{args.command}, {arch}, {size}, {machine()}"
        show(console, title, figures, contest.REFERENCE)
        rows = [asdict(f) for f in figures]
        tables.append({"title": title, "reference": contest.REFERENCE, "figures": rows})
    if args.json:
        with open(args.json, "w") as file:
            json.dump(tables, file, indent=2)


def measure(
    contestants: list[Contestant], repeats: int, report: Callable[[str], None]
) -> list[Figures]:
    """Take turns: each round runs every contestant once, so that none has the quiet minutes.

    Args:
        contestants: What to measure.
        repeats: Number of rounds.
        report: Is told what is being done.
    """
    times: dict[str, dict[str, list[float]]] = {
        c.name: {"inference": [], "train": []} for c in contestants
    }
    peaks = {}
    for contestant in contestants:
        report(f"{contestant.name}: memory")
        for step in (contestant.inference, contestant.train):
            step()  # allocates, compiles, warms up
        peaks[contestant.name] = {
            kind: peak_memory(getattr(contestant, kind)) for kind in ("inference", "train")
        }
    for i in range(repeats):
        for contestant in contestants:
            report(f"round {i + 1} of {repeats}: {contestant.name}")
            for kind, values in times[contestant.name].items():
                values.append(seconds(getattr(contestant, kind)))
    rates = {
        c.name: {k: c.images / statistics.median(v) for k, v in times[c.name].items()}
        for c in contestants
    }
    return [
        Figures(
            c.name,
            rates[c.name]["inference"],
            rates[c.name]["train"],
            peaks[c.name]["inference"],
            peaks[c.name]["train"],
        )
        for c in contestants
    ]


def seconds(step: Callable[[], None]) -> float:
    """How long one step takes; on a GPU until it has finished."""
    import torch

    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(step: Callable[[], None]) -> float:
    """MB that a step holds at most beyond what was held before it."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    held = highest = 0
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest / 2**20


def machine() -> str:
    """The machine and the software, in a few words."""
    import torch

    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f"{processor()}, {torch.get_num_threads()} threads"
    return f"{device}, torch {torch.__version__}, Python {platform.python_version()}"


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(": ")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.machine()


def show(console: "Console", title: str, figures: list[Figures], reference: str) -> None:
    """Print one table; each figure with its ratio to the reference's."""
    from rich.table import Table

    base = next(f for f in figures if f.name == reference)
    table = Table("network", title=title)
    for column in ("inference, images/s", "training, images/s", "inference, MB", "training, MB"):
        table.add_column(column, justify="right")
    for f in figures:
        cells = []
        for field in list(asdict(f))[1:]:
            value, other = getattr(f, field), getattr(base, field)
            number = f"{value:.0f}" if field.endswith("mb") else f"{value:.2f}"
            cells.append(f"{number} ({value / other:.2f}x)")
        table.add_row(f.name, *cells)
    console.print(table)
    console.print(f"In brackets: as a multiple of {reference!r}.", highlight=False)


if __name__ == "__main__":
    run(main)
