"""The network: layers, the backbone, checkpoints and layer-wise learning rates."""

from .checkpoint_hook import AtomicCheckpointHook
from .convnextv2 import ARCHS, ConvNeXtV2
from .layer_decay import LayerDecayOptimWrapperConstructor
from .layers import GRN, Block, DropPath, LayerNorm2d, init_weights
from .pretrained import load_pretrained
from .read_checkpoint import read_checkpoint
from .resume import SeededInfiniteSampler, SeededSampler, SeedEveryIterHook, SeedTransforms

__all__ = [
    "ARCHS",
    "GRN",
    "AtomicCheckpointHook",
    "Block",
    "ConvNeXtV2",
    "DropPath",
    "LayerDecayOptimWrapperConstructor",
    "LayerNorm2d",
    "SeedEveryIterHook",
    "SeedTransforms",
    "SeededInfiniteSampler",
    "SeededSampler",
    "init_weights",
    "load_pretrained",
    "read_checkpoint",
]
