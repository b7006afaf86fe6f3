"""Objects cut into tiles come back as they were: a perfect predictor is the oracle."""

import itertools
import random
import threading

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from convnextv2.detection.tiled import ObjectsJoiner
from convnextv2.images import UnreadableImageError
from convnextv2.results import Prediction
from convnextv2.runtime.box_masks import BoxMask
from convnextv2.runtime.join import WHOLE_IMAGE, Piece, join_pieces
from convnextv2.runtime.tiles import TileGrid
from convnextv2.tiled import predict_tiles

SHAPE = (310, 420)


@pytest.fixture(scope="module")
def scene():
    """Numbers of the objects in each pixel: touching, cut by every edge, larger than tiles."""
    rng = np.random.default_rng(0)
    scene = np.zeros(SHAPE, np.uint16)
    scene[20:120, 30:400] = 1  # longer than a tile
    scene[120:180, 60:64] = 2  # touches it
    scene[150:152, 64:330] = 3  # a line, that touches it
    scene[200:300, 10:20] = scene[290:300, 10:200] = scene[200:300, 190:200] = 4  # a U
    for number in range(5, 60):
        x, y = int(rng.integers(0, 420)), int(rng.integers(0, 310))
        drawn = np.zeros(SHAPE, np.uint8)
        axes = (int(rng.integers(3, 26)), int(rng.integers(3, 26)))
        cv2.ellipse(drawn, (x, y), axes, int(rng.integers(0, 180)), 0, 360, 1, -1)
        free = (drawn > 0) & (scene == 0)
        _, parts = cv2.connectedComponents(free.astype(np.uint8), connectivity=8)
        if parts.max():
            scene[parts == 1] = number
    return scene


class Perfect:
    """Finds in a tile of such numbers every object, with its mask or only its box."""

    def __init__(self, masks=True):
        self.masks, self.batches = masks, []

    def find(self, pixels):
        numbers = [n for n in np.unique(pixels).tolist() if n]
        masks = np.array([pixels[..., 0] == n for n in numbers]).reshape(-1, *pixels.shape[:2])
        boxes = [box_of(mask) for mask in masks]
        found = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.tensor([1 - n / 1000 for n in numbers]),
            labels=torch.tensor([n % 3 for n in numbers], dtype=torch.long),
        )
        if self.masks:
            found.masks = torch.from_numpy(masks)
        return BaseDataElement(pred_instances=found)

    def __call__(self, images, batch_size, trim):
        batch = []
        for image in images:
            batch.append(image)
            if len(batch) == batch_size:
                yield from self.flush(batch)
        yield from self.flush(batch)

    def flush(self, batch):
        self.batches.append(len(batch))
        for image in batch:
            yield Prediction(image, image, self.find(image))
        batch.clear()


def box_of(mask):
    (ys,), (xs,) = np.nonzero(mask.any(1)), np.nonzero(mask.any(0))
    return [xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]


def find(scene, size, overlap, batch_size=1, masks=True):
    joiner = ObjectsJoiner(TileGrid(scene.shape[:2], size, overlap))
    read = lambda tile: scene[tile[1] : tile[3], tile[0] : tile[2], None]  # noqa: E731
    assert len(list(predict_tiles(Perfect(masks), read, joiner, batch_size))) > 1
    return joiner


def draw(objects, shape):
    """The objects' numbers by their scores, and every pixel is of one at most."""
    drawn = np.zeros(shape, int)
    for found in objects:
        mask = found.mask.decode((0, 0, shape[1], shape[0]))
        assert not drawn[mask].any()
        number = round(1000 * (1 - found.score))
        assert found.label == number % 3
        assert found.box == pytest.approx(box_of(mask))
        drawn[mask] = number
    return drawn


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("overlap", [2, 16, 32, 60])
def test_a_perfect_predictors_masks_come_back_exactly(scene, overlap, batch_size):
    objects = find(scene, 96, overlap, batch_size).join()
    assert np.array_equal(draw(objects, SHAPE), scene)
    assert len(objects) == len(np.unique(scene)) - 1


def test_tiles_are_read_ahead_and_no_thread_outlives_an_error(scene):
    def threads():
        return [t for t in threading.enumerate() if "read_ahead" in t.name]

    joiner = ObjectsJoiner(TileGrid(scene.shape[:2], 96, 16))
    seen = []

    def read(tile):
        seen.append(tile)
        if len(seen) > 5:
            raise UnreadableImageError("damaged here")
        return scene[tile[1] : tile[3], tile[0] : tile[2], None]

    done = predict_tiles(Perfect(), read, joiner)
    next(done)
    assert threads()
    with pytest.raises(UnreadableImageError, match="damaged here"):
        list(done)
    assert len(joiner.list_missing()) == len(joiner.grid.tiles) - 5
    assert not threads()

    seen.clear()
    done = predict_tiles(Perfect(), read, ObjectsJoiner(TileGrid(scene.shape[:2], 96, 16)))
    next(done)
    done.close()
    assert not threads()
    assert len(seen) <= 4


@pytest.mark.parametrize("shift", [(0, 7), (13, 0), (31, 50)])
def test_tiles_may_be_shifted(scene, shift):
    shifted = scene[shift[0] :, shift[1] :]
    assert np.array_equal(draw(find(shifted, 96, 24).join(), shifted.shape), shifted)


def test_order_and_sharing_out_of_tiles_change_nothing(scene):
    joiner = find(scene, 96, 24)
    expected = joiner.join()
    for seed in range(3):
        random.Random(seed).shuffle(joiner.pieces)
        assert joiner.join() == expected


