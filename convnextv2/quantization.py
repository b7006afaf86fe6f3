"""Exported models that compute in 8 bits, by ranges of values that real images show.

Convolutions and products of matrices become static int8 (onnxruntime's QDQ form, a scale for each
channel of the weights); all else computes float32 as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from convnextv2 import runtime

QUANTIZED = ["Conv", "MatMul", "Gemm"]


class Recorder:
    """A graph that keeps what it is given.

    Args:
        graph: What computes.

    Attributes:
        given: All images (B, C, H, W) so far.
    """

    def __init__(self, graph: runtime.Graph) -> None:
        self._graph, self.about = graph, graph.about
        self.given: list[np.ndarray] = []

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, by name."""
        self.given.append(images)
        return self._graph(images)


def quantize(
    model: str | Path, out: str | Path, images: Iterable[runtime.Image]
) -> Iterator[tuple[Any, Any]]:
    """Write an exported model in 8 bits; yields what both find in each image.

    Args:
        model: An ONNX file of this project.
        out: To write.
        images: Typical ones; some ten are enough. They are in memory together.

    Raises:
        FileNotFoundError: There is no such model.
        ValueError: It is none, or an image cannot be read.
    """
    images = list(images)
    recorder = Recorder(runtime.OnnxGraph(model))
    expected = [found.sample for found in runtime.Predictor(recorder)(images)]
    _write(Path(model), Path(out), recorder.given)
    found = runtime.Predictor(out)(images)
    return ((one, other.sample) for one, other in zip(expected, found, strict=True))


def _write(model: Path, out: Path, given: list[np.ndarray]) -> None:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        prepared, quantized = (Path(folder) / f"{name}.onnx" for name in ("prepared", "quantized"))
        # Symbolic shapes need sympy, and nothing here needs them.
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _make_reader(given),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        content = onnx.load(quantized)
    about = {prop.key: prop.value for prop in onnx.load(model).metadata_props}
    onnx.helper.set_model_props(content, about)
    onnx.save(content, out)


def _make_reader(given: list[np.ndarray]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        feeds = iter([{"image": images} for images in given])

        def get_next(self) -> dict | None:
            return next(self.feeds, None)

    return Reader()
