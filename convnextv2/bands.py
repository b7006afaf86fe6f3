"""The bands of a config's images: how many, of what type, and what follows for the rest of it."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mmengine.logging import print_log
from mmengine.registry import TRANSFORMS

from convnextv2.engine.errors import InputError
from convnextv2.engine.tasks import PredictingTask, find_task
from convnextv2.engine.types import find_class, is_a, walk_entries

if TYPE_CHECKING:
    from mmengine.config import Config

LOADER = "convnextv2.images.LoadImage"
MOST_BANDS = 128  # that OpenCV 5 resizes, and with it mmcv's transforms
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def set_bands(
    cfg: "Config",
    bands: int = 3,
    dtype: str | None = "uint8",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    statistics: str | None = None,
) -> None:
    """Let a config of any task read, normalise and take images of so many bands.

    Every `LoadImage` of its pipelines, the model's data preprocessor and its backbone are set.

    Args:
        cfg: It is changed.
        bands: Of an image; 3 are colours.
        dtype: ``uint8``, ``uint16`` or ``float32``: what all images become, see `LoadImage`; None:
            each is what it is.
        mean: Of each band, in the units of the values, RGB where there are three. None: measured
            before training, unless `statistics` has them.
        std: Standard deviation of each band.
        statistics: File of tools/dataset_converters/compute_statistics.py.

    Raises:
        InputError: `mean` or `std` are not one for each band, there are more bands than the task's
            transforms take, or the model is of no task.
    """
    task = find_task(cfg)
    if task is None:
        raise InputError("bands can be set for the models of this project's tasks alone")
    if bands > MOST_BANDS and isinstance(task, PredictingTask):
        raise InputError(f"bands is {bands}; {task.name} resizes images of up to {MOST_BANDS}")
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and len(values) != bands:
            raise InputError(f"{name} has {len(values)} values, bands is {bands}")
    if (mean is None) != (std is None):
        raise InputError("mean and std go together: give both or neither")
    for load in find_loaders(cfg):
        load.update(in_channels=bands, dtype=dtype)
        if bands != 3:  # no colours that a network could expect as BGR; RGBA stays RGBA
            load.update(channel_order="rgb")
    preprocessor = cfg.model.setdefault("data_preprocessor", {})
    preprocessor.update(type=task.preprocessor, mean=mean, std=std, statistics=statistics)
    preprocessor.update(in_channels=bands)
    cfg.model.backbone.in_channels = bands


def find_loaders(cfg: "Config") -> list[dict]:
    """The entries of every `LoadImage` in a config's pipelines."""
    scope = cfg.get("default_scope")
    steps = (step for pipeline in _pipelines(cfg) for step in _walk_steps(pipeline))
    return [step for step in steps if _is(step, scope, LOADER)]


def leave_out_colour_steps(cfg: "Config") -> None:
    """Take steps that need three bands of 8 bits out of the pipelines of other images; log which.

    Pipelines whose `LoadImage` has no ``dtype`` are among them: their files may have any.
    """
    scope = cfg.get("default_scope")
    said: dict[str, None] = {}
    for pipeline in _pipelines(cfg):
        if any(map(_gives_colours, pipeline)):  # asked first, which needs no class to be found
            continue
        load = next((step for step in pipeline if _is(step, scope, LOADER)), None)
        if load is None:
            continue
        task = find_task(cfg)
        names = _drop(pipeline, scope, task.colour_steps) if task else []
        said |= dict.fromkeys(f"{name} is left out: {_about(load)}" for name in names)
    for text in said:
        print_log(text, logger="current", level=logging.WARNING)


def _gives_colours(step: dict) -> bool:
    return (step.get("in_channels", 3), step.get("dtype")) == (3, "uint8")


def _about(load: dict) -> str:
    bands, dtype = load.get("in_channels", 3), load.get("dtype")
    have = f"LoadImage gives {bands} of {dtype or 'any type (set dtype)'}"
    return f"it needs three bands of uint8, and {have}"


def _pipelines(cfg: "Config") -> Iterator[list]:
    for loader in LOADERS:
        for _, entry in walk_entries((cfg.get(loader) or {}).get("dataset")):
            if entry.get("pipeline"):
                yield entry["pipeline"]
    if cfg.get("tta_pipeline"):
        yield cfg.tta_pipeline


def _walk_steps(steps: Sequence) -> Iterator[dict]:
    """The entries of transforms, those inside of others too."""
    for step in steps:
        if isinstance(step, (list, tuple)):
            yield from _walk_steps(step)
        elif hasattr(step, "items"):
            yield step
            yield from _walk_steps(step.get("transforms") or ())


def _drop(steps: list, scope: str | None, kinds: Sequence[str]) -> list[str]:
    """Take the steps of these classes out, in place; returns their names."""
    dropped = []
    for step in list(steps):
        if isinstance(step, list):
            dropped += _drop(step, scope, kinds)
        elif _is(step, scope, *kinds):
            steps.remove(step)
            dropped.append(str(step["type"]))
        else:
            dropped += _drop(step.get("transforms") or [], scope, kinds)
    return dropped


def _is(step: dict, scope: str | None, *kinds: str) -> bool:
    return is_a(find_class(step, TRANSFORMS, scope), *kinds)
