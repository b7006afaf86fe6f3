"""The network of an exported ONNX file, in OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .about import KEY, read_about


class OpenVinoGraph:
    """An ONNX file, in OpenVINO: ``Predictor(OpenVinoGraph("model.onnx"))``.

    Args:
        path: Of the file.
        threads: At most so many compute; by default as many as there are cores.

    Attributes:
        about: What the file says of itself.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: OpenVINO is not there.
        ValueError: The file is damaged, was not written by this project, or is none for OpenVINO.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        try:
            import openvino
        except ImportError as error:
            raise ImportError(
                "no OpenVINO here: pip install openvino, or 'convnextv2-dense[openvino]'"
            ) from error
        if not Path(path).is_file():
            raise FileNotFoundError(f"no model at {Path(path).absolute()}")
        # By itself it would compute in bfloat16 where the processor can.
        options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        core = openvino.Core()
        try:
            model = core.read_model(path)
            place = ["framework", KEY]
            text = model.get_rt_info(place).astype(str) if model.has_rt_info(place) else None
            self.about = read_about(text, path)
            self._model = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ValueError(f"{path} is no model for OpenVINO: {str(error)[:300]}") from error
        self._names = [output.get_any_name() for output in model.outputs]

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, by name."""
        found = self._model({"image": images})
        return {name: np.array(found[name]) for name in self._names}
