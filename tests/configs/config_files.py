"""The config files, and the model of one without memory for its weights."""

from pathlib import Path

import torch
from mmengine.registry import MODELS, DefaultScope

REPO = Path(__file__).resolve().parents[2]
CONFIGS = REPO / "configs"
BASES = sorted(CONFIGS.glob("_base_/**/*.py"))
LEAVES = sorted(set(CONFIGS.rglob("*.py")) - set(BASES))


def leaf_id(path):
    return path.stem


def build(cfg):
    """The config's model without memory for its weights."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device("meta"):
        return MODELS.build(cfg.model)
