"""Weight files of every layout load completely, or are refused with the reason."""

import argparse
import logging
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import MODELS

from convnextv2.backbone import ConvNeXtV2, load_pretrained
from convnextv2.backbone.checkpoint_keys import convert_keys
from convnextv2.backbone.find_weights import find_weights
from convnextv2.backbone.layouts import LAYOUTS
from convnextv2.engine.weights import read_checkpoint

ARCH = {"depths": (1, 1, 2, 1), "channels": (8, 16, 32, 64)}


@pytest.fixture
def weights():
    """A classifier's state dict in our names, every tensor random."""
    torch.manual_seed(0)
    net = ConvNeXtV2(ARCH, output_norm=False)
    state = {k: torch.randn_like(v) for k, v in net.state_dict().items()}
    state |= {"norm.weight": torch.randn(64), "norm.bias": torch.randn(64)}
    return state | {"head.weight": torch.randn(10, 64), "head.bias": torch.randn(10)}


def convert_from_ours(weights, layout):
    """A state dict in another layout; without the classifier where the layout has none."""
    if layout == "minkowski":
        weights = {k: v for k, v in weights.items() if not k.startswith(("norm.", "head."))}
    tensors, unknown, _ = convert_keys(weights, "convnextv2", layout)
    assert not unknown
    return tensors


@given(
    source=st.sampled_from(LAYOUTS),
    target=st.sampled_from(LAYOUTS),
    depths=st.tuples(*[st.integers(1, 4)] * 4),
    width=st.sampled_from([1, 3, 5, 40]),  # 40: timm keeps 1x1 convolutions
    in_channels=st.integers(1, 5),
    with_head=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_layout_to_any_other_and_back_is_the_identity(
    source, target, depths, width, in_channels, with_head
):
    channels = [width * 2**i for i in range(4)]
    with torch.device("meta"):
        net = ConvNeXtV2({"depths": depths, "channels": channels}, in_channels, output_norm=False)
    ours = {k: torch.randn(v.shape) for k, v in net.state_dict().items()}
    if with_head:
        ours |= {k: torch.randn(channels[-1]) for k in ("norm.weight", "norm.bias")}
        ours |= {"head.weight": torch.randn(10, channels[-1]), "head.bias": torch.randn(10)}
    start = convert_from_ours(ours, source)
    assert find_weights(start).layout == source
    there, left_out, _ = convert_keys(start, source, target)
    back, unknown, _ = convert_keys(there, target, source)
    assert not unknown
    if target == "minkowski" and source != target:  # has no classifier
        assert len(left_out) == (4 if with_head else 0)
        start = {k: v for k, v in start.items() if k not in left_out}
    else:
        assert not left_out
    assert back.keys() == start.keys()
    for key in start:
        assert back[key].shape == start[key].shape
        assert torch.equal(back[key], start[key])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_told_apart(weights, layout):
    assert find_weights(convert_from_ours(weights, layout)).layout == layout


@pytest.mark.parametrize(
    ("layout", "prefix"), [("transformers", "convnextv2."), ("mmpretrain", "backbone.")]
)
def test_files_of_the_network_alone_have_no_prefix(weights, layout, prefix):
    """Such as `ConvNextV2Model.save_pretrained` writes."""
    tensors = {k.removeprefix(prefix): v for k, v in convert_from_ours(weights, layout).items()}
    assert find_weights(tensors).layout == layout
    back = convert_keys(tensors, layout, "convnextv2").tensors
    assert torch.equal(back["stages.2.1.dwconv.weight"], weights["stages.2.1.dwconv.weight"])
    assert len(back) == len(weights)


def test_sparse_kernels_are_x_major(weights):
    """Row 7 * x + y of MinkowskiEngine's kernel is the weight at row y and column x."""
    kernel = convert_from_ours(weights, "minkowski")["encoder.stages.2.1.dwconv.kernel"]
    assert kernel.shape == (49, 32)
    weight = weights["stages.2.1.dwconv.weight"]
    for x in range(7):
        for y in range(7):
            assert torch.equal(kernel[7 * x + y], weight[:, 0, y, x])
    down = convert_from_ours(weights, "minkowski")["encoder.downsample_layers.1.1.kernel"]
    assert torch.equal(down[2 * 1 + 0].T, weights["downsample_layers.1.1.weight"][:, :, 0, 1])


def _save(path, weights, layout, wrap):
    content = convert_from_ours(weights, layout)
    if wrap == "safetensors":
        from safetensors.torch import save_file

        path = path.with_suffix(".safetensors")
        save_file(content, path)
    elif wrap == "authors":
        torch.save({"model": content, "args": argparse.Namespace(lr=1e-3, epochs=600)}, path)
    elif wrap == "ddp":
        torch.save({"state_dict": {f"module.{k}": v for k, v in content.items()}}, path)
    else:
        torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("wrap", ["plain", "authors", "ddp", "safetensors"])
def test_init_cfg_takes_every_layout_and_file(tmp_path, weights, layout, wrap):
    path = _save(tmp_path / "weights.pth", weights, layout, wrap)
    net = MODELS.build(
        {
            "type": "convnextv2.ConvNeXtV2",
            "arch": ARCH,
            "init_cfg": {"type": "Pretrained", "checkpoint": path},
        }
    )
    net.init_weights()
    for name, tensor in net.state_dict().items():
        if name[:4] != "norm":
            assert torch.equal(tensor, weights[name]), name
    assert torch.equal(net.norm3.weight, torch.ones(64))


def test_a_detectors_checkpoint_brings_its_output_norms(tmp_path):
    trained = ConvNeXtV2(ARCH)
    torch.nn.init.normal_(trained.norm1.weight)
    state = {f"backbone.{k}": v for k, v in trained.state_dict().items()}
    state["neck.lateral.weight"] = torch.zeros(3)
    torch.save({"state_dict": state, "meta": {"epoch": 1}}, tmp_path / "epoch_1.pth")
    net = ConvNeXtV2(ARCH)
    load_pretrained(net, str(tmp_path / "epoch_1.pth"))
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name]), name


