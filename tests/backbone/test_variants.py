"""What the paper compares GRN with, each against a formula written apart, and V1's block."""

import pytest
import torch
from response_norm_formulas import VARIANTS, block_loop

from convnextv2.backbone import (
    ARCHS,
    GRN,
    BatchGRN,
    Block,
    ConvNeXtV2,
    GRNVariant,
    LayerScale,
    LRNResponse,
    NoResponseNorm,
    load_pretrained,
)
from convnextv2.backbone.layers import resolve

each_variant = pytest.mark.parametrize("variant", VARIANTS)


def randomise(module, std=0.5):
    """Nothing may hide behind zeros and ones."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return module.double()


def assert_equal_with_gradients(got, expected, inputs):
    """Of a sum of the outputs with random factors; gradients to 1e-9 of the largest."""
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    factors = torch.randn_like(got)
    grads = [
        torch.autograd.grad((y * factors).sum(), inputs, allow_unused=True) for y in (got, expected)
    ]
    for g, e in zip(*grads, strict=True):
        if e is None:  # where the loop does not use it, nor may we
            assert g is None or not g.any()
            continue
        scale = e.abs().max().clamp(min=1e-3)
        torch.testing.assert_close(g / scale, e / scale, rtol=0, atol=1e-9)


@each_variant
@pytest.mark.parametrize("size", [(2, 3), (5, 7)], ids=["few pixels", "many pixels"])
def test_block_equals_its_formula(variant, size):
    """In the block, where GRN may be folded; two images, all pixels visible."""
    torch.manual_seed(0)
    config, formula = VARIANTS[variant]
    block = randomise(Block(4, 0.0, config, LayerScale))
    x = torch.randn(2, 4, *size).double().requires_grad_()
    expected = block_loop(block, formula, x, torch.ones(2, *size, dtype=torch.bool))
    assert_equal_with_gradients(block(x), expected, [x, *block.parameters()])


def test_the_default_variant_is_grn():
    torch.manual_seed(0)
    ours, variant = randomise(GRN(6)), GRNVariant(6).double()
    variant.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, 6).double()
    torch.testing.assert_close(variant(x), ours(x), rtol=1e-12, atol=1e-12)


def test_without_its_residual_a_new_layer_lets_features_pass():
    x = torch.rand(1, 5, 3) + 1
    assert GRNVariant(3, residual=False)(x).abs().min() > 0.1
    assert torch.equal(GRNVariant(3)(x), x)


def test_batch_grn_sees_the_other_images():
    torch.manual_seed(0)
    layer, x = randomise(BatchGRN(4)), torch.randn(2, 5, 4).double()
    both = layer(x)
    assert not torch.allclose(layer(x[:1])[0], both[0])
    copies = torch.cat([x[:1], x[:1]])  # sqrt(2) in every norm, which their mean takes out
    torch.testing.assert_close(layer(copies)[0], layer(x[:1])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "not-normalized"])
def test_half_precision_does_not_overflow(variant, dtype):
    """4096 pixels of values of hundreds: sums and squares of them pass float16's 65504."""
    torch.manual_seed(0)
    block = Block(4, 0.0, VARIANTS[variant][0])
    block.pwconv1.bias.data[:] = torch.linspace(100, 400, 16)
    for parameter in block.grn.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x = torch.randn(1, 4, 64, 64)
    with torch.autocast("cpu", dtype=dtype):
        y = block(x)
    expected = block(x)
    assert y.isfinite().all()
    assert (y - expected).norm() < 0.1 * expected.norm()


def test_local_response_norm_squares_in_single_precision():
    """400 squared passes float16's 65504; infinite, it would divide everything to nothing."""
    layer = LRNResponse(8)
    x = torch.full((1, 4, 8), 400.0)
    expected = layer(x)
    torch.testing.assert_close(layer(x.half()).float(), expected, rtol=1e-2, atol=0)


def test_channels_that_are_zero_everywhere_have_finite_gradients():
    for aggregation in ("l1", "l2", "average"):
        for normalization in ("divisive", "standardizing", "none"):
            layer = GRNVariant(3, aggregation, normalization).double()
            torch.nn.init.normal_(layer.gamma)
            x = torch.zeros(1, 4, 3).double()
            x[..., 0] = 1.0
            x.requires_grad_()
            layer(x).sum().backward()
            assert x.grad.isfinite().all(), (aggregation, normalization)


