"""Weights that are stored as float16: half the bytes, nearly the same values."""

import numpy as np
import onnxruntime
import pytest

from convnextv2.half_weights import store_halves

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")


def write(path, weights):
    """One product with a matrix, and a small one that is left as it is."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weights"], ["y"]),
            helper.make_node("Add", ["y", "bias"], ["z"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", kind, ["n", 64])],
        [helper.make_tensor_value_info("z", kind, ["n", 64])],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(np.full(64, 1e-9, np.float32), "bias"),
        ],
    )
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return ir.load(path)


def test_half_the_bytes_give_nearly_the_same(tmp_path):
    rng = np.random.default_rng(0)
    model = write(tmp_path / "whole.onnx", rng.standard_normal((64, 64)).astype(np.float32))
    store_halves(model)
    ir.save(model, tmp_path / "half.onnx")
    content = onnx.load(tmp_path / "half.onnx")
    onnx.checker.check_model(content, full_check=True)
    kinds = {tensor.name: tensor.data_type for tensor in content.graph.initializer}
    assert kinds == {"weights.float16": onnx.TensorProto.FLOAT16, "bias": onnx.TensorProto.FLOAT}
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    x = rng.standard_normal((3, 64)).astype(np.float32)
    half, whole = (
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"x": x})[0]
        for name in ("half", "whole")
    )
    assert 0 < np.abs(half - whole).max() < 0.02


def test_what_float16_cannot_hold_is_refused(tmp_path):
    model = write(tmp_path / "a.onnx", np.full((64, 64), 1e5, np.float32))
    with pytest.raises(ValueError, match="weights has values that float16 cannot hold"):
        store_halves(model)
