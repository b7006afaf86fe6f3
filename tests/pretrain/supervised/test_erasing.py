"""Erased rectangles have the size and the noise that the recipe says, and the rest is kept."""

import numpy as np
import pytest
import torch

from convnextv2.pretrain import FCMAEDataPreprocessor
from convnextv2.pretrain.supervised import RandomErasing

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def erased(number=1500, shape=(40, 60, 3), dtype=np.uint8, **options):
    """Of each draw the (h, w) of the erased rectangle, or None, and its pixels."""
    erase = RandomErasing(**options)
    image = np.full(shape, 7, dtype)
    np.random.seed(0)
    for _ in range(number):
        out = erase({"img": image.copy()})["img"]
        assert out.shape == shape
        changed = (out != 7).any(axis=2)
        if not changed.any():
            assert out.dtype == dtype
            yield None, None
            continue
        assert out.dtype == np.float32
        rows, columns = changed.any(1).nonzero()[0], changed.any(0).nonzero()[0]
        box = out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert changed.sum() == box.shape[0] * box.shape[1]  # one rectangle, all of it
        yield box.shape[:2], box.reshape(-1, shape[2])


def test_a_quarter_of_the_images_is_erased():
    assert np.mean([box is not None for box, _ in erased()]) == pytest.approx(0.25, abs=0.04)


def test_rectangles_keep_to_their_area_and_ratio():
    boxes = np.array([box for box, _ in erased(prob=1.0) if box])
    areas, ratios = boxes.prod(1) / 2400, boxes[:, 0] / boxes[:, 1]
    assert 0.01 < areas.min() < 0.03
    assert 0.3 < areas.max() < 0.35
    assert 0.2 < ratios.min() < 0.45
    assert 2 < ratios.max() < 4
    # Uniform areas; the widest of the largest find no place, hence a bit less than the middle.
    assert areas.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.025)
    # As often upright as lying, where the image leaves a place to both.
    square = np.array([b for b, _ in erased(800, shape=(50, 50, 3), prob=1.0) if b])
    assert np.mean(square[:, 0] > square[:, 1]) == pytest.approx(0.5, abs=0.06)


def test_rectangles_lie_anywhere():
    """Up to every border of the image, and everywhere in the middle."""
    erase, hits = RandomErasing(prob=1.0), np.zeros((40, 60))
    np.random.seed(0)
    for _ in range(600):
        hits += (erase({"img": np.full((40, 60, 3), 7, np.uint8)})["img"] != 7).any(2)
    assert hits[5:-5, 5:-5].min() > 0
    assert all(border.any() for border in (hits[0], hits[-1], hits[:, 0], hits[:, -1]))


def test_noise_is_standard_normal_once_it_is_normalised():
    pixels = np.concatenate([pixels for _, pixels in erased(200, prob=1.0)])
    noise = (pixels.astype(np.float64) - MEAN) / STD
    error = 4 / np.sqrt(len(noise))
    assert np.abs(noise.mean(0)).max() < error
    assert np.abs(noise.std(0) - 1).max() < error
    assert np.abs((noise**4).mean(0) - 3).max() < 30 * error  # not cut off at 0 and 255
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < error  # each channel its own


def test_erased_images_are_normalised_in_one_batch_with_others():
    np.random.seed(0)
    images = [np.full((40, 60, 3), 7, np.uint8) for _ in range(3)]
    images[1] = RandomErasing(prob=1.0)({"img": images[1]})["img"]
    preprocess = FCMAEDataPreprocessor(mean=MEAN, std=STD)
    inputs = [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in images]
    batch = preprocess({"inputs": inputs}, training=True)["inputs"].double().numpy()
    expected = np.stack([image.transpose(2, 0, 1).astype(float) for image in images])
    mean, std = (np.array(x).reshape(3, 1, 1) for x in (MEAN, STD))
    assert np.abs(batch - (expected - mean) / std).max() < 1e-5
    assert np.abs(batch[1]).max() > 2.3  # what 8 bits could not hold


@pytest.mark.parametrize(("dtype", "bands"), [("uint16", 5), ("float32", 5), ("uint16", 3)])
def test_images_that_are_no_8_bit_colours_take_their_own_statistics(dtype, bands):
    np.random.seed(1)
    means = 1000 * np.arange(1, bands + 1)
    image = (np.random.randn(64, 64, bands) * 100 + means).astype(dtype)
    np.random.seed(0)
    out = RandomErasing(prob=1.0, area=(0.3, 0.3))({"img": image})["img"]
    box = out[(out != image).any(2)]
    assert np.abs(box.mean(0) - means).max() < 15
    assert np.abs(box.std(0) / 100 - 1).max() < 0.15


def test_given_statistics_are_taken():
    np.random.seed(0)
    erase = RandomErasing(prob=1.0, area=(0.3, 0.3), mean=[5, 50], std=[1, 10])
    box = erase({"img": np.full((64, 64, 2), 500, np.uint16)})["img"]
    box = box[(box != 500).any(2)]
    assert box.mean(0) == pytest.approx([5, 50], rel=0.05)
    assert box.std(0) == pytest.approx([1, 10], rel=0.1)
    with pytest.raises(ValueError, match="one length"):
        RandomErasing(mean=[1, 2])


def test_it_depends_on_numpys_seed_alone():
    images = []
    for _ in range(2):
        np.random.seed(3)
        images.append(RandomErasing(prob=1.0)({"img": np.zeros((30, 30, 3), np.uint8)})["img"])
    assert np.array_equal(*images)


def test_a_probability_is_one():
    with pytest.raises(ValueError, match="prob"):
        RandomErasing(prob=25)
