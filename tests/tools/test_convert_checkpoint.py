"""convert_checkpoint.py: the files that other libraries load, and every layout and back."""

import pytest
import torch
from processes import run
from safetensors.torch import load_file

from convnextv2.backbone import ConvNeXtV2
from convnextv2.engine.weights import read_checkpoint

TOOL = "model_converters/convert_checkpoint.py"
ARCH = {"depths": (1, 1, 2, 1), "channels": (8, 16, 32, 64)}
OTHERS = ["official", "minkowski", "timm", "transformers", "mmpretrain"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = ConvNeXtV2(ARCH)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    return net


@pytest.fixture(scope="module")
def detector(network, tmp_path_factory):
    """A training checkpoint of a detector with this backbone."""
    path = tmp_path_factory.mktemp("detector") / "epoch_1.pth"
    state = {f"backbone.{k}": v for k, v in network.state_dict().items()}
    torch.save({"state_dict": {**state, "neck.weight": torch.zeros(2)}, "meta": {}}, path)
    return path


@pytest.mark.parametrize("layout", OTHERS)
def test_a_training_checkpoint_to_any_layout_and_back(network, detector, tmp_path, layout):
    there, back = tmp_path / "there.pth", tmp_path / "back.safetensors"
    status, output = run(tmp_path, TOOL, detector, there, "--to", layout)
    assert status == 0, output
    dense = layout in ("transformers", "mmpretrain")  # have a place for the output norms
    left_out = "0 without" if dense else "8 without a place there left out (norm0.bias, norm0.weigh"
    assert left_out in output
    assert "1 of other parts left out" in output  # the neck's
    status, output = run(tmp_path, TOOL, there, back)
    assert status == 0, output
    tensors = load_file(back)
    own = {k: v for k, v in network.state_dict().items() if dense or k[:4] != "norm"}
    assert tensors.keys() == own.keys()
    assert all(torch.equal(tensors[k], own[k]) for k in own)


def test_transformers_loads_the_file_and_computes_the_same(network, detector, tmp_path):
    from transformers import ConvNextV2Config, ConvNextV2Model

    path = tmp_path / "model.safetensors"
    status, output = run(tmp_path, TOOL, detector, path, "--to", "transformers")
    assert status == 0, output
    config = ConvNextV2Config(depths=ARCH["depths"], hidden_sizes=ARCH["channels"])
    model = ConvNextV2Model(config).eval()
    tensors = {k.removeprefix("convnextv2."): v for k, v in read_checkpoint(str(path)).items()}
    problems = model.load_state_dict(tensors, strict=False)
    assert set(problems.missing_keys) == {"layernorm.weight", "layernorm.bias"}
    norms = [f"hidden_states_norms.stage{n}.{p}" for n in range(1, 5) for p in ("weight", "bias")]
    assert sorted(problems.unexpected_keys) == sorted(norms)  # of a `ConvNextV2Backbone`
    plain = ConvNeXtV2(ARCH, output_norm=False).eval().double()
    plain.load_state_dict(network.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        expected = model.double()(images).last_hidden_state
        torch.testing.assert_close(plain(images)[-1], expected, rtol=1e-10, atol=1e-10)


def test_one_of_two_networks_is_converted_if_named(network, tmp_path):
    own = network.state_dict()
    other = {k: v + 1 for k, v in own.items()}
    torch.save({"state_dict": own, "state_dict_ema": other}, tmp_path / "two.pth")
    args = tmp_path / "two.pth", tmp_path / "one.safetensors"
    status, output = run(tmp_path, TOOL, *args)
    assert status == 1
    assert "below 'state_dict', 'state_dict_ema'" in output
    assert "--prefix state_dict" in output
    status, output = run(tmp_path, TOOL, *args, "--prefix", "state_dict_ema")
    assert status == 0, output
    tensors = load_file(args[1])
    assert all(torch.equal(tensors[k], other[k]) for k in tensors)


def test_an_incomplete_network_is_refused(network, tmp_path):
    part = {k: v for k, v in network.state_dict().items() if k != "stages.2.0.grn.beta"}
    torch.save(part, tmp_path / "part.pth")
    status, output = run(tmp_path, TOOL, tmp_path / "part.pth", tmp_path / "x.pth")
    assert status == 1
    assert "is not complete" in output
    assert "stages.2.0.grn.beta" in output
    assert "--prefix" in output
    assert not (tmp_path / "x.pth").exists()


def test_what_cannot_be_converted_is_refused_and_leaves_nothing(cwd, detector, tmp_path):
    for args, status, message in [
        ((detector, tmp_path / "x.onnx"), 2, "must end in"),
        ((detector, tmp_path / "no/x.pth"), 2, "does not exist"),
        ((tmp_path / "none.pth", tmp_path / "x.pth"), 1, "no checkpoint at"),
        ((detector, tmp_path / "x.pth", "--to", "torchvision"), 2, "invalid choice"),
    ]:
        got, output = run(cwd, TOOL, *args)
        assert got == status
        assert message in output
        assert "Traceback" not in output
    assert not list(tmp_path.iterdir())
