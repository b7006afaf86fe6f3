"""The network: layers, the backbone, checkpoints and layer-wise learning rates."""

from .compiled import CompiledBlock
from .convnextv2 import ARCHS, ConvNeXtV2
from .fused import FusedBlock
from .grid import Grid, Neighbours
from .grn import GRN, ResponseNorm
from .layer_decay import LayerDecayOptimWrapperConstructor
from .layers import Block, DropPath, LayerNorm2d, init_weights
from .pretrained import load_pretrained
from .variants import (
    BatchGRN,
    BNResponse,
    CBAMResponse,
    GRNVariant,
    LayerScale,
    LNResponse,
    LRNResponse,
    NoResponseNorm,
    SEResponse,
)

__all__ = [
    "ARCHS",
    "GRN",
    "BNResponse",
    "BatchGRN",
    "Block",
    "CBAMResponse",
    "CompiledBlock",
    "ConvNeXtV2",
    "DropPath",
    "FusedBlock",
    "GRNVariant",
    "Grid",
    "LNResponse",
    "LRNResponse",
    "LayerDecayOptimWrapperConstructor",
    "LayerNorm2d",
    "LayerScale",
    "Neighbours",
    "NoResponseNorm",
    "ResponseNorm",
    "SEResponse",
    "init_weights",
    "load_pretrained",
]
