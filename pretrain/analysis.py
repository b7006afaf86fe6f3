"""What a network's layers have come to: the analyses of the paper (Figures 3, 4 and 7).

`trace` runs a backbone and shows the features of every block, at one or more points of it:

| point     | features (B, C, H, W)                                      | channels |
|-----------|------------------------------------------------------------|----------|
| block     | the block's output, with its input added                    | C        |
| expansion | behind the first linear layer and GELU                      | 4C       |
| response  | behind GRN, or what stands in its place; in V1 = expansion  | 4C       |

At which one the paper looked is not told by its text for every figure, so it is an option.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from convnextv2.backbone import Block, ConvNeXtV2

from .measures import ChannelStates, ClassMeans, Spectrum, channel_distance, effective_rank

POINTS = ("block", "expansion", "response")

# What `Report.find_collapse` calls a collapse; far from what healthy networks have, whether
# trained or just initialised: distances of .35 to .5, tens of directions, a fifth of the square.
ALIKE = 0.05  # cosine distance between the channels of a stage
FEW_DIRECTIONS = 2  # effective rank of a stage
CONSTANT = 0.01  # share of a stage's mean square that varies
IDLE = 0.5  # share of dead and saturated channels of a layer


class Place(NamedTuple):
    """A block of the backbone, counted from 0."""

    stage: int
    block: int
    last: bool
    """Whether it is the last of its stage."""

    def __str__(self) -> str:
        return f"stages.{self.stage}.{self.block}"


class Distance(NamedTuple):
    """Feature cosine distance over images."""

    mean: float
    std: float
    """Of the images, not of the mean."""


@dataclass
class LayerReport:
    """What a layer's features are like at the point that was looked at.

    Attributes:
        place: The block.
        position: Normalised layer index, 0 the first block and 1 the last.
        channels: Their number.
        distance: See `measures.channel_distance`.
        dead: Share of the channels, see `measures.ChannelStates`.
        saturated: Likewise.
        selectivity: Of each channel; empty without classes.
    """

    place: Place
    position: float
    channels: int
    distance: Distance
    dead: float
    saturated: float
    selectivity: list[float] = field(default_factory=list)


@dataclass
class StageReport:
    """What a stage's output is like.

    Attributes:
        distance: As of a layer.
        singular_values: See `measures.Spectrum`.
        effective_rank: Of these.
        varying_share: Of the mean square, what is not the same for every pixel and image.
    """

    distance: Distance
    singular_values: list[float]
    effective_rank: float
    varying_share: float


@dataclass
class Report:
    """Of all layers and stages, in their order."""

    layers: list[LayerReport]
    stages: list[StageReport]

    def find_collapse(self) -> list[str]:
        """What has collapsed, a sentence each, with the figures that say so.

        That a network has not collapsed does not say that it has learned: one of random weights
        has unrelated channels, too.
        """
        found = []
        for i, stage in enumerate(self.stages):
            where, channels = f"stage {i + 1}", len(stage.singular_values)
            if stage.distance.mean < ALIKE:
                distance = f"mean cosine distance {stage.distance.mean:.3f}"
                found.append(f"{where}: the channels of an image are alike ({distance})")
            if stage.varying_share < CONSTANT:
                share = f"{stage.varying_share:.2%} of the mean square varies"
                found.append(
                    f"{where}: nearly the same features for every pixel and image ({share})"
                )
            elif stage.effective_rank < FEW_DIRECTIONS and channels > FEW_DIRECTIONS:
                rank = f"effective rank {stage.effective_rank:.1f} of {channels}"
                found.append(f"{where}: all channels vary together ({rank})")
        for layer in self.layers:
            if layer.dead + layer.saturated > IDLE:
                shares = f"{layer.dead:.0%} dead, {layer.saturated:.0%} saturated"
                found.append(f"{layer.place}: most channels do nothing ({shares})")
        return found


@torch.no_grad()
def trace(
    backbone: ConvNeXtV2, images: Tensor, points: Sequence[str] = ("block",)
) -> Iterator[tuple[Place, dict[str, Tensor]]]:
    """Run a backbone and show what each block makes, from the first to the last.

    Args:
        backbone: In evaluation mode; whatever stands in place of GRN.
        images: Normalised, (B, C, H, W), all pixels visible.
        points: Some of `POINTS`.

    Yields:
        The block, and its features by point, (B, C, N), N = H * W pixels of its stage.

    Raises:
        ValueError: An unknown point.
    """
    if unknown := set(points) - set(POINTS):
        raise ValueError(f"points are {', '.join(POINTS)}, not {', '.join(sorted(unknown))}")
    x = images.contiguous(memory_format=torch.channels_last)
    for i, (downsample, stage) in enumerate(backbone.levels()):
        x = downsample(x)
        for j, block in enumerate(stage):
            x, features = _run_block(cast("Block", block), x, points)
            yield Place(i, j, j + 1 == len(stage)), features


def _run_block(block: Block, x: Tensor, points: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
    outputs: list[Tensor] = []  # rows (B, N, 4C), before GELU
    inputs: list[Tensor] = []  # rows (B, N, 4C), of the second linear layer
    handles = [
        block.pwconv1.register_forward_hook(lambda *call: outputs.append(call[2])),
        block.pwconv2.register_forward_pre_hook(lambda *call: inputs.append(call[1][0])),
    ]
    try:
        x = Block.forward(block, x)  # layer by layer, as blocks of fewer kernels do not go
    finally:
        for handle in handles:
            handle.remove()
    features = {"block": x.flatten(2)}
    if {"expansion", "response"} & set(points):
        expansion = F.gelu(outputs[0])
        features["expansion"] = expansion.transpose(1, 2)
        if "response" in points:
            # GRN does not call the linear layer, which is part of its own operation.
            response = inputs[0] if inputs else block.grn(expansion)
            features["response"] = response.transpose(1, 2)
    return x, {point: features[point] for point in points}


def analyse(
    backbone: ConvNeXtV2,
    batches: Iterable[tuple[Tensor, Tensor | None]],
    point: str = "block",
) -> Report:
    """Measure the features of every layer over images.

    Args:
        backbone: In evaluation mode.
        batches: Normalised images (B, C, H, W) on the backbone's device, and their classes (B,),
            or None. Batches may differ in size.
        point: One of `POINTS`, for what is measured of layers; stages are measured at their
            output.

    Raises:
        ValueError: An unknown point, or no images.
    """
    layers: dict[Place, _Layer] = {}
    stages: dict[int, _Stage] = {}
    points = list(dict.fromkeys((point, "block")))
    for images, labels in batches:
        for place, features in trace(backbone, images, points):
            layers.setdefault(place, _Layer()).add(features[point], labels)
            if place.last:
                stages.setdefault(place.stage, _Stage()).add(features["block"])
    if not layers:
        raise ValueError("there are no images to analyse")
    steps = max(len(layers) - 1, 1)
    return Report(
        [layer.report(place, i / steps) for i, (place, layer) in enumerate(layers.items())],
        [stage.report() for stage in stages.values()],
    )


class _Layer:
    """What is gathered of a layer."""

    def __init__(self) -> None:
        self.distances: list[Tensor] = []
        self.states = ChannelStates()
        self.means = ClassMeans()
        self.channels = 0

    def add(self, features: Tensor, labels: Tensor | None) -> None:
        self.channels = features.shape[1]
        self.distances.append(channel_distance(features).cpu())
        self.states.add(features)
        if labels is not None:
            self.means.add(features, labels.to(features.device))

    def report(self, place: Place, position: float) -> LayerReport:
        several = len(self.means.counts) > 1
        selectivity = self.means.selectivity().tolist() if several else []
        distance = _spread(self.distances)
        return LayerReport(
            place, position, self.channels, distance, *self.states.shares(), selectivity
        )


class _Stage:
    """What is gathered of a stage's output."""

    def __init__(self) -> None:
        self.distances: list[Tensor] = []
        self.spectrum = Spectrum()

    def add(self, features: Tensor) -> None:
        self.distances.append(channel_distance(features).cpu())
        self.spectrum.add(features)

    def report(self) -> StageReport:
        values = self.spectrum.singular_values()
        share = self.spectrum.varying_share()
        distance = _spread(self.distances)
        return StageReport(distance, values.tolist(), effective_rank(values), share)


def _spread(distances: list[Tensor]) -> Distance:
    values = torch.cat(distances)
    return Distance(values.mean().item(), values.std(correction=0).item())
