"""The supervised stage: a classifier, its data and its augmentation."""

from .folder import LabelledImages

__all__ = ["LabelledImages"]
