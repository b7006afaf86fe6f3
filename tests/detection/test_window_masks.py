"""Masks in windows are, in all that mmdet does with them, the same as bitmaps."""

import pickle

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from convnextv2.detection.window_masks import MaskWindow, WindowMasks

SIZE = (30, 40)


@pytest.fixture
def pair():
    """The same four masks, of which one is empty, in windows and as bitmaps."""
    rng = np.random.default_rng(0)
    windows = [
        MaskWindow(x, y, (rng.random(shape) < 0.4).astype(np.uint8))
        for x, y, shape in [(3, 5, (7, 9)), (0, 0, (30, 40)), (39, 29, (1, 1)), (8, 2, (0, 4))]
    ]
    ours = WindowMasks(windows, *SIZE)
    return ours, BitmapMasks(ours.masks, *SIZE)


@pytest.mark.parametrize(
    "act",
    [
        lambda m: m[np.array([True, False, True, False])],
        lambda m: m[np.array([2, 0])],
        lambda m: m[torch.tensor([1, 1])],
        lambda m: m[np.zeros(4, bool)],
        lambda m: m[1:3],
        lambda m: m[3],
        lambda m: m.flip("horizontal"),
        lambda m: m.flip("vertical"),
        lambda m: m.flip("diagonal"),
        lambda m: m.pad((50, 64)),
        lambda m: m.pad((50, 64), pad_val=1),
        lambda m: m.crop(np.array([2, 3, 20, 25])),
        lambda m: m.resize((60, 20)),
        lambda m: m.rescale((20, 20)),
        lambda m: m.flip("diagonal")[np.array([0, 2])].pad((31, 41)).flip("vertical"),
        lambda m: type(m).cat([m, m]),
        lambda m: pickle.loads(pickle.dumps(m)),
        lambda m: InstanceData(masks=m)[np.array([True, False, False, True])].masks,
    ],
)
def test_what_becomes_of_them_is_the_same(pair, act):
    got, expected = (act(masks) for masks in pair)
    assert (len(got), got.height, got.width) == (len(expected), expected.height, expected.width)
    assert got.masks.dtype == np.uint8
    assert np.array_equal(got.masks, expected.masks)


def test_what_is_computed_of_them_is_the_same(pair):
    ours, bitmaps = pair
    assert ours.areas.tolist() == bitmaps.areas.tolist()
    assert np.array_equal(ours.find_boxes(), bitmaps.get_bboxes("hbox").numpy())
    assert np.array_equal(ours.get_bboxes("hbox").numpy(), bitmaps.get_bboxes("hbox").numpy())
    assert np.array_equal(ours.to_ndarray(), bitmaps.to_ndarray())
    assert torch.equal(*(masks.to_tensor(torch.bool, "cpu") for masks in pair))
    boxes, index = np.array([[0, 0, 40, 30], [2, 3, 18, 20]], np.float32), np.array([1, 0])
    got, expected = (masks.crop_and_resize(boxes, (28, 28), index) for masks in pair)
    assert np.array_equal(got.masks, expected.masks)


def test_they_are_sent_to_other_processes_in_a_part_of_the_bytes():
    windows = [MaskWindow(10, 10, np.ones((20, 20), np.uint8))] * 7
    assert len(pickle.dumps(WindowMasks(windows, 1024, 1024))) < 7 * 1000
