"""What a reader of a log wants to know first, in some twenty lines; the rest goes to the file."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn

from convnextv2 import __version__
from convnextv2.environment import find_installed

from .seeding import SeededIndex
from .tasks import find_task
from .types import walk_built_datasets

LIBRARIES = ("torch", "mmengine", "mmcv", "mmdet", "mmseg")
MOST_CLASSES = 8  # that are named


class ShortRecords(logging.Filter):
    """Lets no long record through that is no warning: environment, config, hooks, tables."""

    lines = 4

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        short = record.getMessage().count("\n") < self.lines
        return short or record.levelno >= logging.WARNING


def begin_briefly(logger: MMLogger) -> None:
    """Show no long records on the console, until `SummaryHook` has spoken; the file has all."""
    for handler in _consoles(logger):
        handler.addFilter(ShortRecords())


def end_brevity(logger: MMLogger) -> None:
    """Show everything again."""
    for handler in _consoles(logger):
        for found in [f for f in handler.filters if isinstance(f, ShortRecords)]:
            handler.removeFilter(found)


def _consoles(logger: MMLogger) -> Iterator[logging.Handler]:
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            yield handler


class PrintsToLog(redirect_stdout):
    """A context in which what libraries print goes into the log, where it is no more than noise.

    Args:
        logger: The run's; the console does not show it.
    """

    def __init__(self, logger: MMLogger) -> None:
        self._logger, self._printed = logger, io.StringIO()
        super().__init__(self._printed)

    def __exit__(self, *error: Any) -> None:
        """Log what was printed as one record."""
        super().__exit__(*error)
        if text := self._printed.getvalue().strip():
            record = self._logger.makeRecord(
                self._logger.name, logging.INFO, __file__, 0, f"printed:\n{text}", (), None
            )
            for handler in self._logger.handlers:
                if isinstance(handler, logging.FileHandler):
                    handler.handle(record)


class SummaryHook(Hook):
    """Log what is trained, on what and how, before the first iteration."""

    priority = "HIGHEST"

    def before_train(self, runner: Runner) -> None:
        """Log, and show the whole log from now on."""
        end_brevity(runner.logger)
        try:
            entries = [*_describe_model(runner), *_describe_data(runner), *_describe_run(runner)]
        except Exception as error:  # of a model or data of an unknown kind
            runner.logger.warning(f"no summary: {error!r}")
            return
        lines = [f"{name:14}{value}" for name, value in entries if value]
        rule = "-" * 60
        runner.logger.info("\n".join([f"training begins\n{rule}", *lines, rule]))


Entries = Iterator[tuple[str, str]]


def _describe_model(runner: Runner) -> Entries:
    model, cfg = getattr(runner.model, "module", runner.model), runner.cfg
    task = find_task(cfg)
    yield "task", f"{task.name if task else 'none of this project'}, {type(model).__name__}"
    backbone = getattr(model, "backbone", None)
    arch = cfg.model.get("backbone", {}).get("arch", "")
    name = arch if isinstance(arch, str) else " ".join(f"{k} {v}" for k, v in arch.items())
    count = f"{_millions(model)} M parameters"
    if isinstance(backbone, nn.Module):
        count += f", {_millions(backbone)} M of them in the backbone {type(backbone).__name__}"
    yield "model", f"{count} {name}".rstrip()
    yield "weights", _describe_weights(runner)


def _millions(module: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in module.parameters()) / 1e6:.2f}"


def _describe_weights(runner: Runner) -> str:
    init_cfg = runner.cfg.model.get("backbone", {}).get("init_cfg")
    initial = init_cfg.get("checkpoint") if isinstance(init_cfg, dict) else None
    if runner._resume:
        return f"resumed from {runner._load_from}"
    if runner._load_from:
        return str(runner._load_from)
    return f"{initial} (backbone)" if initial else "random: trained from scratch"


def _describe_data(runner: Runner) -> Entries:
    dataset = runner.train_dataloader.dataset
    classes = list((getattr(dataset, "metainfo", None) or {}).get("classes") or ())
    more = f", ... {classes[-1]}" if len(classes) > MOST_CLASSES else ""
    if classes:
        yield "classes", f"{len(classes)}: {', '.join(map(str, classes[:MOST_CLASSES]))}{more}"
    yield "train", _describe_dataset(dataset)
    if runner.val_loop is not None:
        yield "validation", _describe_dataset(runner.val_dataloader.dataset)
    try:
        sample = dataset[SeededIndex(0, 0, 0)]["inputs"]
        channels, height, width = sample.shape
        what = f"{width} x {height} pixels, {channels} channels, {sample.dtype}"
        yield "image", f"{what} (the first one, as the network gets it)".replace("torch.", "")
    except Exception as error:  # training itself says what is wrong
        yield "image", f"unknown: {error}"


def _describe_dataset(dataset: object) -> str:
    parts = list(walk_built_datasets(dataset))
    places = [str(getattr(p, "ann_file", "") or getattr(p, "data_root", "")) for p in parts]
    return f"{len(dataset)} images, {', '.join(dict.fromkeys(filter(None, places)))}"  # type: ignore


def _describe_run(runner: Runner) -> Entries:
    loader, cfg, loop = runner.train_dataloader, runner.cfg, runner.train_loop
    size = getattr(loader, "batch_size", None) or loader.batch_sampler.batch_size
    steps, processes = cfg.optim_wrapper.get("accumulative_counts", 1), get_world_size()
    times = f" x {steps} iterations a step" if steps > 1 else ""
    total = size * processes * steps
    yield "batch", f"{size} images x {processes} processes{times} = {total}"
    epochs = f"{loop.max_epochs} epochs of {len(loader)} = " if loop.max_epochs > 1 else ""
    begin = f", from {runner.iter} on" if runner.iter else ""
    yield "length", f"{epochs}{loop.max_iters} iterations{begin}"
    if runner.val_loop is not None:
        unit = "iterations" if isinstance(loop, IterBasedTrainLoop) else "epochs"
        yield "validated", f"every {loop.val_interval} {unit}"
    yield "optimizer", _describe_optimizer(runner)
    yield "device", _describe_device(runner.model)
    yield "work dir", f"{runner.work_dir}: config.py, checkpoints, {runner.timestamp}/, report/"
    yield "curves", f"tensorboard --logdir {runner.work_dir}"
    installed = [library for library in LIBRARIES if library in sys.modules]
    names = [f"{n} {v}" for library in installed for n, v in find_installed(library).items()]
    yield "versions", ", ".join([f"convnextv2 {__version__}", *names])


def _describe_optimizer(runner: Runner) -> str:
    wrapper = runner.optim_wrapper
    groups = wrapper.optimizer.param_groups
    rates = {group.get("initial_lr", group["lr"]) for group in groups}
    rate = f"{max(rates):.3g}" if len(rates) == 1 else f"{min(rates):.3g} to {max(rates):.3g}"
    precision = str(getattr(wrapper, "cast_dtype", None) or "float16").removeprefix("torch.")
    mixed = "AMP" in type(wrapper).__name__.upper()
    how = f"mixed precision {precision}" if mixed else "full precision"
    return f"{type(wrapper.optimizer).__name__}, learning rate {rate}, {how}"


def _describe_device(model: nn.Module) -> str:
    device = next(model.parameters()).device
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
        return f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    return f"{device.type}, {torch.get_num_threads()} threads"
