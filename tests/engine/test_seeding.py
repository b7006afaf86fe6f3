"""Draws depend on the run's seed, their place in the run and the process, and on no more."""

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import HOOKS

from convnextv2.engine.seeding import SeededInfiniteSampler, SeededSampler


def draws(monkeypatch, seed=0, iteration=0, rank=0):
    """One draw from each generator after the hook seeded them."""
    hook = HOOKS.build({"type": "convnextv2.SeedEveryIterHook"})
    monkeypatch.setattr(sys.modules[type(hook).__module__], "get_rank", lambda: rank)
    hook.before_train_iter(SimpleNamespace(seed=seed, iter=iteration), 0)
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_the_same_place_draws_the_same_whatever_was_drawn_before(monkeypatch):
    first = draws(monkeypatch, 3, 5, 1)
    torch.rand(7), np.random.rand(7), random.random()
    assert draws(monkeypatch, 3, 5, 1) == first


@pytest.mark.parametrize("place", [{"seed": 1}, {"iteration": 1}, {"rank": 1}])
def test_another_place_draws_other_values(monkeypatch, place):
    first, other = draws(monkeypatch), draws(monkeypatch, **place)
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_epochs_differ_and_repeat():
    sampler = SeededSampler(range(10), seed=3)
    first = [(i, i.seed) for i in sampler]
    sampler.set_epoch(1)
    second = [(i, i.seed) for i in sampler]
    sampler.set_epoch(0)
    assert [(i, i.seed) for i in sampler] == first
    assert sorted(second)[0][1] != sorted(first)[0][1]
    assert sorted(i for i, _ in second) == list(range(10))


def test_skipping_goes_to_the_same_draws():
    whole = iter(SeededInfiniteSampler(range(7), seed=3))
    expected = [(i, i.seed) for i, _ in zip(whole, range(20), strict=False)][12:]
    resumed = SeededInfiniteSampler(range(7), seed=3)
    resumed.skip(12)
    assert [(i, i.seed) for i, _ in zip(iter(resumed), range(8), strict=False)] == expected
