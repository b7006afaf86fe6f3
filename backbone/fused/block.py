"""The block of Triton kernels, for GPUs: fewer bytes move, and fewer kernels start."""

import os
from functools import cache
from importlib.util import find_spec

import torch
from mmengine.logging import print_log
from torch import Tensor

from convnextv2.registry import MODELS

from ..grid import Grid, Neighbours
from ..grn import GRN
from ..layers import Block, to_map, to_rows
from .depthwise import depthwise_norm
from .response import response_mlp


@MODELS.register_module()
class FusedBlock(Block):
    """`Block` with the same parameters and values, on a GPU by Triton's kernels.

    On a CPU, where Triton is missing (which the log says once) and with another `response_norm`
    than GRN this is `Block`. Under Triton's interpreter (``TRITON_INTERPRET=1``) the kernels run on
    a CPU, to be tested.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to a map of the same shape."""
        if not self.fuses(x.device.type):
            return super().forward(x)
        size = x.shape[2:]
        return to_map(self.fused_rows(to_rows(x), Neighbours(*size)), size)

    def on_rows(self, x: Tensor, grid: Grid) -> Tensor:
        """See `Block.on_rows`."""
        if not self.fuses(x.device.type):
            return super().on_rows(x, grid)
        return self.fused_rows(x, grid.neighbours)

    def fused_rows(self, x: Tensor, neighbours: Neighbours) -> Tensor:
        """The block on rows (B, N, C) that lie as `neighbours` says."""
        device = x.device.type
        mixed = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if mixed else x.dtype
        rows, x = depthwise_norm(x.contiguous(), self.dwconv, self.norm, neighbours, dtype)
        assert isinstance(self.grn, GRN)
        rows = response_mlp(rows, self.pwconv1, self.grn, self.pwconv2)
        return x + self.drop_path(self.layer_scale(rows))

    def fuses(self, device: str) -> bool:
        """Whether the kernels run on ``cpu`` or ``cuda``, and know this block's parts."""
        return type(self.grn) is GRN and can_fuse(device)


@cache
def can_fuse(device: str) -> bool:
    """Whether Triton's kernels run there; the log has a line if Triton is what is missing."""
    if device == "cpu":
        return os.environ.get("TRITON_INTERPRET") == "1"
    found = find_spec("triton") is not None
    if not found:
        print_log("blocks are not fused: no Triton here", logger="current")
    return found
