"""The supervised stage: a classifier, its data and its augmentation."""

from .ema import EMAHook
from .erasing import RandomErasing
from .evaluation_crops import CenterCrop, ResizeShorter, Warp
from .folder import LabelledImages
from .mixing import MixBatch
from .rand_augment import RandAugment
from .tar_shards import LabelledShards

__all__ = [
    "CenterCrop",
    "EMAHook",
    "LabelledImages",
    "LabelledShards",
    "MixBatch",
    "RandAugment",
    "RandomErasing",
    "ResizeShorter",
    "Warp",
]
