"""Supervised training on labelled images: the classifier between FCMAE and the dense tasks."""

from .erasing import RandomErasing
from .evaluation_crops import CenterCrop, ResizeShorter, Warp
from .mixing import MixBatch
from .rand_augment import RandAugment

__all__ = [
    "CenterCrop",
    "MixBatch",
    "RandAugment",
    "RandomErasing",
    "ResizeShorter",
    "Warp",
]