def test_v1_equals_transformers():
    """Maps and gradients of the whole network with V1's blocks."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    options = {"response_norm": NoResponseNorm, "layer_scale": LayerScale, "output_norm": False}
    ours = ConvNeXtV2("atto", **options).double()
    for parameter in ours.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.5)
    spec = ARCHS["atto"]
    config = transformers.ConvNextConfig(
        depths=list(spec["depths"]), hidden_sizes=list(spec["channels"])
    )
    theirs = transformers.ConvNextModel(config).double()
    names = {theirs_to_ours(name): name for name, _ in theirs.named_parameters()}
    names.pop("layernorm.weight"), names.pop("layernorm.bias")
    assert set(names) == set(ours.state_dict())
    weights = {names[k]: v for k, v in ours.state_dict().items()}
    assert not theirs.load_state_dict(weights, strict=False).unexpected_keys

    x = torch.randn(2, 3, 64, 96).double()
    maps, references = ours(x), theirs(x, output_hidden_states=True).hidden_states[-4:]
    factors = [torch.randn_like(m) for m in maps]
    for got, expected in zip(maps, references, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    for outputs in (maps, references):
        sum((m * f).sum() for m, f in zip(outputs, factors, strict=True)).backward()
    grads = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        expected = grads[names[name]]
        scale = expected.abs().max()
        torch.testing.assert_close(parameter.grad / scale, expected / scale, rtol=0, atol=1e-10)


def theirs_to_ours(name):
    """transformers' names of V1, from their meaning."""
    for old, new in {
        "embeddings.patch_embeddings": "downsample_layers.0.0",
        "embeddings.layernorm": "downsample_layers.0.1",
        "encoder.stages.": "stages.",
        ".layers.": ".",
        "layernorm.": "norm." if name.startswith("encoder") else "layernorm.",
        "layer_scale_parameter": "layer_scale.scale",
    }.items():
        name = name.replace(old, new)
    parts = name.split(".")
    if "downsampling_layer" in parts:  # stages.1.downsampling_layer.0.weight
        return f"downsample_layers.{parts[1]}.{'.'.join(parts[3:])}"
    return name


@pytest.mark.parametrize("spec", [BatchGRN, "convnextv2.BatchGRN", {"type": "convnextv2.BatchGRN"}])
def test_a_layer_is_chosen_by_class_name_or_config(spec):
    net = ConvNeXtV2("atto", response_norm=spec)
    assert {type(block.grn) for stage in net.stages for block in stage} == {BatchGRN}


def test_options_of_a_config_reach_the_layer():
    spec = {"type": "convnextv2.LayerScale", "init_value": 0.5}
    assert ConvNeXtV2("atto", layer_scale=spec).stages[0][0].layer_scale.scale.unique() == 0.5
    assert spec == {"type": "convnextv2.LayerScale", "init_value": 0.5}


def test_what_is_unknown_is_named():
    with pytest.raises(ValueError, match=r"'convnextv2.GRN'\} names no known class: give"):
        resolve({"typ": "convnextv2.GRN"})
    with pytest.raises(ValueError, match="unknown aggregation 'l3'; choose one of l2, l1, average"):
        GRNVariant(4, aggregation="l3")
    with pytest.raises(ValueError, match="unknown normalization 'max'; choose one of divisive"):
        GRNVariant(4, normalization="max")


@each_variant
def test_weights_of_a_variant_fill_the_same_variant(variant, tmp_path):
    """From a checkpoint of pre-training, every tensor, running statistics too."""
    options = {"response_norm": VARIANTS[variant][0], "layer_scale": LayerScale}
    trained = ConvNeXtV2("atto", output_norm=False, **options)
    for tensor in trained.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape) * 9)
    weights = {f"backbone.{name}": tensor for name, tensor in trained.state_dict().items()}
    weights["decoder.mask_token"] = torch.zeros(8)
    path = str(tmp_path / "epoch_1.pth")
    torch.save({"state_dict": weights}, path)
    net = ConvNeXtV2("atto", init_cfg={"type": "Pretrained", "checkpoint": path}, **options)
    net.init_weights()
    loaded = net.state_dict()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_weights_of_v1_do_not_fill_v2_unnoticed(tmp_path):
    path = str(tmp_path / "v1.pth")
    v1 = ConvNeXtV2("atto", response_norm=NoResponseNorm, layer_scale=LayerScale)
    torch.save(v1.state_dict(), path)
    with pytest.raises(ValueError, match=r"24 missing, 12 unexpected"):
        load_pretrained(ConvNeXtV2("atto"), path)
    load_pretrained(ConvNeXtV2("atto"), path, strict=False)


@each_variant
def test_only_matrices_have_weight_decay(variant):
    """Norms, biases, GRN and layer scale are left out, by the constructor of every task."""
    from mmengine.optim import build_optim_wrapper

    net = ConvNeXtV2("atto", response_norm=VARIANTS[variant][0], layer_scale=LayerScale)
    wrapper = build_optim_wrapper(
        net,
        {
            "type": "OptimWrapper",
            "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05},
            "constructor": "convnextv2.LayerDecayOptimWrapperConstructor",
        },
    )
    for group in wrapper.optimizer.param_groups:
        for parameter in group["params"]:
            assert (group["weight_decay"] > 0) == (parameter.dim() > 1)
