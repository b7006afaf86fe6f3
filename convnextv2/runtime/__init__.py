"""An exported model, run by numpy and onnxruntime alone.

This folder needs no other of this project: copied beside the model, as `convnextv2_runtime`, it
works where neither torch nor mmengine is. The calls and results are those of
`convnextv2.predictor.Predictor`, with arrays in the place of tensors.

from convnextv2.runtime import Predictor

predictor = Predictor("model.onnx")
for found in predictor([image]):
    print(found.sample.pred_instances.bboxes)
"""

from .about import FORM, KEY, read_about
from .graph import Graph, OnnxGraph
from .openvino_graph import OpenVinoGraph
from .predictor import Predictor
from .results import Image, Instances, Prediction

__all__ = [
    "FORM",
    "KEY",
    "Graph",
    "Image",
    "Instances",
    "OnnxGraph",
    "OpenVinoGraph",
    "Prediction",
    "Predictor",
    "read_about",
]
