"""The backbone as one graph: compiled, exported, and run by onnxruntime."""

import pytest
import torch

from convnextv2.backbone import ConvNeXtV2

ARCH = {"depths": (1, 1, 2, 1), "channels": (8, 16, 32, 64)}
SIZES = [(1, 64, 64), (2, 96, 160), (3, 75, 101)]  # batch, height, width

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = ConvNeXtV2(ARCH).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def assert_same_maps(run, network):
    """At every size, also where the graph was made at another."""
    for batch, height, width in SIZES:
        images = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = network(images)
        for got, wanted in zip(run(images), expected, strict=True):
            torch.testing.assert_close(torch.as_tensor(got), wanted, rtol=1e-4, atol=1e-5)


def test_compiles_to_one_graph_with_the_same_gradients(network):
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    images = torch.randn(2, 3, 64, 96)
    gradients = []
    for net in (network, compiled):
        network.zero_grad()
        sum(m.square().sum() for m in net(images)).backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    for got, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_exported_program_takes_any_batch_and_size(network):
    auto = torch.export.Dim.AUTO
    shapes = {"x": {0: auto, 2: auto, 3: auto}}
    program = torch.export.export(network, (torch.randn(2, 3, 64, 96),), dynamic_shapes=shapes)
    with torch.no_grad():
        assert_same_maps(program.module(), network)


def test_onnxruntime_gives_the_same_maps_at_any_batch_and_size(network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "backbone.onnx"
    shapes = {"x": {0: "batch", 2: "height", 3: "width"}}
    example = (torch.randn(2, 3, 64, 96),)
    torch.onnx.export(network, example, dynamo=True, dynamic_shapes=shapes, verbose=False).save(
        path
    )
    session = onnxruntime.InferenceSession(path)
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert_same_maps(lambda images: session.run(None, {"x": images.numpy()}), network)