@pytest.mark.parametrize("how", ["mean", "repeat", "zero"])
@pytest.mark.parametrize("in_channels", [1, 2, 5])
def test_the_stem_takes_another_number_of_channels(tmp_path, weights, how, in_channels):
    path = _save(tmp_path / "rgb.pth", weights, "official", "plain")
    net = ConvNeXtV2(ARCH, in_channels)
    line = load_pretrained(net, path, inflate=how)
    assert f"stem from 3 to {in_channels} channels by {how!r}" in line
    rgb, stem = weights["downsample_layers.0.0.weight"], net.downsample_layers[0][0].weight
    for i in range(in_channels):
        expected = {
            "mean": rgb.mean(1) * 3 / in_channels,
            "repeat": rgb[:, i % 3] * 3 / in_channels,
            "zero": rgb[:, i] if i < 3 else torch.zeros(8, 4, 4),
        }
        torch.testing.assert_close(stem[:, i], expected[how])
    with pytest.raises(ValueError, match="inflate must be one of mean, repeat, zero"):
        load_pretrained(net, path, inflate="copy")


def test_a_file_that_fills_a_part_is_refused_unless_asked_for(tmp_path, weights):
    del weights["stages.2.1.pwconv1.weight"]
    weights["stages.0.0.dwconv.weight"] = torch.zeros(8, 1, 3, 3)
    path = _save(tmp_path / "part.pth", weights, "convnextv2", "plain")
    net = ConvNeXtV2(ARCH)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    message = r"64 of 66 tensors.*1 missing.*1 of another shape[\s\S]*stages.2.1.pwconv1.weight"
    with pytest.raises(ValueError, match=message):
        load_pretrained(net, path)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    load_pretrained(net, path, strict=False)
    assert torch.equal(net.stages[3][0].norm.weight, weights["stages.3.0.norm.weight"])
    assert torch.equal(net.stages[0][0].dwconv.weight, before["stages.0.0.dwconv.weight"])


def test_another_arch_is_refused(tmp_path, weights):
    path = _save(tmp_path / "tiny.pth", weights, "timm", "plain")
    with pytest.raises(ValueError, match="Is this the right arch"):
        load_pretrained(ConvNeXtV2("atto"), path)


class _Touch:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mknod, (str(self.path),)


def test_a_file_with_foreign_objects_is_refused_and_runs_nothing(tmp_path, weights):
    trace = tmp_path / "it-ran"
    torch.save({"model": weights, "extra": _Touch(trace)}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="was refused"):
        read_checkpoint(str(tmp_path / "evil.pth"))
    assert not trace.exists()


def test_missing_and_empty_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        read_checkpoint(str(tmp_path / "nowhere.pth"))
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    with pytest.raises(ValueError, match="holds no tensors"):
        read_checkpoint(str(tmp_path / "none.pth"))


def test_loading_logs_what_matched(tmp_path, weights):
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    path = _save(tmp_path / "w.pth", weights, "official", "plain")
    try:
        line = load_pretrained(ConvNeXtV2(ARCH), path)
    finally:
        logger.removeHandler(handler)
    assert lines == [line]
    # 5 blocks have two GRN parameters each; the classifier's norm and head are 4 tensors.
    assert line == (
        f"{path} (official): 66 of 66 tensors matched, 0 missing, 0 unexpected, 0 of another "
        "shape, 10 reshaped, 4 of other parts left out"
    )
