"""A training loop that can go on where a run was stopped in the middle of an epoch."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from convnextv2.registry import LOOPS


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """mmengine's `EpochBasedTrainLoop`; resumed within an epoch, it trains on its rest alone.

    The batches before are not loaded. What comes is the same as in a run that was never stopped
    where the sampler draws from the epoch's number, as `SeededSampler` and `DefaultSampler` do.
    """

    def run_epoch(self) -> None:
        """Iterate one epoch, or what is left of it."""
        done = self._iter - self._epoch * len(self.dataloader)
        if not 0 < done < len(self.dataloader):
            super().run_epoch()
            return
        self.runner.call_hook("before_train_epoch")
        self.runner.logger.info(f"going on after {done} of {len(self.dataloader)} batches")
        self.runner.model.train()
        for place, data_batch in enumerate(rest_of(self.dataloader, done), start=done):
            self.run_iter(place, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


def rest_of(loader: DataLoader, done: int) -> DataLoader:
    """A loader of the batches of an epoch after the first ones, which it does not load.

    Args:
        loader: The loader of the whole epoch, of a data set with a length.
        done: How many batches to leave out.
    """
    return DataLoader(
        loader.dataset,
        batch_sampler=_Rest(loader.batch_sampler, done),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
    )


class _Rest:
    """The batches of a batch sampler after the first ones."""

    def __init__(self, batches: Any, done: int) -> None:
        self._batches = batches
        self._done = done

    def __iter__(self) -> Iterator[list[int]]:
        return islice(iter(self._batches), self._done, None)

    def __len__(self) -> int:
        return len(self._batches) - self._done
