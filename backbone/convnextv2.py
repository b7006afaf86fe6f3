"""The ConvNeXt V2 backbone (arXiv 2301.00808).

| level | module                                | stride | width    |
|-------|---------------------------------------|--------|----------|
| stem  | downsample_layers.0: conv 4x4, norm   | 4      | C        |
| 0     | stages.0: depths[0] blocks            | 4      | C        |
| 1     | downsample_layers.1, stages.1         | 8      | 2C       |
| 2     | downsample_layers.2, stages.2         | 16     | 4C       |
| 3     | downsample_layers.3, stages.3         | 32     | 8C       |

downsample_layers.1 to 3: norm, conv 2x2 of stride 2. Parameter names are those of the released
checkpoints. `norm0` to `norm3` normalise the outputs for the head that follows and belong to no
pre-trained network.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpoint_activations

from convnextv2.registry import MODELS

from .grn import GRN
from .layers import Block, LayerNorm2d, Maker, init_weights, resolve
from .pretrained import load_pretrained

# Paper, A.1: depths and the width of the first stage, which doubles from stage to stage.
_DEPTHS_WIDTH = {
    "atto": ((2, 2, 6, 2), 40),
    "femto": ((2, 2, 6, 2), 48),
    "pico": ((2, 2, 6, 2), 64),
    "nano": ((2, 2, 8, 2), 80),
    "tiny": ((3, 3, 9, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
    "huge": ((3, 3, 27, 3), 352),
}
ARCHS = {
    name: {"depths": depths, "channels": tuple(width * 2**i for i in range(4))}
    for name, (depths, width) in _DEPTHS_WIDTH.items()
}


@MODELS.register_module()
class ConvNeXtV2(BaseModule):
    """ConvNeXt V2 as a backbone for dense prediction.

    Args:
        arch: ``atto femto pico nano tiny base large huge``, or a dict with `depths` and
            `channels`, four integers each.
        in_channels: Channels of the image.
        out_indices: Stages whose outputs are returned, in this order; 0 has stride 4, 3 has 32.
        drop_path_rate: Stochastic depth rate of the last block; grows linearly from 0.
        output_norm: Normalise each returned map, as heads of detectors and segmenters expect.
        frozen_stages: Number of stages, counted from the stem, that do not train. 1 freezes the
            stem and stage 0; 0 freezes nothing.
        with_cp: Recompute each block in the backward pass instead of storing its activations.
        response_norm: Makes what stands between a block's linear layers, see `Block`: a class, or
            in a config ``dict(type='convnextv2.GRNVariant', residual=False)``.
        layer_scale: Makes what scales a block's residual branch, likewise.
        block: Makes the blocks, likewise: ``convnextv2.CompiledBlock`` trains faster,
            ``convnextv2.FusedBlock`` has kernels for GPUs.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH_OR_URL)`` takes the files listed in
            `engine/weights.py`; the other arguments of `load_pretrained` can be added, such as
            ``prefix='state_dict_ema'`` for a file that holds the network more than once.

    Raises:
        ValueError: An unknown arch, or a value outside its range.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]] = "tiny",
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        drop_path_rate: float = 0.0,
        output_norm: bool = True,
        frozen_stages: int = 0,
        with_cp: bool = False,
        response_norm: Maker = GRN,
        layer_scale: Maker = nn.Identity,
        block: Maker = Block,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.depths, self.channels = _resolve_arch(arch)
        if not out_indices or not set(out_indices) <= {0, 1, 2, 3}:
            raise ValueError(f"out_indices must be some of 0, 1, 2, 3, got {out_indices}")
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f"drop_path_rate must be in [0, 1), got {drop_path_rate}")
        if not 0 <= frozen_stages <= 4:
            raise ValueError(f"frozen_stages must be 0 to 4, got {frozen_stages}")
        self.in_channels = in_channels
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp

        dims = self.channels
        stem = nn.Sequential(nn.Conv2d(in_channels, dims[0], 4, stride=4), _norm(dims[0]))
        self.downsample_layers = nn.ModuleList([stem])
        for i in range(3):
            conv = nn.Conv2d(dims[i], dims[i + 1], kernel_size=2, stride=2)
            self.downsample_layers.append(nn.Sequential(_norm(dims[i]), conv))

        make_block = resolve(block)
        total = sum(self.depths)
        rates = iter([drop_path_rate * k / max(total - 1, 1) for k in range(total)])
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(make_block(dim, next(rates), response_norm, layer_scale) for _ in range(depth))
            )
            for dim, depth in zip(dims, self.depths, strict=True)
        )
        self.apply(init_weights)

        if output_norm:
            for i in self.out_indices:
                self.add_module(f"norm{i}", _norm(dims[i]))
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Image (B, in_channels, H, W) to a map (B, channels[i], H/s, W/s) for each out index.

        Inside, memory is channels-last; the maps are contiguous, because mmcv's RoIAlign and
        other ops of its read the memory as it lies and silently give wrong values otherwise.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        maps = {}
        for i, (downsample, stage) in enumerate(self.levels()):
            x = downsample(x)
            for block in stage:
                x = self.run(block, x)
            if i in self.out_indices:
                norm = getattr(self, f"norm{i}", None)
                maps[i] = (x if norm is None else norm(x)).contiguous()
        return tuple(maps[i] for i in self.out_indices)

    def levels(self) -> Iterator[tuple[nn.Sequential, nn.Sequential]]:
        """The way down to each level and the blocks of its stage, from stride 4 to 32."""
        pairs: Any = zip(self.downsample_layers, self.stages, strict=True)
        return pairs

    def init_weights(self) -> None:
        """Load the checkpoint that `init_cfg` names; without one, keep the initialisation."""
        cfg = self.init_cfg
        if isinstance(cfg, dict) and cfg.get("type") == "Pretrained":
            options = {k: v for k, v in cfg.items() if k not in ("type", "checkpoint")}
            load_pretrained(self, cfg["checkpoint"], **options)
            self._is_init = True
        else:
            super().init_weights()

    def train(self, mode: bool = True) -> "ConvNeXtV2":
        """Set training mode; frozen stages stay in evaluation mode. Returns self."""
        super().train(mode)
        self._freeze_stages()
        return self

    def run(self, function: Callable[..., Tensor], x: Tensor, *args: object) -> Tensor:
        """`function(x, *args)`, recomputed in the backward pass if `with_cp` asks for it."""
        if self.with_cp and x.requires_grad:
            return checkpoint_activations(function, x, *args, use_reentrant=False)
        return function(x, *args)

    def layer_depth(self, name: str, decay_type: str) -> tuple[int, int]:
        """Where a parameter stands, for learning rates that decay with depth.

        Args:
            name: Parameter name within this backbone.
            decay_type: ``block_wise``: every block is a step, the first one with the stem, as
                the released fine-tuning code has it. ``layer_wise``: the first two stages, the
                last, and every three blocks of the third are a step each; 12 steps above the
                stem for depth 27 (paper, A.1, after BEiT). ``stage_wise``: every stage is a step.

        Returns:
            (depth, deepest): 0 or 1 for the stem up to `deepest` for the last block. Output norms
            belong to the head, `deepest` + 1.
        """
        blocks_a_step = {
            "block_wise": (1, 1, 1, 1),
            "layer_wise": (self.depths[0], self.depths[1], 3, self.depths[3]),
            "stage_wise": self.depths,
        }
        if decay_type not in blocks_a_step:
            raise ValueError(f"decay_type must be one of {list(blocks_a_step)}, got {decay_type!r}")
        size = blocks_a_step[decay_type]
        steps = [math.ceil(depth / n) for depth, n in zip(self.depths, size, strict=True)]
        deepest = sum(steps)
        part, number, *rest = name.split(".")
        if part not in ("stages", "downsample_layers"):
            return deepest + 1, deepest
        stage = int(number)
        if part == "downsample_layers":
            below = stage == 0 and decay_type != "block_wise"
            return (0 if below else sum(steps[:stage]) + 1), deepest
        return sum(steps[:stage]) + int(rest[0]) // size[stage] + 1, deepest

    def _freeze_stages(self) -> None:
        for i in range(self.frozen_stages):
            for part in (self.downsample_layers[i], self.stages[i]):
                part.eval().requires_grad_(False)


def _norm(dim: int) -> LayerNorm2d:
    return LayerNorm2d(dim, eps=1e-6)


def _resolve_arch(arch: str | Mapping[str, Sequence[int]]) -> tuple[tuple, tuple]:
    if isinstance(arch, str):
        if arch not in ARCHS:
            raise ValueError(f"unknown arch {arch!r}; choose one of {', '.join(ARCHS)}")
        arch = ARCHS[arch]
    if set(arch) != {"depths", "channels"} or any(len(v) != 4 for v in arch.values()):
        raise ValueError(f"arch must have `depths` and `channels`, four integers each, got {arch}")
    return tuple(arch["depths"]), tuple(arch["channels"])
