"""The figures of layers and stages are their formulas, and a collapse is called one if it is."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from convnextv2.backbone import ConvNeXtV2, LayerScale, NoResponseNorm
from convnextv2.pretrain.analysis import POINTS, analyse, trace
from convnextv2.pretrain.measures import (
    ChannelStates,
    ClassMeans,
    Spectrum,
    channel_distance,
    effective_rank,
    selectivity,
)

SMALL = {"depths": [1, 2, 1, 1], "channels": [4, 6, 8, 12]}


@pytest.fixture
def backbone():
    """A network in which GRN does something."""
    torch.manual_seed(0)
    backbone = ConvNeXtV2(SMALL, in_channels=5, output_norm=False).double().eval()
    for name, parameter in backbone.named_parameters():
        if "grn" in name:
            nn.init.normal_(parameter)
    return backbone


@pytest.fixture
def images():
    return torch.randn(
        5, 5, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def batches(images, labels):
    return [(images[:2], labels[:2]), (images[2:], labels[2:])]


def layer_by_layer(backbone, images):
    """{point: [features (B, C, N) of each block]}, written from the paper's Figure 5."""
    x, found = images, {point: [] for point in POINTS}
    for downsample, stage in zip(backbone.downsample_layers, backbone.stages, strict=True):
        x = downsample(x)
        for block in stage:
            h = block.norm(block.dwconv(x).permute(0, 2, 3, 1))
            h = nn.functional.gelu(block.pwconv1(h))
            found["expansion"].append(h.flatten(1, 2).transpose(1, 2))
            gx = h.square().sum((1, 2), keepdim=True).sqrt()
            nx = gx / (gx.mean(3, keepdim=True) + 1e-6)
            h = block.grn.gamma * (h * nx) + block.grn.beta + h
            found["response"].append(h.flatten(1, 2).transpose(1, 2))
            x = x + block.pwconv2(h).permute(0, 3, 1, 2)
            found["block"].append(x.flatten(2))
    return found


@pytest.mark.parametrize("point", POINTS)
@torch.no_grad()
def test_layers_are_measured_as_direct_loops_do_it(backbone, images, point):
    labels = torch.tensor([0, 2, 2, 0, 1])
    report = analyse(backbone, batches(images, labels), point)
    expected = layer_by_layer(backbone, images)[point]
    assert [str(layer.place) for layer in report.layers] == [
        f"stages.{i}.{j}" for i, depth in enumerate(SMALL["depths"]) for j in range(depth)
    ]
    assert [layer.position for layer in report.layers] == [0, 0.25, 0.5, 0.75, 1]
    for layer, features in zip(report.layers, expected, strict=True):
        distances = [distance_by_loops(image) for image in features]
        assert layer.channels == features.shape[1]
        assert layer.distance.mean == pytest.approx(np.mean(distances), abs=1e-10)
        assert layer.distance.std == pytest.approx(np.std(distances), abs=1e-10)
        wanted = selectivity_by_loops(features, labels.tolist())
        assert layer.selectivity == pytest.approx(wanted, abs=1e-10)


def distance_by_loops(maps):
    total = 0.0
    for a in maps:
        for b in maps:
            total += (1 - float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))) / 2
    return total / len(maps) ** 2


def selectivity_by_loops(features, labels):
    """Morcos et al.: of each channel the largest mean activity against the mean of the others."""
    found = []
    for channel in features.transpose(0, 1):  # (images, N)
        activity = {label: [] for label in labels}
        for image, label in zip(channel, labels, strict=True):
            activity[label].append(np.mean([max(value, 0) for value in image.tolist()]))
        means = sorted(np.mean(values) for values in activity.values())
        largest, others = means[-1], np.mean(means[:-1])
        total = largest + others
        found.append((largest - others) / total if total else 0)
    return found


@torch.no_grad()
def test_stages_are_measured_as_numpy_does_it(backbone, images):
    report = analyse(backbone, batches(images, torch.zeros(5)))
    outputs = [layer_by_layer(backbone, images)["block"][i] for i in (0, 2, 3, 4)]
    for stage, features in zip(report.stages, outputs, strict=True):
        rows = features.transpose(1, 2).flatten(0, 1).numpy()
        centred = rows - rows.mean(0)
        values = np.linalg.svd(centred, compute_uv=False)
        np.testing.assert_allclose(
            stage.singular_values, values / math.sqrt(len(rows)), atol=1e-8 * values[0]
        )
        shares = values / values.sum()
        rank = math.exp(-sum(p * math.log(p) for p in shares))
        assert stage.effective_rank == pytest.approx(rank, rel=1e-6)
        varying = (centred**2).sum() / (rows**2).sum()
        assert stage.varying_share == pytest.approx(varying, rel=1e-9)


@torch.no_grad()
def test_tracing_changes_nothing(backbone, images):
    expected = backbone(images)[-1].flatten(2)
    for _ in range(2):  # hooks are gone afterwards
        *_, (place, features) = trace(backbone, images, ["block", "expansion"])
        assert torch.equal(features["block"], expected)
    assert (place.stage, place.block, place.last) == (3, 0, True)
    assert not any(module._forward_hooks for module in backbone.modules())
    with pytest.raises(ValueError, match="points are block, expansion, response, not output"):
        next(trace(backbone, images, ["output"]))


