"""The network of an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .about import KEY, read_about


class Graph(Protocol):
    """The network of an exported file.

    Attributes:
        about: What the file says of itself.
    """

    about: dict[str, Any]

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, by name, of images (B, C, H, W), float32, of one size."""


class OnnxGraph:
    """An ONNX file, in onnxruntime.

    Args:
        path: Of the file.
        threads: At most so many compute; by default as many as there are cores.
        providers: onnxruntime's, in the order in which they are tried.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or was not written by this project.
    """

    def __init__(self, path: str | Path, threads: int = 0, providers: Sequence[str] = ()) -> None:
        import onnxruntime

        if not Path(path).is_file():
            raise FileNotFoundError(f"no model at {Path(path).absolute()}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        providers = list(providers) or ["CPUExecutionProvider"]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own kinds have no common one
            raise ValueError(f"{path} is no ONNX model: {str(error)[:300]}") from error
        given = [value.name for value in self._session.get_inputs()]
        if given != ["image"]:
            raise ValueError(f"{path} takes {', '.join(given)[:100]}, expected one input, image")
        self._names = [output.name for output in self._session.get_outputs()]
        self.about = read_about(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, by name."""
        return dict(zip(self._names, self._session.run(None, {"image": images}), strict=True))
