"""The moving average is a slow loop's, of the right weights, and survives a kill exactly."""

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.utils.data import Dataset

from convnextv2.backbone import ConvNeXtV2, load_pretrained
from convnextv2.engine.errors import InputError
from convnextv2.engine.plain_pickles import load_plain
from convnextv2.engine.runner import StrictFlexibleRunner, StrictRunner
from convnextv2.pretrain.supervised import EMAHook

MOMENTUM = 0.1
ARCH = {"depths": (1, 1, 1, 1), "channels": (4, 8, 8, 8)}


class Noise(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"x": torch.from_numpy(np.random.randn(3, 32, 32))}


class Small(BaseModel):
    """A backbone with a buffer beside it that counts the steps, and an initialisation."""

    def __init__(self):
        super().__init__()
        self.backbone = ConvNeXtV2(ARCH, out_indices=(3,), output_norm=False, drop_path_rate=0.5)
        self.head = nn.Linear(8, 2)
        self.register_buffer("calls", torch.tensor(0))
        self.double()

    def init_weights(self):
        nn.init.constant_(self.head.weight, 0.25)

    def forward(self, x, mode):
        self.calls += 1
        (features,) = self.backbone(x)
        return {"loss": (self.head(features.mean((2, 3))) - 1).square().mean()}


class Spy(Hook):
    """Keeps the weights before the first iteration, and after each."""

    priority = "LOWEST"

    def __init__(self):
        self.seen = []

    def before_train(self, runner):
        self.after_train_iter(runner)

    def after_train_iter(self, runner, *args, **kwargs):
        self.seen.append({k: v.clone() for k, v in runner.model.state_dict().items()})


def train(work_dir, iterations, kind=StrictRunner, accumulate=1, **options):
    torch.manual_seed(0)
    spy = Spy()
    checkpoint = {"type": "convnextv2.AtomicCheckpointHook", "by_epoch": False, "interval": 2}
    if kind is StrictFlexibleRunner:
        options["strategy"] = {"type": "SingleDeviceStrategy"}
    runner = kind(
        model=Small(),
        work_dir=str(work_dir),
        train_dataloader={
            "batch_size": 2,
            "collate_fn": {"type": "default_collate"},
            "sampler": {"type": "convnextv2.SeededInfiniteSampler"},
            "dataset": Noise(),
        },
        optim_wrapper={
            "optimizer": {"type": "AdamW", "lr": 0.01},
            "accumulative_counts": accumulate,
        },
        train_cfg={"by_epoch": False, "max_iters": iterations},
        default_hooks={
            "checkpoint": checkpoint,
            "logger": {"type": "convnextv2.LoggerHook"},
            "measure_statistics": None,
        },
        custom_hooks=[{"type": "convnextv2.EMAHook", "momentum": MOMENTUM}, spy],
        randomness={"seed": 0},
        experiment_name=str(work_dir).replace("/", "_") + str(iterations) + str(options),
        default_scope="mmengine",
        **options,
    )
    runner.train()
    return runner, spy.seen


def averaged_by_loop(weights):
    average = weights[0]
    for new in weights[1:]:
        average = {k: (1 - MOMENTUM) * v + MOMENTUM * new[k] for k, v in average.items()}
    return average


@pytest.mark.parametrize("kind", [StrictRunner, StrictFlexibleRunner])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_checkpoints_weights_are_the_loops_average(tmp_path, kind, accumulate):
    """Of the initialised weights and those after each step of the optimizer, no more often."""
    _, seen = train(tmp_path, 6, kind, accumulate)
    assert torch.equal(seen[0]["head.weight"], torch.full((2, 8), 0.25, dtype=torch.float64))
    file = load_plain(tmp_path / "iter_6.pth")
    expected = averaged_by_loop(seen[::accumulate])
    for name, value in file["state_dict"].items():
        if name == "calls":  # what is no weight is not averaged
            assert value == 6
            continue
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-14, msg=name)
        assert torch.equal(file["ema_state_dict"][f"module.{name}"], seen[-1][name])
    assert not torch.equal(expected["head.weight"], seen[-1]["head.weight"])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_killed_and_resumed_run_ends_with_the_same(tmp_path, accumulate):
    train(tmp_path / "whole", 6, accumulate=accumulate)
    train(tmp_path / "killed", 4, accumulate=accumulate)
    options = {"load_from": str(tmp_path / "killed/iter_4.pth"), "resume": True}
    train(tmp_path / "killed", 6, accumulate=accumulate, **options)
    whole, resumed = (load_plain(tmp_path / run / "iter_6.pth") for run in ("whole", "killed"))
    for part in ("state_dict", "ema_state_dict"):
        assert whole[part].keys() == resumed[part].keys()
        for name, value in whole[part].items():
            assert torch.equal(value, resumed[part][name]), (part, name)


def test_a_training_that_loads_weights_begins_its_average_with_them(tmp_path):
    train(tmp_path / "first", 2)
    start = str(tmp_path / "first/iter_2.pth")
    _, seen = train(tmp_path / "second", 2, load_from=start)
    assert torch.equal(seen[0]["head.weight"], load_plain(start)["state_dict"]["head.weight"])
    average = load_plain(tmp_path / "second/iter_2.pth")["state_dict"]["head.weight"]
    expected = averaged_by_loop(seen)["head.weight"]
    torch.testing.assert_close(average, expected, rtol=0, atol=1e-14)


def test_it_says_what_the_checkpoints_hold_and_a_later_stage_takes_it(tmp_path):
    train(tmp_path, 4)
    (log,) = tmp_path.glob("*/*.log")
    lines = [line for line in log.read_text().splitlines() if "checkpoints hold" in line]
    assert len(lines) == 1  # of two checkpoints
    assert "momentum 0.1) as state_dict, which is what a later stage takes" in lines[0]
    backbone = ConvNeXtV2(ARCH, output_norm=False).double()
    summary = load_pretrained(backbone, str(tmp_path / "iter_4.pth"))
    assert "below 'state_dict.backbone'" in summary
    averaged = load_plain(tmp_path / "iter_4.pth")["state_dict"]
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, averaged[f"backbone.{name}"])


def test_validation_sees_the_average_and_training_goes_on_without_it(tmp_path):
    runner, seen = train(tmp_path, 2)
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    expected = averaged_by_loop(seen)["head.weight"]
    hook.before_val_epoch(runner)
    torch.testing.assert_close(runner.model.head.weight.data, expected, rtol=0, atol=1e-14)
    hook.after_val_epoch(runner)
    assert torch.equal(runner.model.head.weight.data, seen[-1]["head.weight"])


def test_shards_are_refused_before_training():
    runner = type("Run", (), {"model": object.__new__(FullyShardedDataParallel)})
    with pytest.raises(InputError, match="custom_hooks"):
        EMAHook().before_run(runner)
