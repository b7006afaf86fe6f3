"""Mixed precision: what ``--amp`` asks for, and trainings in bfloat16, which CPUs have too."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from processes import REPO, config, run

from convnextv2.engine import cpu_amp
from convnextv2.engine.runner import StrictRunner


@pytest.fixture
def asked(monkeypatch, cwd):
    """Whether there is a GPU, args -> `optim_wrapper` as the runner is given it."""

    class Nothing:
        def train(self):
            pass

    def get(gpu, *args):
        given = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(StrictRunner, "from_cfg", lambda cfg: given.append(cfg) or Nothing())
        argv = ["train.py", config("fcmae-by-iter"), "--work-dir", "work_dirs/asked", *args]
        monkeypatch.setattr(sys, "argv", [str(arg) for arg in argv])
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # mmengine's logger looks for its number
        monkeypatch.setenv("LOCAL_RANK", "0")  # the command sets it; here it must not stay
        monkeypatch.chdir(cwd)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(REPO / "tools/train.py"), run_name="__main__")
        assert not end.value.code
        return given[0].optim_wrapper

    return get


def test_amp_is_what_the_config_has_in_the_dtype_that_it_says(asked):
    plain = asked(True)
    assert plain.type == "OptimWrapper"
    amp = asked(True, "--amp")
    assert amp == {**plain, "type": "AmpOptimWrapper", "loss_scale": "dynamic"}
    options = ["optim_wrapper.dtype=bfloat16", "optim_wrapper.loss_scale=128.0"]
    amp = asked(True, "--amp", "--cfg-options", *options)
    assert (amp.type, amp.dtype, amp.loss_scale) == ("AmpOptimWrapper", "bfloat16", 128.0)


def test_without_a_gpu_training_is_in_the_precision_of_the_cpu(asked, monkeypatch):
    options = ["optim_wrapper.dtype=bfloat16"]
    monkeypatch.setattr(cpu_amp, "computes_bfloat16", lambda: False)
    plain = asked(False)
    assert asked(False, "--amp", "--cfg-options", *options) == plain
    monkeypatch.setattr(cpu_amp, "computes_bfloat16", lambda: True)
    amp = asked(False, "--amp", "--cfg-options", *options)
    assert amp == {**plain, "type": "convnextv2.CPUAmpOptimWrapper"}
    assert asked(False) == plain


@pytest.mark.parametrize(
    ("name", "reason"),
    [("mask-rcnn", "RoIAlign"), ("upernet", None), ("fcmae-by-iter", None)],
)
def test_a_task_whose_operators_take_no_bfloat16_says_so(name, reason, monkeypatch):
    monkeypatch.setattr(cpu_amp, "computes_bfloat16", lambda: True)
    given = cpu_amp.why_not_bfloat16(Config.fromfile(config(name)))
    assert given is None if reason is None else reason in given


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "encoder", "checkpoints"),
    [
        ("fcmae-by-iter", "packed", ("iter_4", "iter_8")),
        ("fcmae-by-iter", "dense", ("iter_4", "iter_8")),
        ("fcmae-by-iter", "minkowski", ("iter_4", "iter_8")),
        # Not Mask R-CNN: mmcv's RoIAlign knows no bfloat16 on the CPU.
        ("upernet", None, ("iter_2", "iter_6")),
    ],
)
def test_training_in_bfloat16_is_near_that_in_float32(cwd, finished, name, encoder, checkpoints):
    if encoder == "minkowski":
        pytest.importorskip("MinkowskiEngine")
    full = finished(name)
    half = cwd / f"work_dirs/bfloat16-{name}-{encoder}"
    options = ["optim_wrapper.dtype=bfloat16"]
    if encoder:
        options.append(f"model.encoder={encoder}")
    script = Path(__file__).with_name("train_in_bfloat16.py")
    args = config(name), "--work-dir", half, "--amp", "--cfg-options", *options
    status, output = run(cwd, script, *args)
    assert status == 0, output
    losses, expected = (np.loadtxt(folder / "losses_0.txt") for folder in (half, full))
    # Measured: losses within 2e-6 and 3e-3, cosines of .9999 and .998, lengths within .02 %, 1.2 %.
    np.testing.assert_allclose(losses, expected, rtol=0.01)
    assert (losses != expected).any()  # else it was float32
    got, wanted = (moved(folder, *checkpoints) for folder in (half, full))
    assert torch.cosine_similarity(got, wanted, dim=0) > 0.99
    assert got.norm() == pytest.approx(wanted.norm().item(), rel=0.05)


def moved(work_dir, first, last):
    """What the weights did between two checkpoints, as one vector."""
    first, last = (
        torch.load(work_dir / f"{name}.pth", weights_only=False)["state_dict"]
        for name in (first, last)
    )
    floats = [name for name, tensor in first.items() if tensor.is_floating_point()]
    return torch.cat([(last[name] - first[name]).flatten() for name in floats])
