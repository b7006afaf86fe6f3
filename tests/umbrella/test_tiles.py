"""Tiles for networks: of one size, all of the image, in any order the same."""

from itertools import pairwise

import numpy as np
import pytest

from convnextv2.runtime.tiles import TileGrid, fade, intersect

GRIDS = [
    TileGrid((1000, 1300), 256, 64),
    TileGrid((1000, 1300), 256, 200),
    TileGrid((300, 256), 256, 0),
    TileGrid((40, 900), 256, 96),
    TileGrid((20, 30), 256, 96),
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_tiles_are_of_one_size_and_cover_the_image(grid):
    height, width = grid.image_shape
    seen = np.zeros(grid.image_shape, int)
    sizes = set()
    for x0, y0, x1, y1 in grid.tiles:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        sizes.add((y1 - y0, x1 - x0))
        seen[y0:y1, x0:x1] += 1
    assert sizes == {(min(256, height), min(256, width))}
    assert seen.min() >= 1
    for sides in (grid.rows, grid.columns):
        assert all(a[1] - b[0] >= grid.overlap for a, b in pairwise(sides))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_strips_are_what_any_two_tiles_share(grid):
    expected = {
        (i, k, both)
        for i, one in enumerate(grid.tiles)
        for k, other in enumerate(grid.tiles[i + 1 :], i + 1)
        if (both := intersect(one, other))
    }
    strips = list(grid.list_strips())
    assert len(strips) == len(expected)
    assert set(strips) == expected


def test_sides_inside_the_image_are_cut():
    grid = TileGrid((256, 600), 256, 32)
    cut = [grid.list_cut_sides(tile) for tile in grid.tiles]
    assert cut == [
        (False, False, True, False),
        (True, False, True, False),
        (True, False, False, False),
    ]


@pytest.mark.parametrize("overlap", [-1, 64])
def test_an_impossible_overlap_is_refused(overlap):
    with pytest.raises(ValueError, match=f"overlap {overlap} must be .* below tile_size 64"):
        TileGrid((100, 100), 64, overlap)


def test_weights_fade_where_tiles_share_and_only_there():
    weights = fade(100, 200, 20, 30)
    assert weights.shape == (100,)
    assert (weights > 0).all()
    assert (weights[20:70] == 1).all()
    assert (np.diff(weights[:21]) > 0).all()
    assert (np.diff(weights[69:]) < 0).all()
    # The ramps of two neighbours that share a strip add up to one: no step at its ends.
    np.testing.assert_allclose(fade(0, 50, 0, 20)[30:] + fade(30, 80, 20, 0)[:20], 1, atol=2e-3)
