"""The network: layers, the backbone, checkpoints and layer-wise learning rates."""

from .convnextv2 import ARCHS, ConvNeXtV2
from .grn import GRN, ResponseNorm
from .layer_decay import LayerDecayOptimWrapperConstructor
from .layers import Block, DropPath, LayerNorm2d, init_weights
from .pretrained import load_pretrained

__all__ = [
    "ARCHS",
    "GRN",
    "Block",
    "ConvNeXtV2",
    "DropPath",
    "LayerDecayOptimWrapperConstructor",
    "LayerNorm2d",
    "ResponseNorm",
    "init_weights",
    "load_pretrained",
]
