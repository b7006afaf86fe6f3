"""The supervised stage: a classifier, its data and its augmentation."""

from .folder import LabelledImages
from .tar_shards import LabelledShards

__all__ = ["LabelledImages", "LabelledShards"]