def test_boxes_alone_come_back_too(scene):
    scene = np.where(scene == 4, 0, scene)  # of the U, a tile's box is not the box's part in it
    objects = find(scene, 96, 24, masks=False).join()
    found = {round(1000 * (1 - found.score)): found.box for found in objects}
    expected = {n: box_of(scene == n) for n in np.unique(scene).tolist() if n}
    assert len(objects) == len(expected)
    assert all(found[n] == pytest.approx(box) for n, box in expected.items())


GRID = TileGrid((100, 180), 100, 20)  # tiles from 0 to 100 and from 80 to 180


def piece(tile, x0, y0, x1, y1, score=0.9, label=0):
    return Piece(tile, (x0, y0, x1, y1), score, label, None)


def test_touching_neighbours_stay_two_and_classes_apart():
    left, right = piece(0, 60, 20, 90, 50), piece(1, 90, 20, 120, 50)
    assert len(join_pieces(GRID, [left, right])) == 2
    assert len(join_pieces(GRID, [left, left._replace(tile=1, label=1)])) == 2
    assert len(join_pieces(GRID, [left, left._replace(tile=1)])) == 1


def test_neighbours_that_overlap_a_little_in_the_strip_stay_two():
    left, right = piece(0, 60, 20, 92, 50), piece(1, 89, 20, 120, 50)
    assert len(join_pieces(GRID, [left, right])) == 2


def test_what_agrees_equally_well_is_chosen_by_what_it_is():
    """Two pieces of one tile fit one of the other; whichever came first."""
    one, other = piece(0, 60, 20, 95, 50), piece(0, 60, 22, 95, 52)
    seen = piece(1, 80, 21, 96, 51, 0.8)
    expected = join_pieces(GRID, [one, other, seen])
    for order in itertools.permutations([one, other, seen]):
        assert join_pieces(GRID, order) == expected


def test_a_tile_that_holds_an_object_shows_it_better_than_the_reduced_whole():
    reduced, seen = piece(WHOLE_IMAGE, 20, 20, 60, 60, 0.9), piece(0, 21, 21, 58, 60, 0.6)
    (found,) = join_pieces(GRID, [reduced, seen])
    assert found.box == seen.box
    assert found.score == 0.9


def test_an_object_that_a_tile_saw_whole_is_as_that_tile_saw_it():
    cut, whole = piece(0, 84, 20, 99, 50, 0.95), piece(1, 85, 21, 120, 52, 0.7)
    (found,) = join_pieces(GRID, [cut, whole])
    assert found.box == whole.box
    assert found.score == 0.95


def test_what_one_tile_saw_as_two_stays_two():
    one, two = piece(0, 60, 20, 95, 50), piece(0, 61, 21, 95, 50, 0.8)
    seen = piece(1, 80, 20, 95, 50)
    assert len(join_pieces(GRID, [one, two, seen])) == 2


def test_a_sliver_of_what_another_tile_saw_whole_goes():
    whole, sliver = piece(1, 86, 20, 130, 60, 0.6), piece(0, 92, 30, 100, 40, 0.9)
    (found,) = join_pieces(GRID, [whole, sliver])
    assert found.box == whole.box
    elsewhere = sliver._replace(box=(92, 70, 100, 80))
    assert len(join_pieces(GRID, [whole, elsewhere])) == 2


def test_an_object_larger_than_a_tile_is_as_the_reduced_whole_shows_it():
    large = piece(WHOLE_IMAGE, 10, 10, 170, 90, 0.5)
    parts = piece(0, 10, 12, 100, 88), piece(1, 80, 12, 170, 88)
    part = piece(1, 80, 12, 120, 40, 0.3)  # that says nothing of the rest
    small = piece(0, 30, 30, 40, 40)
    found = join_pieces(GRID, [large, *parts, part, small])
    assert [f.box for f in found] == [(10, 10, 170, 90), small.box]
    assert [f.score for f in found] == [0.9, 0.9]


def test_of_the_reduced_whole_what_tiles_hold_anyway_is_left_out():
    joiner = ObjectsJoiner(GRID)  # overlap 20; here of a third of the pixels on a side
    boxes = torch.tensor([[1.0, 2, 7, 8], [10, 2, 17, 8]])  # 18 and 21 pixels long
    found = InstanceData(bboxes=boxes, scores=torch.ones(2), labels=torch.zeros(2).long())
    joiner.add_reduced(BaseDataElement(pred_instances=found), 3)
    assert [piece.box for piece in joiner.pieces] == [(30, 6, 51, 24)]


def test_masks_are_kept_as_the_image_has_them():
    from convnextv2.detection.coco import decode_mask

    rng = np.random.default_rng(0)
    for mask in (rng.random((7, 9)) > 0.5, np.ones((7, 9), bool), np.zeros((7, 9), bool)):
        kept = BoxMask.of(mask[2:, 3:], 3, 2)
        mask = mask.copy()
        mask[:2] = mask[:, :3] = False
        assert kept.area == mask.sum()
        assert np.array_equal(kept.decode((0, 0, 9, 7)), mask)
        assert np.array_equal(kept.decode((2, 1, 8, 5)), mask[1:5, 2:8])
        assert np.array_equal(decode_mask(kept.to_coco((7, 9))), mask)
    full = BoxMask.of(np.ones((7, 9), bool))
    assert decode_mask(full.to_coco((7, 9))).all()
    assert full.to_coco((7, 9))["counts"] == full.counts
