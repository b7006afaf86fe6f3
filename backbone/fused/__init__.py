"""Blocks of Triton kernels: `block.py` is the block, `*_kernels.py` have what a GPU runs."""

from .block import FusedBlock, can_fuse

__all__ = ["FusedBlock", "can_fuse"]
