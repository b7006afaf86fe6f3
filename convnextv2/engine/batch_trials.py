"""Steps of training with batches of several sizes, in a process of its own; see `batch.py`.

    python -m convnextv2.engine.batch_trials CONFIG

prints a line of json for each batch: its size, the bytes at its peak, or null if it did not fit,
and how many images there are. The weights are random, the images the largest of some of the
training data.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import FUNCTIONS, MODELS, init_default_scope

from .memory import is_out_of_memory
from .seeded_dataset import SeededDataset
from .seeding import SeededIndex

SAMPLES = 16
STEPS = 2  # the optimizer has its state after the first
SECONDS = 60.0  # a step on the CPU that takes longer is the last
ON_CPU = (1, 2, 4)
GPU_SHARE = 0.92  # of a GPU's memory: what comes later may need a little more


class Trial:
    """A model, and samples to train it on.

    Args:
        cfg: Of the training.
        device: To train on.
        several: Whether gradients will be on their way to other processes, too.
    """

    def __init__(self, cfg: Config, device: str, several: bool = False) -> None:
        cfg.model.get("backbone", {}).pop("init_cfg", None)
        if cfg.get("data_preprocessor"):
            cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
        self.model = revert_sync_batchnorm(MODELS.build(cfg.model))
        self.model.init_weights()
        self.model.to(device).train()
        self.optim_wrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)
        count = sum(parameter.numel() for parameter in self.model.parameters())
        self.exchanged = torch.empty(count if several else 0, device=device)
        dataset = SeededDataset(cfg.train_dataloader.dataset)
        self.most = len(dataset)
        places = np.linspace(0, self.most - 1, min(SAMPLES, self.most)).astype(int).tolist()
        samples = [dataset[SeededIndex(place, 0, place)] for place in places]
        for sample in samples:
            sample.pop("unreadable", None)
        self.samples = sorted(samples, key=lambda sample: -sample["inputs"].numel())
        collate = dict(cfg.train_dataloader.get("collate_fn") or {"type": "pseudo_collate"})
        kind = collate.pop("type")
        found: Any = FUNCTIONS.get(kind) if isinstance(kind, str) else kind
        self.collate = partial(found, **collate)

    def step(self, size: int) -> None:
        """Train, `STEPS` times."""
        samples = [self.samples[i % len(self.samples)] for i in range(size)]
        for _ in range(STEPS):
            self.model.train_step(self.collate(samples), optim_wrapper=self.optim_wrapper)

    def fits(self, size: int) -> bool:
        """Whether a batch fits a GPU; a line says so."""
        torch.cuda.reset_peak_memory_stats()
        peak = None
        try:
            self.step(size)
            torch.cuda.synchronize()
            peak = torch.cuda.max_memory_reserved()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self.optim_wrapper.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()
        self.tell(size, peak)
        return peak is not None

    def tell(self, size: int, peak: int | None) -> None:
        """Print the line of a batch."""
        print(json.dumps({"batch": size, "peak": peak, "images": self.most}), flush=True)


def search(fits: Callable[[int], bool], most: int) -> int:
    """The largest size that fits, to an eighth of itself; 0 if none does.

    Doubled from 2 on, as norms over a batch of one image can fail, and then refined.

    Args:
        fits: Whether a size does.
        most: No larger than this.
    """
    low, high = 0, min(2, most)
    while fits(high):
        low = high
        if low == most:
            return most
        high = min(2 * low, most)
    if not low:
        return int(high > 1 and fits(1))
    while high - low > max(1, low // 8):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def try_on_cpu(trial: Trial) -> None:
    """A line for each of `ON_CPU`, with the peak of this process' memory."""
    import resource  # not everywhere

    for size in ON_CPU:
        if size > trial.most:
            break
        start = time.perf_counter()
        try:
            trial.step(size)
        except ValueError as error:  # of norms
            if size > 1:
                raise
            print(f"no batch of 1: {error}", file=sys.stderr)
            continue
        trial.tell(size, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        if time.perf_counter() - start > SECONDS * STEPS:
            break


def main() -> None:
    """Command line entry."""
    cfg = Config.fromfile(sys.argv[1])
    init_default_scope(cfg.get("default_scope", "mmengine"))
    if not torch.cuda.is_available():
        try_on_cpu(Trial(cfg, "cpu"))
        return
    place = _first_number("LOCAL_RANK", "SLURM_LOCALID", default=0)
    torch.cuda.set_device(place % torch.cuda.device_count())
    torch.cuda.set_per_process_memory_fraction(GPU_SHARE)
    several = _first_number("WORLD_SIZE", "SLURM_NTASKS", default=1) > 1
    trial = Trial(cfg, "cuda", several)
    search(trial.fits, trial.most)


def _first_number(*names: str, default: int) -> int:
    texts = [os.environ.get(name, "") for name in names]
    return next((int(text) for text in texts if text.isdecimal()), default)


if __name__ == "__main__":
    main()
