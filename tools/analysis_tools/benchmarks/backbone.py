"""The networks that `benchmark.py backbone` measures, and one step of each.

`PlainConvNeXtV2` is written here for comparison only, the way the network was published:
channels-first convolutions and norms, GRN as its formula stands.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnextv2.backbone import (
    ARCHS,
    GRN,
    CompiledBlock,
    ConvNeXtV2,
    FusedBlock,
    LayerScale,
    NoResponseNorm,
)
from convnextv2.backbone.fused import can_fuse
from convnextv2.engine.cpu_amp import computes_bfloat16
from convnextv2.tools.analysis_tools.benchmarks.measuring import Contestant

REFERENCE = "plain"


def make_contestants(
    arch: str, batch: int, shape: tuple[int, int]
) -> tuple[list[Contestant], list[str]]:
    """Every network that can be had here, on the GPU if there is one.

    Where bfloat16 is computed, each is measured in mixed precision too.

    Returns:
        (contestants, a line for each that cannot be had)
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    images = torch.randn(batch, 3, *shape, device=device)
    contestants, absent = [], []
    for name, build in BUILDERS.items():
        try:
            network = build(arch).to(device)
        except ImportError as error:
            absent.append(f"left out: {name}: {error}")
            continue
        contestants.append(contestant(name, network, images))
        if device.type == "cuda" or computes_bfloat16():
            contestants.append(contestant(f"{name}, bf16", network, images, bf16=True))
    return contestants, absent


def contestant(name: str, network: nn.Module, images: Tensor, bf16: bool = False) -> Contestant:
    """The two steps of a network that returns its four maps."""
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=bf16)

    def inference() -> None:
        network.eval()
        with torch.inference_mode(), autocast:
            network(images)

    def train() -> None:
        network.train()
        network.zero_grad()
        with autocast:
            loss = sum(m.float().square().mean() for m in network(images))
        loss.backward()

    return Contestant(name, inference, train, len(images))


class PlainGRN(GRN):
    """The formula on (B, H, W, C), with the norm as published."""

    def forward(self, x: Tensor) -> Tensor:
        return self.normalize(x, torch.norm(x, p=2, dim=(1, 2), keepdim=True))


class PlainNorm(nn.Module):
    """LayerNorm over the channels of (B, C, H, W), by elementary operations."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        x = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class PlainBlock(nn.Module):
    """The block of Figure 5, the inner part channels-last by two transpositions."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.grn = PlainGRN(4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.pwconv2(self.grn(F.gelu(self.pwconv1(y))))
        return x + y.permute(0, 3, 1, 2)


class PlainConvNeXtV2(nn.Module):
    """The network as published; returns the maps of its four stages."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        depths, dims = ARCHS[arch]["depths"], ARCHS[arch]["channels"]
        stem = nn.Sequential(nn.Conv2d(3, dims[0], 4, stride=4), PlainNorm(dims[0]))
        self.downsample_layers = nn.ModuleList([stem])
        for narrow, wide in pairwise(dims):
            conv = nn.Conv2d(narrow, wide, 2, stride=2)
            self.downsample_layers.append(nn.Sequential(PlainNorm(narrow), conv))
        self.stages = nn.ModuleList(
            nn.Sequential(*(PlainBlock(dim) for _ in range(depth)))
            for dim, depth in zip(dims, depths, strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
            maps.append(x)
        return tuple(maps)


def build_this(arch: str) -> nn.Module:
    """Our backbone; without output norms, which the peers do not have."""
    return ConvNeXtV2(arch, output_norm=False)


def build_compiled(arch: str) -> nn.Module:
    """Our backbone with compiled blocks."""
    return ConvNeXtV2(arch, output_norm=False, block=CompiledBlock)


def build_fused(arch: str, **options: Any) -> nn.Module:
    """Our backbone with fused blocks, and options of its own.

    Raises:
        ImportError: There is no GPU, or no Triton.
    """
    if not can_fuse("cuda" if torch.cuda.is_available() else "cpu"):
        raise ImportError("needs Triton and a GPU")
    return ConvNeXtV2(arch, block=FusedBlock, **options)


def build_v1(arch: str) -> nn.Module:
    """Our backbone with V1's blocks."""
    return ConvNeXtV2(arch, output_norm=False, response_norm=NoResponseNorm, layer_scale=LayerScale)


class TransformersMaps(nn.Module):
    """transformers' network, returning its maps as ours does."""

    def __init__(self, arch: str) -> None:
        from transformers import ConvNextV2Config, ConvNextV2Model

        super().__init__()
        sizes = ARCHS[arch]
        config = ConvNextV2Config(depths=sizes["depths"], hidden_sizes=sizes["channels"])
        self.model = ConvNextV2Model(config)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.model(x, output_hidden_states=True).hidden_states[-4:]


def build_timm(arch: str) -> nn.Module:
    """timm's network; without pre-trained weights."""
    import timm

    return timm.create_model(f"convnextv2_{arch}", pretrained=False, features_only=True)


def build_mmpretrain(arch: str) -> nn.Module:
    """mmpretrain's network."""
    from mmpretrain.models import ConvNeXt

    options = {"use_grn": True, "layer_scale_init_value": 0.0, "gap_before_final_norm": False}
    return ConvNeXt(arch, out_indices=(0, 1, 2, 3), **options)


BUILDERS: dict[str, Callable[[str], nn.Module]] = {
    REFERENCE: PlainConvNeXtV2,
    "this project": build_this,
    "compiled": build_compiled,
    "fused": partial(build_fused, output_norm=False),
    "this project, V1 blocks": build_v1,
    "transformers": TransformersMaps,
    "timm": build_timm,
    "mmpretrain": build_mmpretrain,
}
