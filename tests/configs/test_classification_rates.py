"""Learning rates of classification are the released code's, over the depth and over the run."""

import math

import pytest
import torch
from classification_table import GROUPS, TABLE, read
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS


def released_depth(name, depths, decay_type):
    """Released, optim_factory.py: the place of a parameter, and that of the last block."""
    part, stage, block, *_ = (*name.split("."), "")
    groups = decay_type == GROUPS
    last = 12 if groups else sum(depths)
    if part not in ("stages", "downsample_layers"):
        return last + 1, last
    stage, block = int(stage), int(block) if part == "stages" else 0
    if not groups:
        return sum(depths[:stage]) + block + 1, last
    if part == "downsample_layers":
        return (0, 2, 3, 12)[stage], last
    return (1, 2, 3 + block // 3, 12)[stage], last


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name].decay])
def test_rates_of_layers_are_those_of_the_released_code(name):
    cfg, recipe = read(name), TABLE[name]
    model = torch.nn.Module()
    with torch.device("meta"):
        model.backbone = MODELS.build({**cfg.model.backbone, "init_cfg": None})
        model.head = torch.nn.Linear(2, 2)
    options = {k: cfg.optim_wrapper[k] for k in ("optimizer", "constructor", "paramwise_cfg")}
    optimizer = build_optim_wrapper(model, {**options, "type": "OptimWrapper"})
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    rate, decay_type = recipe.decay
    for key, parameter in model.named_parameters():
        inner = key.removeprefix("backbone.")
        depth, last = released_depth(inner, model.backbone.depths, decay_type)
        expected = recipe.lr * rate ** (last + 1 - depth)
        assert groups[parameter]["lr"] == pytest.approx(expected, rel=1e-9), key
        decays = parameter.ndim > 1  # no norm, bias or GRN
        assert groups[parameter]["weight_decay"] == recipe.weight_decay * decays, key


def released_rate(epoch, recipe):
    """Released, adjust_learning_rate: at a point of the run, in epochs."""
    top, least = recipe.lr * recipe.batch / 256, 1e-6
    if epoch < recipe.warmup:
        return top * epoch / recipe.warmup
    done = (epoch - recipe.warmup) / (recipe.epochs - recipe.warmup)
    return least + (top - least) * (1 + math.cos(math.pi * done)) / 2


@pytest.mark.parametrize("name", {(r.epochs, r.warmup, r.lr): n for n, r in TABLE.items()}.values())
def test_rates_over_the_run_are_those_of_the_released_code(name):
    cfg, recipe, steps = read(name), TABLE[name], 4
    top = recipe.lr * recipe.batch / 256
    scales = [1.0, 0.1]  # of two depths
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in scales]
    groups = [{"params": [p], "lr": top * k} for p, k in zip(parameters, scales, strict=True)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    given = {"optimizer": optimizer, "epoch_length": steps}
    schedulers = [PARAM_SCHEDULERS.build(dict(s), default_args=given) for s in cfg.param_scheduler]
    ramp = recipe.warmup * steps
    optimizer.step()
    for step in range(recipe.epochs * steps):
        expected = released_rate(step / steps, recipe)
        # mmengine's ramp ends a step earlier.
        error = 1.1 * top / ramp if step < ramp else 1e-6 * top
        for group, scale in zip(optimizer.param_groups, scales, strict=True):
            assert group["lr"] == pytest.approx(expected * scale, abs=error * scale), step
        for scheduler in schedulers:
            scheduler.step()
