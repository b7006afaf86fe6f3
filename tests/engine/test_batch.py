"""The largest batch is found by trying, or by what smaller ones needed."""

import subprocess
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from convnextv2.engine import batch
from convnextv2.engine.batch import extrapolate, find_batch, set_batch
from convnextv2.engine.batch_trials import search
from convnextv2.engine.errors import InputError
from convnextv2.engine.memory import explain_out_of_memory


@pytest.mark.parametrize("largest", [0, 1, 2, 3, 5, 8, 31, 32, 33, 100, 1000])
@pytest.mark.parametrize("most", [1, 2, 7, 64, 500])
def test_search_comes_within_an_eighth_from_below(largest, most):
    tried = []

    def fits(size):
        tried.append(size)
        return size <= largest

    found = search(fits, most)
    best = min(largest, most)
    assert best - max(1, best // 8) <= found <= best
    assert found == best or best > 8
    assert len(tried) <= 16
    assert max(tried) <= most


def test_what_is_not_tried_lies_on_a_line():
    peaks = {1: 1100 << 20, 2: 1200 << 20, 4: 1400 << 20}
    assert extrapolate(peaks, 2000 << 20, 1000) == 10
    assert extrapolate(peaks, 2000 << 20, 7) == 7
    assert extrapolate(peaks, 1300 << 20, 1000) == 2
    assert extrapolate(peaks, 1000 << 20, 1000) == 0


def training(**more):
    loader = {"batch_size": 4, "num_workers": 0}
    model, optim_wrapper = {"type": "X", "backbone": {}}, {"type": "OptimWrapper"}
    cfg = {"train_dataloader": loader, "model": model, "optim_wrapper": optim_wrapper}
    return Config({**cfg, "launcher": "none", "work_dir": "nowhere", **more})


def test_a_gpus_answer_is_the_largest_that_fitted(monkeypatch):
    MMLogger.get_current_instance()  # made later, it would ask for the devices
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    trials = {2: 10**9, 4: 2 * 10**9, 8: None, 6: 3 * 10**9}
    monkeypatch.setattr(batch, "run_trials", lambda cfg: (trials, 100))
    assert find_batch(training()) == 6
    monkeypatch.setattr(batch, "run_trials", lambda cfg: ({2: None, 1: None}, 100))
    with pytest.raises(InputError, match=r"not even one image fits(.|\n)*with_cp=True"):
        find_batch(training())


def test_a_killed_trial_leaves_what_fitted_before(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(batch, "free_memory", lambda: 10**12)
    lines = '{"batch": 2, "peak": 1000, "images": 50}\nloading annotations\n'
    done = SimpleNamespace(stdout=lines, stderr="", returncode=-9)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    assert find_batch(training()) == 2
    done.stdout, done.stderr, done.returncode = "", "Traceback\nKeyError: 'img'", 1
    with pytest.raises(InputError, match="the first step failed: KeyError: 'img'"):
        find_batch(training())


def test_a_resumed_run_keeps_its_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "find_batch", lambda cfg: 3)
    cfg = training(work_dir=str(tmp_path))
    set_batch(cfg, "auto")
    assert cfg.train_dataloader.batch_size == 3
    (tmp_path / "config.py").write_text("train_dataloader = dict(batch_size=9)")
    cfg.resume = True
    set_batch(cfg, "auto")
    assert cfg.train_dataloader.batch_size == 9
    set_batch(cfg, "5")
    assert cfg.train_dataloader.batch_size == 5


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: not "
                     "enough memory: you tried to allocate 99 bytes."),
        MemoryError("Unable to allocate 2.50 GiB for an array"),
    ],
)  # fmt: skip
def test_out_of_memory_says_what_to_lower(error):
    with (
        pytest.raises(InputError, match="out of memory") as caught,
        explain_out_of_memory(training()),
    ):
        raise error
    text = str(caught.value)
    for part in ("--batch 2 instead of 4", "--batch auto", "crop or scale", "with_cp", "--amp"):
        assert part in text
    assert ("2.50 GiB" in text) == isinstance(error, torch.cuda.OutOfMemoryError)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes differ"), explain_out_of_memory(training()):
        raise RuntimeError("shapes differ")
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    with pytest.raises(InputError, match="num_workers"), explain_out_of_memory(training()):
        raise killed
