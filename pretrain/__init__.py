"""FCMAE pre-training: masking, encoders, decoder, model and data."""

from .data.folder import UnlabelledImages
from .data.preprocessor import FCMAEDataPreprocessor
from .data.tar_shards import UnlabelledShards
from .data.transforms import (
    PackFCMAEInputs,
    RandomFlips,
    RandomResizedCrop,
)
from .decoders import FCMAEDecoder, TransformerDecoder, UNetDecoder
from .encoders.dense import encode_dense
from .encoders.masked_image import encode_masked_image
from .encoders.minkowski import encode_minkowski
from .encoders.packed import encode_packed
from .fcmae import ENCODERS, FCMAE
from .hooks.progress import EstimateHook, ThroughputHook
from .masks import patchify, random_mask, unpatchify
from .metric import ReconstructionLoss
from .reconstruction import ReconstructionHook, feature_diversity, reconstruct

__all__ = [
    "ENCODERS",
    "FCMAE",
    "EstimateHook",
    "FCMAEDataPreprocessor",
    "FCMAEDecoder",
    "PackFCMAEInputs",
    "RandomFlips",
    "RandomResizedCrop",
    "ReconstructionHook",
    "ReconstructionLoss",
    "ThroughputHook",
    "TransformerDecoder",
    "UNetDecoder",
    "UnlabelledImages",
    "UnlabelledShards",
    "encode_dense",
    "encode_masked_image",
    "encode_minkowski",
    "encode_packed",
    "feature_diversity",
    "patchify",
    "random_mask",
    "reconstruct",
    "unpatchify",
]
