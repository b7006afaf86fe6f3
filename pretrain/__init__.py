"""FCMAE pre-training: masking, encoders, decoder, model and data."""

from .analysis import analyse, trace
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
from .hooks.features import FeatureHook
from .hooks.knn import KNNHook
from .hooks.progress import EstimateHook, ThroughputHook
from .masks import patchify, random_mask, unpatchify
from .metric import ReconstructionLoss
from .reconstruction import ReconstructionHook, explained_detail, reconstruct

__all__ = [
    "ENCODERS",
    "FCMAE",
    "EstimateHook",
    "FCMAEDataPreprocessor",
    "FCMAEDecoder",
    "FeatureHook",
    "KNNHook",
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
    "analyse",
    "encode_dense",
    "encode_masked_image",
    "encode_minkowski",
    "encode_packed",
    "explained_detail",
    "patchify",
    "random_mask",
    "reconstruct",
    "trace",
    "unpatchify",
]
