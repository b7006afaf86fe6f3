"""Crops and flips of any number of channels do what their arguments say."""

import numpy as np
import pytest

from convnextv2.pretrain import RandomFlips, RandomResizedCrop


def test_crops_keep_to_their_scale_and_ratio():
    """An image whose pixels hold their own coordinates shows which area was cut."""
    np.random.seed(0)
    y, x = np.mgrid[:100, :200].astype(np.float32)
    image = np.stack([y, x], axis=-1)
    crop = RandomResizedCrop(size=(20, 40), scale=(0.2, 0.5), ratio=(0.8, 1.25))
    for _ in range(50):
        out = crop({"img": image})["img"]
        assert out.shape == (20, 40, 2)
        height, width = np.ptp(out[..., 0]) * 20 / 19, np.ptp(out[..., 1]) * 40 / 39
        assert 0.18 < height * width / 20000 < 0.53
        assert 0.75 < width / height / 2 < 1.33


def test_a_long_image_is_cropped_all_the_same():
    image = np.zeros((10, 1000, 3), np.uint8)
    assert RandomResizedCrop(32, scale=(0.9, 1.0))({"img": image})["img"].shape == (32, 32, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_flips_mirror_the_right_axis(channels, dtype):
    image = np.arange(6 * channels, dtype=dtype).reshape(2, 3, channels)
    assert np.array_equal(RandomFlips(1, 0)({"img": image})["img"], image[:, ::-1])
    assert np.array_equal(RandomFlips(0, 1)({"img": image})["img"], image[::-1])
    assert np.array_equal(RandomFlips(1, 1)({"img": image})["img"], image[::-1, ::-1])
    assert np.array_equal(RandomFlips(0, 0)({"img": image})["img"], image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4, 13])
def test_crops_keep_channels_and_type(channels, dtype):
    crop = RandomResizedCrop(32)({"img": np.ones((40, 50, channels), dtype)})["img"]
    assert crop.shape == (32, 32, channels)
    assert crop.dtype == dtype
