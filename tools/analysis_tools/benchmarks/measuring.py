"""Speed and memory of contestants that take turns, and the machine they were measured on."""

import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


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


def process_peak_mb() -> float:
    """MB that this process has held at most.

    Not `getrusage`'s, which begins with what the process held that started this one.
    """
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
