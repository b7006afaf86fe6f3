"""The stages of a loader, from decoding to batches of several processes, and their speed."""

import statistics
import time
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from convnextv2.tools.analysis_tools.benchmarks.loader_references import (
    Reference,
    find_loader,
    run_steps,
)

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

    from convnextv2.engine.seeded_dataset import SeededDataset

BATCH = 50
LARGE_BATCH = 4  # of images of detection and segmentation


class Rate(NamedTuple):
    """How fast a stage is: medians."""

    images_per_s: float
    cpu_ms: float | None
    """For each image, of this process; None where other processes do the work."""


class Stage(NamedTuple):
    """A part of what a loader does."""

    call: Callable[[], None]
    """Does it with each image."""
    here: bool = True
    """Whether this process does it."""


def make_stages(
    dataset: "BaseDataset",
    reference: Reference,
    images: int,
    workers: list[int],
    make_batch: Callable[[list], Any],
) -> dict[str, Stage]:
    """The reference, the pipeline as far as each of its steps, and batches.

    Args:
        dataset: Of single images, with labels or without.
        reference: What the others are compared with.
        images: Read by each.
        workers: Numbers of `DataLoader`'s processes.
        make_batch: Of samples, as the config collates them.

    Raises:
        SystemExit: No image can be read.
    """
    from convnextv2.engine.seeding import SeededIndex

    good = _find_readable(dataset, images)
    indices = [SeededIndex(good[i % len(good)], 0, i) for i in range(images)]
    transforms = dataset.pipeline.transforms
    first = transforms.index(find_loader(dataset))
    stages = {reference.name: Stage(partial(reference.run, dataset, indices))}
    for i, transform in list(enumerate(transforms))[first:-1]:
        name = "decoding" if i == first else f"decoding to {type(transform).__name__}"
        stages[name] = Stage(partial(run_steps, dataset, indices, transforms[: i + 1]))
    stages["decoding and transforms"] = Stage(partial(run_steps, dataset, indices, transforms))
    size = BATCH if reference.steps is None else LARGE_BATCH
    batches = [indices[i : i + size] for i in range(0, images, size)]
    return stages | _batch(dataset, reference, batches, workers, make_batch)


def _batch(
    dataset: "BaseDataset",
    reference: Reference,
    batches: list[list],
    workers: list[int],
    make_batch: Callable[[list], Any],
) -> dict[str, Stage]:
    """Through the data set to batches, in this process and in others; there a library's, too."""
    from mmengine.dataset import Compose

    from convnextv2.engine.seeded_dataset import SeededDataset

    seeded = SeededDataset(dataset)

    def collate() -> None:
        for batch in batches:
            make_batch([seeded[index] for index in batch])

    stages = {"data set to batch, one process": Stage(collate)}
    contestants = {"": seeded}
    if reference.steps is not None:
        library = copy(dataset)
        library.pipeline = Compose(reference.steps)
        contestants[f"{reference.name}, "] = SeededDataset(library)
    for number in workers:
        for name, contestant in contestants.items():
            stage = _load(contestant, batches, number, make_batch)
            stages[f"{name}DataLoader, workers: {number}"] = stage
    return stages


def measure(stages: dict[str, Stage], images: int, repeats: int) -> dict[str, Rate]:
    """The speed of each stage; they take turns, so that none has the quiet minutes.

    Args:
        stages: What to measure.
        images: That each reads.
        repeats: Rounds.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in stages}
    for stage in stages.values():
        stage.call()  # starts the workers, fills the cache of files
    for _ in range(repeats):
        for name, stage in stages.items():
            start, cpu = time.perf_counter(), time.process_time()
            stage.call()
            times[name].append((time.perf_counter() - start, time.process_time() - cpu))
    rates = {}
    for name, stage in stages.items():
        seconds, cpus = (statistics.median(values) for values in zip(*times[name], strict=True))
        rates[name] = Rate(images / seconds, 1e3 * cpus / images if stage.here else None)
    return rates


def _load(
    seeded: "SeededDataset", batches: list[list], workers: int, make_batch: Callable[[list], Any]
) -> Stage:
    from torch.utils.data import DataLoader

    loader: DataLoader = DataLoader(
        seeded,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=make_batch,
    )

    def call() -> None:
        for _ in loader:
            pass

    return Stage(call, here=not workers)


def _find_readable(dataset: "BaseDataset", count: int) -> list[int]:
    """At most `count` images of a data set, drawn at random, without those that cannot be read."""
    import numpy as np

    load = find_loader(dataset)
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
