"""Writing a network and holding the file against it, whatever the task."""

import json
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from torch import nn

from convnextv2 import runtime
from convnextv2.engine.errors import InputError
from convnextv2.exports import Difference, Exportable, TorchGraph, find_images, verify, write


class Edges(nn.Module):
    """One convolution, and the mean of what it finds."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image):
        x = self.conv(image).relu()
        return {"features": x, "pooled": x.mean((2, 3))}


class ExportableEdges(Exportable):
    outputs = ("features", "pooled")

    def __init__(self):
        self.network = Edges()
        image = {
            "channels": 3,
            "channel_order": "rgb",
            "dtype": None,
            "steps": [],
            "smallest": 32,
        }
        self.about = {"form": runtime.FORM, "task": "edges", "kind": "features", "image": image}
        self.about |= {"classes": [], "palette": [], "label_offset": 0, "windows": None}

    def predict(self, image):
        inputs = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            return self.network(inputs)["features"][0].numpy()

    def compare(self, expected, found):
        return [Difference("a feature", float(np.abs(expected - found.features).max()), 1e-3)]


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_a_file_gives_what_the_network_gives(kind, tmp_path):
    if kind == "onnx":
        pytest.importorskip("onnxscript")
    exportable, path = ExportableEdges(), tmp_path / "model"
    write(exportable, path, kind)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((64, 64), (70, 99))]
    (difference,) = verify(exportable, path, kind, images)
    assert 0 <= difference.found < 1e-3
    graph = runtime.OnnxGraph(path) if kind == "onnx" else TorchGraph(path)
    assert graph.about == exportable.about
    inputs = rng.random((3, 3, 80, 64), np.float32)  # a batch, of another size
    found = graph(inputs)
    assert tuple(found) == exportable.outputs
    if kind == "onnx":
        (given,) = graph._session.get_inputs()
        assert given.shape == ["batch", 3, "height", "width"]
    with torch.no_grad():
        expected = exportable.network(torch.from_numpy(inputs))
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)

    with pytest.raises(InputError, match=r"nothing was compared: .* Give others with --images"):
        verify(exportable, path, kind, [])

    # A file that is no copy of the model is refused.
    nn.init.ones_(exportable.network.conv.bias)
    with pytest.raises(InputError, match=r"no copy of the model\. a feature: "):
        verify(exportable, path, kind, images)


def test_openvino_gives_the_same(tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    exportable, path = ExportableEdges(), tmp_path / "a.onnx"
    write(exportable, path, "onnx")
    graphs = runtime.OnnxGraph(path, 1), runtime.OpenVinoGraph(path, 1)
    assert graphs[0].about == graphs[1].about
    for shape in ((1, 3, 64, 64), (3, 3, 70, 99)):
        images = np.random.default_rng(0).random(shape, np.float32) * 255
        expected, found = (graph(images) for graph in graphs)
        assert list(found) == list(expected)
        for name, values in found.items():
            np.testing.assert_allclose(values, expected[name], atol=1e-3)
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"a\.onnx is no model for OpenVINO"):
        runtime.OpenVinoGraph(path)


def test_without_openvino_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r"convnextv2-dense\[openvino\]"):
        runtime.OpenVinoGraph(tmp_path / "a.onnx")


class Mixing(Edges):
    """Its images know of each other, if there are several."""

    def forward(self, image):
        found = super().forward(image)
        return {name: value - value.mean(0) for name, value in found.items()}


def test_images_of_one_batch_are_compared_too(tmp_path):
    exportable, path = ExportableEdges(), tmp_path / "model"
    exportable.network = Mixing()
    write(exportable, path, "torch")
    image = np.random.default_rng(0).integers(0, 256, (70, 80, 3), np.uint8)
    with pytest.raises(InputError, match=r"no copy of the model\. a feature: "):
        verify(exportable, path, "torch", [image])


def test_weights_that_a_file_cannot_hold_are_refused(tmp_path):
    exportable = ExportableEdges()
    with torch.device("meta"):
        exportable.network.large = nn.Linear(2**15, 2**15)
    with pytest.raises(InputError, match="use --weights float16 or --to torch"):
        write(exportable, tmp_path / "a.onnx", "onnx")


def test_images_to_compare_on_are_files(tmp_path):
    entry = {"type": BaseDataset, "lazy_init": False, "ann_file": str(tmp_path / "a.json")}
    paths = [str(tmp_path / name) for name in ("shard.tar/a.png", "b.png")]
    listed = {"metainfo": {}, "data_list": [{"img_path": path} for path in paths]}
    (tmp_path / "a.json").write_text(json.dumps(listed))
    cfg = Config({"test_dataloader": {"dataset": entry}})
    assert find_images(cfg) == []
    (tmp_path / "b.png").touch()
    assert find_images(cfg) == paths[1:]
