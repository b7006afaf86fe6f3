"""What makes a run that was killed and resumed end with the very weights of one that was not.

A random draw must depend on its place in the run alone, not on what was drawn before, by which
worker or in how many processes. So a sampler hands out indices that carry a seed; the data set
that `StrictRunner` puts around all others (seeded_dataset.py) seeds from it; and a hook that it
adds seeds the network's own draws (drop path, dropout, sampled proposals) anew before each
iteration.

    train_dataloader = dict(sampler=dict(type='convnextv2.SeededSampler', shuffle=True), ...)
"""

import random
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from convnextv2.registry import DATA_SAMPLERS, FUNCTIONS, HOOKS, TRANSFORMS


class SeededIndex(int):
    """An index into a data set that also carries the seed of this one draw.

    Being an int, it is understood by any sampler, loader and data set.
    """

    seed: int

    def __new__(cls, index: int, *entropy: int) -> "SeededIndex":
        self = super().__new__(cls, index)
        self.seed = mix(*entropy)
        return self

    def __reduce__(self) -> tuple:
        # Worker processes receive indices pickled.
        return _restore_index, (int(self), self.seed)


def _restore_index(index: int, seed: int) -> SeededIndex:
    restored = SeededIndex(index)
    restored.seed = seed
    return restored


def mix(*entropy: int) -> int:
    """One well-spread seed below 2**32 from several integers."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def seed_cpu(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators of the CPU."""
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed also notes a seed and a stack trace for each kind of GPU: a millisecond.
    torch.default_generator.manual_seed(seed)


def seed_all(seed: int) -> None:
    """Seed the generators of the CPU and of all GPUs."""
    seed_cpu(seed)
    torch.manual_seed(seed)


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """`DefaultSampler` whose indices carry a seed made of run seed, epoch and index.

    Shuffled, it neither drops nor repeats an item where the number of processes does not divide
    their number: an epoch begins where the one before it ended in an endless row of permutations.
    """

    def __iter__(self) -> Iterator[SeededIndex]:
        indices = self._next_in_row() if self.shuffle else super().__iter__()
        for index in indices:
            yield SeededIndex(index, self.seed, self.epoch, index)

    def _next_in_row(self) -> Iterator[int]:
        epoch_size = self.num_samples * self.world_size
        first = self.epoch * epoch_size
        permutation, current = [], None
        for position in range(first + self.rank, first + epoch_size, self.world_size):
            number, place = divmod(position, len(self.dataset))
            if number != current:
                generator = torch.Generator().manual_seed(self.seed + number)
                permutation = torch.randperm(len(self.dataset), generator=generator).tolist()
                current = number
            yield permutation[place]


@DATA_SAMPLERS.register_module()
class SeededInfiniteSampler(InfiniteSampler):
    """`InfiniteSampler` whose indices carry a seed made of run seed and position."""

    def skip(self, num_samples: int) -> None:
        """Begin after so many draws of this process; mmengine 0.10.7 has no such method."""
        self.indices = islice(self._indices_of_rank(), num_samples, None)

    def _infinite_indices(self) -> Iterator[SeededIndex]:
        for position, index in enumerate(super()._infinite_indices()):
            yield SeededIndex(index, self.seed, position)


@FUNCTIONS.register_module()
def keep_worker_seed(worker_id: int) -> None:
    """As ``worker_init_fn``: leave a worker the seed that torch gave it, a new one each epoch.

    mmengine would give the workers of all epochs the same. It matters where another runner than
    `StrictRunner` trains, and nothing seeds the draws one by one.
    """


@TRANSFORMS.register_module()
class SeedTransforms:
    """Does nothing; configs of earlier versions name it, whose pipelines seeded themselves."""

    def __call__(self, results: dict) -> dict:
        return results


@HOOKS.register_module()
class SeedEveryIterHook(Hook):
    """Seed the network's draws before each iteration from run seed, iteration and rank."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        seed_all(mix(runner.seed, runner.iter, get_rank()))
