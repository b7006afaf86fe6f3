"""The supervised stage: a classifier, its data and its augmentation."""

from .classifier import Classifier
from .ema import EMAHook
from .erasing import RandomErasing
from .evaluation_crops import CenterCrop, ResizeShorter, Warp
from .folder import LabelledImages
from .metric import Accuracy
from .mixing import MixBatch
from .rand_augment import RandAugment
from .samples import ClassSample, PackClassInputs
from .tar_shards import LabelledShards

__all__ = [
    "Accuracy",
    "CenterCrop",
    "ClassSample",
    "Classifier",
    "EMAHook",
    "LabelledImages",
    "LabelledShards",
    "MixBatch",
    "PackClassInputs",
    "RandAugment",
    "RandomErasing",
    "ResizeShorter",
    "Warp",
]
