"""Blended logits: the weighted mean of all tiles that see a pixel, and no seam."""

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData

from convnextv2.runtime.blend import Blend
from convnextv2.runtime.tiles import TileGrid, fade
from convnextv2.segmentation.tiled import LabelsJoiner

GRIDS = [
    TileGrid((150, 210), 64, 16),
    TileGrid((150, 210), 64, 48),
    TileGrid((150, 210), 64, 0),
    TileGrid((40, 210), 64, 16),
    TileGrid((150, 30), 64, 16),
    TileGrid((20, 30), 64, 16),
]


def argmax(logits):
    return logits.argmax(0).astype(np.uint8)


def make_logits(grid, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(3, y1 - y0, x1 - x0)) for x0, y0, x1, y1 in grid.tiles]


def average(grid, logits):
    """The same, slowly: sums of the whole image in float64."""
    total, weight = np.zeros((3, *grid.image_shape)), np.zeros(grid.image_shape)

    def weigh(sides, start, end):
        place = sides.index((start, end))
        before = sides[place - 1][1] - start if place else 0
        after = end - sides[place + 1][0] if place + 1 < len(sides) else 0
        return fade(start, end, before, after).astype(float)

    for (x0, y0, x1, y1), one in zip(grid.tiles, logits, strict=True):
        w = weigh(grid.rows, y0, y1)[:, None] * weigh(grid.columns, x0, x1)[None]
        total[:, y0:y1, x0:x1] += w * one
        weight[y0:y1, x0:x1] += w
    return total / weight


def collect(grid, logits, label=lambda x: x.copy(), first_row=0):
    blend, done = Blend(grid, label, first_row), []
    for one in logits[first_row * len(grid.columns) :]:
        done += blend.add(one)
    return done


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_blended_logits_are_the_weighted_mean(grid):
    logits = make_logits(grid)
    expected = average(grid, logits)
    seen = np.zeros(grid.image_shape, int)
    for x, y, found in collect(grid, logits):
        part = np.s_[y : y + found.shape[1], x : x + found.shape[2]]
        np.testing.assert_allclose(found, expected[(slice(None), *part)], rtol=1e-4, atol=1e-5)
        seen[part] += 1
    assert (seen == 1).all()


def test_tiles_that_agree_leave_no_seam():
    grid = GRIDS[0]
    scene = np.random.default_rng(1).normal(size=(3, *grid.image_shape))
    logits = [scene[:, y0:y1, x0:x1] for x0, y0, x1, y1 in grid.tiles]
    for x, y, found in collect(grid, logits):
        np.testing.assert_allclose(
            found, scene[:, y : y + found.shape[1], x : x + found.shape[2]], rtol=1e-4, atol=1e-5
        )


def test_tiles_that_contradict_each_other_pass_smoothly():
    grid = TileGrid((64, 100), 64, 28)
    found = np.zeros((1, *grid.image_shape))
    for x, y, part in collect(grid, [np.zeros((1, 64, 64)), np.ones((1, 64, 64))]):
        found[:, y : y + part.shape[1], x : x + part.shape[2]] = part
    assert np.abs(np.diff(found[0, 0])).max() < 0.06  # 1 over 28 columns, at the steepest
    assert found[0, 0, 0] == 0
    assert found[0, 0, -1] == 1


def add_all(joiner, logits, stop=None):
    for number in joiner.list_missing()[:stop]:
        data = PixelData(data=torch.from_numpy(logits[number]))
        joiner.add(number, BaseDataElement(seg_logits=data))
    return joiner


@pytest.mark.parametrize("grid", GRIDS[:3], ids=str)
@pytest.mark.parametrize("stop", [1, 5, 11])
def test_a_run_that_is_killed_goes_on_to_the_same_labels(grid, stop, tmp_path):
    logits = make_logits(grid)
    whole = add_all(LabelsJoiner(grid, argmax, tmp_path / "whole"), logits).join()
    assert np.array_equal(whole, average(grid, logits).argmax(0))
    add_all(LabelsJoiner(grid, argmax, tmp_path / "part"), logits, stop)
    again = LabelsJoiner(grid, argmax, tmp_path / "part")
    rows = stop // len(grid.columns)
    assert again.done == rows
    if rows > 1 and grid.overlap < 32:
        assert again.list_missing()[0] == (rows - 1) * len(grid.columns)
    assert np.array_equal(add_all(again, logits).join(), whole)
    assert LabelsJoiner(grid, argmax, tmp_path / "part").list_missing() == []
    other = TileGrid(grid.image_shape, 60, grid.overlap)
    assert len(LabelsJoiner(other, argmax, tmp_path / "part").list_missing()) == len(other.tiles)
