"""FCMAE pre-training: masking, encoders, decoder, model and data."""

from .dataset import UnlabelledImages
from .decoder import FCMAEDecoder
from .dense import encode_dense
from .fcmae import ENCODERS, FCMAE
from .metric import ReconstructionLoss
from .minkowski import encode_minkowski
from .packed import encode_packed
from .patches import patchify, random_mask, unpatchify
from .preprocessor import FCMAEDataPreprocessor
from .progress import EstimateHook, ThroughputHook
from .reconstruction import ReconstructionHook, feature_diversity, reconstruct
from .sharded import ShardedStrategy
from .shards import UnlabelledShards
from .transforms import (
    LoadImage,
    PackFCMAEInputs,
    RandomFlips,
    RandomResizedCrop,
    UnreadableImageError,
)
from .unreadable import UnreadableImagesHook

__all__ = [
    "ENCODERS",
    "FCMAE",
    "EstimateHook",
    "FCMAEDataPreprocessor",
    "FCMAEDecoder",
    "LoadImage",
    "PackFCMAEInputs",
    "RandomFlips",
    "RandomResizedCrop",
    "ReconstructionHook",
    "ReconstructionLoss",
    "ShardedStrategy",
    "ThroughputHook",
    "UnlabelledImages",
    "UnlabelledShards",
    "UnreadableImageError",
    "UnreadableImagesHook",
    "encode_dense",
    "encode_minkowski",
    "encode_packed",
    "feature_diversity",
    "patchify",
    "random_mask",
    "reconstruct",
    "unpatchify",
]
