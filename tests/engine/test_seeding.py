"""The network's draws depend on the run's seed, the iteration and the process, and on no more."""

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import HOOKS


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
