"""How long pre-training takes: an estimate before it, and its speed while it runs."""

import os
import stat
import sys
import time
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from convnextv2.registry import HOOKS


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Add images per second, of all processes together, and memory to each line of the log.

    On a GPU mmengine logs the peak of its memory; on the CPU this hook logs that of the process,
    in MB as well.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: object = None
    ) -> None:
        """Average over the window that the log's times are averaged over."""
        seconds = runner.message_hub.get_scalar("train/time").mean(runner.log_processor.window_size)
        images = len(data_batch["inputs"]) * get_world_size()
        runner.message_hub.update_scalar("train/images_per_s", images / seconds)
        if not torch.cuda.is_available() and sys.platform == "linux":
            import resource  # not everywhere

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            runner.message_hub.update_scalar("train/memory", int(peak))


@HOOKS.register_module()
class EstimateHook(Hook):
    """Before training, say how many hours it will take and how many bytes it will read.

    A few steps on random images, without a step of the optimizer, and the loading of a few
    images are timed.

    Args:
        max_seconds: Begin no further step after this time.
    """

    def __init__(self, max_seconds: float = 10.0) -> None:
        self.max_seconds = max_seconds

    def before_train(self, runner: Runner) -> None:
        """Measure, and log."""
        loader = runner.train_dataloader
        iters = runner.max_iters - runner.iter
        # What is drawn here must not change what is drawn later.
        try:
            with torch.random.fork_rng():
                load = _time_loading(loader.dataset)
                step = self._time_steps(runner)
            size = mean_bytes(loader.dataset)
        except (RuntimeError, ValueError, OSError) as error:  # training itself names the files
            runner.logger.warning(f"no estimate: {error}")
            return
        load *= loader.batch_size / max(1, loader.num_workers)
        images = iters * loader.batch_size * get_world_size()
        limit = "the network" if step >= load else "loading the images (more workers may help)"
        total = timedelta(seconds=round(iters * max(step, load)))
        runner.logger.info(
            f"estimate: {iters} iterations in about {total} (h:m:s), limited by {limit}: "
            f"{step:.2f} s a step, {load:.2f} s to load its images with {loader.num_workers} "
            f"workers; {images} images of {size / 1e3:.0f} kB, {images * size / 1e9:.1f} GB to "
            "be read"
        )

    def _time_steps(self, runner: Runner) -> float:
        sample = runner.train_dataloader.dataset[0]["inputs"]
        shape = (runner.train_dataloader.batch_size, *sample.shape)
        data = {"inputs": torch.rand(shape) * 255, "seed": torch.arange(shape[0])}
        model, optim_wrapper = runner.model, runner.optim_wrapper
        data = getattr(model, "module", model).data_preprocessor(data, True)
        model.train()
        begin, fastest = time.perf_counter(), float("inf")
        for _ in range(3):  # the first warms up
            start = time.perf_counter()
            with optim_wrapper.optim_context(model):
                loss = model(**data, mode="loss")["loss"]
            loss.backward()
            optim_wrapper.zero_grad()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            fastest = min(fastest, time.perf_counter() - start)
            if time.perf_counter() - begin > self.max_seconds:
                break
        return fastest


def mean_bytes(dataset: BaseDataset, sample: int = 1000) -> float:
    """Mean size of an image in storage, of up to `sample` images taken evenly.

    Raises:
        ValueError: None of these is there.
    """
    places = np.linspace(0, len(dataset) - 1, min(sample, len(dataset))).astype(int).tolist()
    found = [_bytes_of(dataset.get_data_info(place)) for place in places]
    sizes = [size for size in found if size is not None]
    if not sizes:
        raise ValueError(f"none of {len(places)} images is there")
    return float(np.mean(sizes))


def _bytes_of(info: dict) -> int | None:
    if "size" in info:  # in a tar shard
        return info["size"]
    try:
        status = os.stat(info["img_path"])
    except (OSError, ValueError):  # missing, a dangling link, a name with a null byte
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _time_loading(dataset: BaseDataset) -> float:
    places = np.linspace(0, len(dataset) - 1, min(16, len(dataset))).astype(int).tolist()
    start = time.perf_counter()
    for place in places:
        dataset[place]
    return (time.perf_counter() - start) / len(places)
