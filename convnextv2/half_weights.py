"""Weights of an ONNX model stored in half the bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

FLOAT = 1  # among ONNX's types
_SMALL = 1024  # numbers; what is smaller is not worth it


def store_halves(model: Any) -> None:
    """Store weights as float16 and let the model turn them into float32, in which it computes.

    A runtime does so once, when it loads the model.

    Args:
        model: Of onnx_ir, as torch's exporter gives it; it is changed.

    Raises:
        ValueError: A weight is too large for float16.
    """
    import onnx_ir as ir

    for value in list(model.graph.initializers.values()):
        weights = value.const_value.numpy()
        if weights.dtype != np.float32 or weights.size < _SMALL:
            continue
        if np.abs(weights).max() > np.finfo(np.float16).max:
            raise ValueError(f"{value.name} has values that float16 cannot hold")
        half = ir.Value(
            name=f"{value.name}.float16",
            shape=value.shape,
            type=ir.TensorType(ir.DataType.FLOAT16),
            const_value=ir.Tensor(weights.astype(np.float16)),
        )
        cast = ir.node("Cast", [half], {"to": FLOAT})
        (whole,) = cast.outputs
        whole.shape, whole.type = value.shape, value.type
        ir.convenience.replace_all_uses_with(value, whole)
        model.graph.initializers.pop(value.name)
        model.graph.register_initializer(half)
        model.graph.insert_before(model.graph[0], cast)
