"""The backbone against `transformers`' ConvNeXt V2, and what every arch must keep."""

import copy

import pytest
import torch
from mmengine.registry import MODELS

from convnextv2.backbone import ARCHS, ConvNeXtV2
from convnextv2.backbone.checkpoint_keys import convert_keys

TINY_DICT = {"depths": (1, 1, 2, 1), "channels": (8, 16, 32, 64)}

# Paper, A.1 and Table 14: classifier parameters in millions, as printed.
PRINTED_PARAMETERS = {
    "atto": 3.7,
    "femto": 5.2,
    "pico": 9.1,
    "nano": 15.6,
    "tiny": 28.6,
    "base": 89,
    "large": 198,
    "huge": 660,
}


def randomise(module):
    """Nothing may hide behind zeros: GRN and biases start at 0."""
    for parameter in module.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.5)
    return module


@pytest.mark.parametrize("arch", ["atto", "nano", "tiny"])
def test_outputs_and_gradients_equal_transformers(arch):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ours = randomise(ConvNeXtV2(arch, output_norm=False).double())
    spec = ARCHS[arch]
    config = transformers.ConvNextV2Config(
        depths=list(spec["depths"]), hidden_sizes=list(spec["channels"])
    )
    theirs = transformers.ConvNextV2Model(config).double()
    weights, unknown, _ = convert_keys(ours.state_dict(), "convnextv2", "transformers")
    assert not unknown
    weights = {k.removeprefix("convnextv2."): v for k, v in weights.items()}
    result = theirs.load_state_dict(weights, strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) == {"layernorm.weight", "layernorm.bias"}

    x = torch.randn(2, 3, 64, 96).double()
    maps = ours(x)
    references = theirs(x, output_hidden_states=True).hidden_states[-4:]
    factors = [torch.randn_like(m) for m in maps]
    for got, expected in zip(maps, references, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    sum((m * f).sum() for m, f in zip(maps, factors, strict=True)).backward()
    sum((m * f).sum() for m, f in zip(references, factors, strict=True)).backward()
    grads = {f"convnextv2.{n}": p.grad for n, p in theirs.named_parameters() if p.grad is not None}
    grads = convert_keys(grads, "transformers", "convnextv2").tensors
    for name, parameter in ours.named_parameters():
        scale = grads[name].abs().max()
        torch.testing.assert_close(parameter.grad / scale, grads[name] / scale, rtol=0, atol=1e-10)


@pytest.mark.parametrize("arch", ARCHS)
def test_parameters_and_shapes_of_every_arch(arch):
    """With the classifier's norm and 1000-way head, the paper's count to the printed digits."""
    with torch.device("meta"):
        net = ConvNeXtV2(arch, output_norm=False)
        maps = net(torch.empty(1, 3, 224, 224))
    channels = ARCHS[arch]["channels"]
    assert [tuple(m.shape) for m in maps] == [
        (1, c, s, s) for c, s in zip(channels, (56, 28, 14, 7), strict=True)
    ]
    count = sum(p.numel() for p in net.parameters())
    count += 2 * channels[-1] + channels[-1] * 1000 + 1000
    printed = PRINTED_PARAMETERS[arch]
    digits = 1 if printed < 50 else 0
    assert round(count / 1e6, digits) == printed or arch == "huge"
    if arch == "huge":  # printed to two digits
        assert round(count / 1e7) * 10 == printed


@pytest.mark.parametrize("arch", ["atto", "femto", "pico", "nano"])
@pytest.mark.parametrize("size", [(64, 64), (75, 101)])
def test_odd_sizes_give_finite_maps_and_every_parameter_a_gradient(arch, size):
    torch.manual_seed(0)
    net = randomise(ConvNeXtV2(arch)).train()
    maps = net(torch.randn(2, 3, *size))
    for i, m in enumerate(maps):
        height, width = size[0] // 4 >> i, size[1] // 4 >> i
        assert m.shape == (2, net.channels[i], height, width)
        assert m.isfinite().all()
    sum(m.square().mean() for m in maps).backward()
    without = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not without


def test_checkpointing_runs_every_block_twice_and_changes_nothing():
    torch.manual_seed(0)
    plain = randomise(ConvNeXtV2(TINY_DICT, drop_path_rate=0.5).double()).train()
    saving = ConvNeXtV2(TINY_DICT, drop_path_rate=0.5, with_cp=True).double().train()
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 64, 64).double()
    for net, runs in ((plain, 1), (saving, 2)):
        calls = []
        for stage in net.stages:
            for block in stage:
                block.norm.register_forward_hook(
                    lambda module, *_, calls=calls: calls.append(module)
                )
        torch.manual_seed(1)
        sum(m.square().sum() for m in net(x)).backward()
        assert len(calls) == runs * sum(net.depths)
    for (name, p), q in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad), name


