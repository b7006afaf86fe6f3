"""Learning rates fall with depth; GRN, norms, embeddings, biases and mask token do not decay."""

import pytest
from mmengine.optim import build_optim_wrapper
from torch import nn

from convnextv2.backbone import ConvNeXtV2
from convnextv2.pretrain import FCMAE

ARCH = {"depths": (1, 1, 4, 1), "channels": (8, 16, 32, 64)}


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = ConvNeXtV2(ARCH)
        self.head = nn.Sequential(nn.Conv2d(64, 4, 1), nn.BatchNorm2d(4))
        self.queries = nn.Embedding(5, 8)
        self.attention = nn.MultiheadAttention(8, 2)  # has an `in_proj_bias`


def settings(model, **paramwise):
    """(lr, weight decay) of every parameter by name."""
    wrapper = build_optim_wrapper(
        model,
        {
            "optimizer": {"type": "AdamW", "lr": 1.0, "weight_decay": 0.05},
            "constructor": "convnextv2.LayerDecayOptimWrapperConstructor",
            "paramwise_cfg": paramwise,
        },
    )
    names = {id(p): n for n, p in model.named_parameters()}
    groups = wrapper.optimizer.param_groups
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert sum(len(g["params"]) for g in groups) == len(found)  # each exactly once
    return found


def test_rates_by_depth():
    found = settings(Detector(), decay_rate=0.5, decay_type="layer_wise")
    # Steps above the stem: stage 0, stage 1, two of stage 2 (blocks 0-2 and 3), stage 3.
    expected = {
        "backbone.downsample_layers.0.0.weight": 0.5**6,
        "backbone.stages.0.0.pwconv1.weight": 0.5**5,
        "backbone.stages.2.2.pwconv1.weight": 0.5**3,
        "backbone.stages.2.3.pwconv1.weight": 0.5**2,
        "backbone.downsample_layers.3.1.weight": 0.5,
        "backbone.stages.3.0.dwconv.weight": 0.5,
        "backbone.norm0.weight": 1.0,
        "head.0.weight": 1.0,
    }
    assert {name: found[name][0] for name in expected} == expected
    assert found.keys() == dict(Detector().named_parameters()).keys()


@pytest.mark.parametrize("model", [Detector, lambda: FCMAE({"type": "convnextv2.ConvNeXtV2"})])
def test_weight_decay_by_role(model):
    """Only the weights of convolutions and linear layers decay, of attention's too."""
    model = model()
    decaying = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    }
    decaying |= {name for name, _ in model.named_parameters() if name.endswith("in_proj_weight")}
    found = settings(model)
    assert {name for name, (_, weight_decay) in found.items() if weight_decay == 0.05} == decaying
    assert {found[name][1] for name in found.keys() - decaying} == {0}


def test_frozen_parameters_are_left_out():
    model = Detector()
    model.backbone = ConvNeXtV2(ARCH, frozen_stages=2)
    assert not any(".stages.1." in name for name in settings(model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay_rates": 0.9}, r"unknown paramwise_cfg options \['decay_rates'\]"),
        ({"decay_rate": 1.5}, "decay_rate must be in"),
        ({"decay_type": "layers"}, "decay_type must be one of"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        settings(Detector(), **options)


def test_a_model_without_our_backbone_is_refused():
    with pytest.raises(ValueError, match="has no ConvNeXtV2"):
        settings(nn.Sequential(nn.Linear(2, 2)))