@torch.no_grad()
def test_other_blocks_are_traced(images):
    """Those of V1: nothing between the linear layers, a scale behind them."""
    torch.manual_seed(0)
    v1 = {"response_norm": NoResponseNorm, "layer_scale": LayerScale}
    backbone = ConvNeXtV2(SMALL, 5, output_norm=False, **v1).double().eval()
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.5)
    blocks = [block for stage in backbone.stages for block in stage]
    x = backbone.downsample_layers[0](images)
    for block, (place, features) in zip(blocks, trace(backbone, images, POINTS), strict=True):
        h = block.norm(block.dwconv(x).permute(0, 2, 3, 1))
        h = nn.functional.gelu(block.pwconv1(h))
        x = x + (block.layer_scale.scale * block.pwconv2(h)).permute(0, 3, 1, 2)
        rows = h.flatten(1, 2).transpose(1, 2)
        for point, expected in {"block": x.flatten(2), "expansion": rows, "response": rows}.items():
            torch.testing.assert_close(features[point], expected)
        if place.last and place.stage < 3:
            x = backbone.downsample_layers[place.stage + 1](x)


def test_a_channel_of_zeros_is_unrelated_to_all():
    maps = torch.randn(3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rest = distance_by_loops(maps[0, 1:])
    maps[0, 0] = 0
    # 4 x 4 pairs as they are; the other 9 of 25 have cosine 0, that of the channel with itself too
    assert channel_distance(maps)[0].item() == pytest.approx((16 * rest + 9 / 2) / 25)
    assert channel_distance(1e-3 * maps).tolist() == pytest.approx(channel_distance(maps).tolist())
    assert channel_distance(torch.zeros(1, 4, 3)).item() == 0.5


def test_extremes_of_the_measures():
    maps = torch.ones(2, 6, 10)
    assert channel_distance(maps).tolist() == pytest.approx([0, 0])
    assert channel_distance(torch.eye(6)[None]).item() == pytest.approx(5 / 12)
    opposite = torch.cat([maps[:, :3], -maps[:, 3:]], 1)  # constants, and yet "unrelated"
    assert channel_distance(opposite).tolist() == pytest.approx([0.5, 0.5])
    assert effective_rank(torch.ones(7)) == pytest.approx(7)
    assert effective_rank(torch.tensor([3.0, 0, 0])) == pytest.approx(1)
    assert effective_rank(torch.zeros(3)) == 0
    means = torch.tensor([[1.0, 2, 0], [0, 2, 0], [0, 2, 0]])
    assert selectivity(means).tolist() == [1, 0, 0]


def test_selectivity_counts_what_is_positive():
    means = ClassMeans()
    means.add(torch.tensor([[[3.0, -9.0]], [[1.0, 0.0]]]), torch.tensor([4, 7]))
    assert means.selectivity().tolist() == pytest.approx([(1.5 - 0.5) / (1.5 + 0.5)])


def test_dead_and_saturated_channels_are_counted():
    torch.manual_seed(0)
    maps = torch.randn(4, 8, 50)
    maps[:, 0] = 0
    maps[:, 1] *= 1e-4
    maps[:, 2] = 3 + 0.01 * maps[:, 2]  # always on
    maps[:, 3] = 0
    maps[2, 3, 7] = 9  # works for one pixel
    states = ChannelStates()
    states.add(maps[:1])
    states.add(maps[1:])
    assert states.shares() == (2 / 8, 1 / 8)


def test_the_spectrum_is_exact_far_from_the_origin():
    torch.manual_seed(0)
    rows = torch.randn(2, 3, 400, dtype=torch.float64) * torch.tensor([1, 1e-3, 1e-5])[:, None]
    spectrum = Spectrum()
    for image in rows + 1e4:
        spectrum.add(image[None])
    values = spectrum.singular_values()
    assert values.tolist() == pytest.approx([1, 1e-3, 1e-5], rel=0.1)


# --- a collapse -------------------------------------------------------------------------------


def test_a_network_of_random_weights_has_not_collapsed(backbone, images):
    assert analyse(backbone, [(images, None)]).find_collapse() == []


def spoil(backbone, stage, weight, bias):
    """Let the output of a stage be a 1x1 image of what is behind its downsampling."""
    backbone.downsample_layers[stage][-1].weight.data.mul_(weight)
    backbone.downsample_layers[stage][-1].bias.data.copy_(bias)
    for block in backbone.stages[stage]:
        block.pwconv2.weight.data.zero_()
        block.pwconv2.bias.data.zero_()


def test_constant_features_of_both_signs_are_a_collapse(backbone, images):
    """The distance between channels alone is that of unrelated ones: what is grey looks full."""
    spoil(backbone, 3, 0, torch.tensor([1.0, -1] * 6))
    report = analyse(backbone, [(images, None)])
    assert report.stages[3].distance.mean == pytest.approx(0.5)
    assert report.find_collapse() == [
        "stage 4: nearly the same features for every pixel and image "
        "(0.00% of the mean square varies)",
        "stages.3.0: most channels do nothing (0% dead, 100% saturated)",
    ]


def test_channels_that_are_alike_are_a_collapse(backbone, images):
    conv = backbone.downsample_layers[3][-1]
    conv.weight.data[:] = conv.weight.data[:1]
    spoil(backbone, 3, 1, torch.zeros(12))
    report = analyse(backbone, [(images, None)])
    assert report.find_collapse() == [
        "stage 4: the channels of an image are alike (mean cosine distance 0.000)",
        "stage 4: all channels vary together (effective rank 1.0 of 12)",
    ]


def test_layers_of_dead_channels_are_a_collapse(backbone, images):
    block = backbone.stages[1][1]
    block.pwconv1.weight.data[:20] = 0
    block.pwconv1.bias.data[:10] = -30
    block.pwconv1.bias.data[10:20] = 2
    report = analyse(backbone, [(images, None)], "expansion")
    assert report.find_collapse() == [
        "stages.1.1: most channels do nothing (42% dead, 42% saturated)",
    ]


def test_no_images_are_refused(backbone):
    with pytest.raises(ValueError, match="no images"):
        analyse(backbone, [])