def test_drop_path_grows_linearly_from_the_first_block_to_the_last():
    net = ConvNeXtV2({"depths": (1, 2, 3, 1), "channels": (8, 8, 8, 8)}, drop_path_rate=0.6)
    rates = [block.drop_path.drop_prob for stage in net.stages for block in stage]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@pytest.mark.parametrize("out_indices", [(0,), (3,), (1, 3), (0, 1, 2, 3)])
def test_any_subset_of_outputs(out_indices):
    net = ConvNeXtV2(TINY_DICT, out_indices=out_indices).eval()
    every = ConvNeXtV2(TINY_DICT).eval()
    every.load_state_dict(net.state_dict(), strict=False)
    x = torch.randn(1, 3, 64, 64)
    maps = every(x)
    for got, i in zip(net(x), out_indices, strict=True):
        assert torch.equal(got, maps[i])


@pytest.mark.parametrize("frozen_stages", [0, 1, 4])
def test_frozen_stages_stay_frozen_after_train(frozen_stages):
    net = ConvNeXtV2(TINY_DICT, frozen_stages=frozen_stages, drop_path_rate=0.5)
    assert net.train() is net
    for i in range(4):
        frozen = i < frozen_stages
        parts = [net.downsample_layers[i], net.stages[i]]
        assert all(p.requires_grad != frozen for part in parts for p in part.parameters())
        assert all(part.training != frozen for part in parts)
    assert net.eval() is net


@pytest.mark.parametrize("in_channels", [1, 3, 5])
def test_any_number_of_channels(in_channels):
    assert len(ConvNeXtV2(TINY_DICT, in_channels)(torch.randn(1, in_channels, 32, 64))) == 4


def test_arguments_are_not_changed():
    arch = {"depths": [1, 1, 1, 1], "channels": [8, 16, 32, 64]}
    init_cfg = {"type": "Pretrained", "checkpoint": "nowhere.pth"}
    before = copy.deepcopy((arch, init_cfg))
    ConvNeXtV2(arch, init_cfg=init_cfg)
    assert (arch, init_cfg) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": "small"}, "unknown arch 'small'; choose one of atto, femto"),
        ({"arch": {"depths": [1, 1]}}, "four integers each"),
        ({"out_indices": (4,)}, "out_indices"),
        ({"drop_path_rate": 1.0}, "drop_path_rate"),
        ({"frozen_stages": 5}, "frozen_stages"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ConvNeXtV2(**options)


@pytest.mark.parametrize("scope", ["mmengine", "mmdet", "mmseg"])
def test_builds_from_every_registry_by_its_scoped_name(scope):
    registry = MODELS
    if scope != "mmengine":
        registry = pytest.importorskip(f"{scope}.registry").MODELS
    cfg = {"type": "convnextv2.ConvNeXtV2", "arch": "atto"}
    assert type(registry.build(cfg)).__name__ == "ConvNeXtV2"


def test_initialisation_is_truncated_normal_of_std_002():
    torch.manual_seed(0)
    net = ConvNeXtV2("atto")
    for name, p in net.named_parameters():
        if p.dim() > 1 and p.numel() > 2000:
            assert p.std().item() == pytest.approx(0.02, rel=0.1), name
            assert p.abs().max() < 2
    assert not net.stages[0][0].grn.gamma.any()


@pytest.mark.parametrize(
    ("decay_type", "deepest", "depths"),
    [
        # stem, stage 0, stage 2 block 0, stage 2 block 26, last downsampling, stage 3
        ("layer_wise", 12, (0, 1, 3, 11, 12, 12)),
        ("block_wise", 36, (1, 2, 7, 33, 34, 36)),
        ("stage_wise", 4, (0, 1, 3, 3, 4, 4)),
    ],
)
def test_layer_depth_of_base(decay_type, deepest, depths):
    """Twelve steps above the stem for depth 27, as the released fine-tuning code groups them."""
    with torch.device("meta"):
        net = ConvNeXtV2("base")
    names = [
        "downsample_layers.0.0.weight",
        "stages.0.1.grn.gamma",
        "stages.2.0.pwconv1.bias",
        "stages.2.26.norm.weight",
        "downsample_layers.3.1.weight",
        "stages.3.2.dwconv.weight",
    ]
    assert [net.layer_depth(n, decay_type) for n in names] == [(d, deepest) for d in depths]
    assert net.layer_depth("norm2.weight", decay_type) == (deepest + 1, deepest)
