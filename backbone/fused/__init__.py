"""Blocks of Triton kernels: `block.py` is the block, `*_kernels.py` have what a GPU runs."""

from .block import FusedBlock

__all__ = ["FusedBlock"]
