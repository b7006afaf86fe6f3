"""Mixup and cutmix against a loop over pixels, and their draws against the distributions."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from convnextv2.pretrain.supervised import MixBatch
from convnextv2.registry import MODELS


def batch(size=5, height=7, width=6):
    torch.manual_seed(0)
    images = torch.randn(size, 3, height, width, dtype=torch.float64)
    return images, torch.arange(size) * 10


def mixed_by_loop(images, share, box):
    """Pixel by pixel: mixup where there is no box, else the other image inside of it."""
    out = torch.empty_like(images)
    size = len(images)
    for i, y, x in product(range(size), range(images.shape[2]), range(images.shape[3])):
        own, other = images[i, :, y, x], images[size - 1 - i, :, y, x]
        if box is None:
            out[i, :, y, x] = share * own + (1 - share) * other
        else:
            inside = box[0] <= y < box[1] and box[2] <= x < box[3]
            out[i, :, y, x] = other if inside else own
    return out


@pytest.mark.parametrize("options", [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_values_and_gradients_are_a_loops(options):
    mix = MixBatch(*options)
    kinds = set()
    for k in range(12):
        images, labels = batch()
        seeds = torch.arange(5) + 100 * k
        share, box = mix.draw(7, 6, seeds)
        kinds.add(box is None)
        mixed, other, shares = mix(images.requires_grad_(), labels, seeds)
        expected = mixed_by_loop(images, share, box)
        torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-15)
        assert other.tolist() == [40, 30, 20, 10, 0]
        assert shares.dtype == torch.float64
        assert shares.tolist() == [share] * 5
        weights = torch.randn_like(mixed)
        (grad,) = torch.autograd.grad((mixed * weights).sum(), images)
        (loops,) = torch.autograd.grad((expected * weights).sum(), images)
        torch.testing.assert_close(grad, loops, rtol=0, atol=1e-14)
    assert kinds == {(0.8, 0.0): {True}, (0.0, 1.0): {False}, (0.8, 1.0): {True, False}}[options]


def test_images_given_are_left_as_they_are():
    for k in range(6):
        images, labels = batch()
        before = images.clone()
        MixBatch()(images, labels, torch.tensor([k]))
        assert torch.equal(images, before)


def test_seeds_alone_decide():
    """The same in whatever state the generators are; another where one seed is another."""
    mix, seeds = MixBatch(), torch.tensor([3, 1, 4, 1, 5])
    draws = []
    for state in (0, 1):
        np.random.seed(state)
        torch.manual_seed(state)
        draws.append(mix.draw(32, 32, seeds))
    assert draws[0] == draws[1]
    assert mix.draw(32, 32, torch.tensor([3, 1, 4, 1, 6])) != draws[0]


def draws(mix, number=2000, height=40, width=60):
    return [mix.draw(height, width, torch.tensor([k, 7])) for k in range(number)]


@pytest.mark.parametrize("alpha", [0.3, 0.8, 1.0])
def test_shares_of_mixup_are_of_the_beta_distribution(alpha):
    shares = np.array([share for share, _ in draws(MixBatch(alpha, 0))])
    variance = 1 / (4 * (2 * alpha + 1))
    assert shares.mean() == pytest.approx(0.5, abs=4 * math.sqrt(variance / 2000))
    assert shares.var() == pytest.approx(variance, rel=0.1)


def test_cuts_are_of_the_images_shape_and_the_share_is_what_is_left():
    areas = []
    for share, (top, bottom, left, right) in draws(MixBatch(0, 1.0)):
        assert 0 <= top <= bottom <= 40
        assert 0 <= left <= right <= 60
        assert share == pytest.approx(1 - (bottom - top) * (right - left) / 2400, abs=1e-12)
        if top > 0 and bottom < 40 and left > 0 and right < 60:  # not cut off
            side = (bottom - top) / 40
            assert abs((right - left) - 60 * side) < 2.5
        areas.append((1 - share, top > 0))
    # Beta(1, 1): the area is uniform before the border cuts some off, on average
    # (E over s = sqrt(area) of (s - s^2 / 4)^2) = 1/2 - 1/5 + 1/48.
    assert np.mean([area for area, _ in areas]) == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.02)


def test_how_often():
    drawn = draws(MixBatch(0.8, 1.0, prob=0.6, switch_prob=0.25))
    untouched = np.mean([share == 1 and box is None for share, box in drawn])
    cut = np.mean([box is not None for _, box in drawn])
    assert untouched == pytest.approx(0.4, abs=0.05)
    assert cut == pytest.approx(0.6 * 0.25, abs=0.04)


def test_where_nothing_is_mixed_the_images_are_the_same():
    images, labels = batch()
    mixed, _, share = MixBatch(prob=0.0)(images, labels, torch.arange(5))
    assert torch.equal(mixed, images)
    assert share.tolist() == [1] * 5


@pytest.mark.parametrize(
    "options",
    [
        {"mixup_alpha": 0, "cutmix_alpha": 0},
        {"mixup_alpha": -1},
        {"prob": 1.5},
        {"switch_prob": -0.1},
    ],
)
def test_bad_values_are_refused_by_name(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MixBatch(**options)


def test_it_builds_by_its_name():
    mix = MODELS.build({"type": "convnextv2.MixBatch", "mixup_alpha": 0.3, "cutmix_alpha": 0.3})
    assert (mix.mixup_alpha, mix.cutmix_alpha) == (0.3, 0.3)
