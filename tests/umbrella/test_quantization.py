"""8 bits: the file finds nearly what it was made of finds, and says the same of itself."""

import numpy as np
import pytest
from test_exports import ExportableEdges

from convnextv2 import runtime
from convnextv2.exports import write
from convnextv2.quantization import quantize


def test_a_model_of_8_bits_is_nearly_the_same(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    exportable, model, out = ExportableEdges(), tmp_path / "a.onnx", tmp_path / "b.onnx"
    write(exportable, model, "onnx")
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((40, 50), (64, 64))]
    found = list(quantize(model, out, images))
    assert len(found) == 2
    for before, after in found:
        largest = np.abs(before.features).max()
        apart = np.abs(before.features - after.features).max()
        assert 0 < apart < 0.05 * largest
    kinds = [node.op_type for node in onnx.load(out).graph.node]
    assert "QuantizeLinear" in kinds
    assert runtime.OnnxGraph(out).about == exportable.about
    # For images of other sizes and in batches, too.
    (one, other) = runtime.Predictor(out)([images[0][:33], images[0][:33]], batch_size=2)
    np.testing.assert_allclose(one.sample.features, other.sample.features, atol=1e-4)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="is no ONNX model"):
        quantize(tmp_path / "a.onnx", tmp_path / "b.onnx", [])
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
