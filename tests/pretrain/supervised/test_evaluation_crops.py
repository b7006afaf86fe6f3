"""Views for evaluation have the paper's sizes, the middle, and the values of a slow resize."""

import math

import numpy as np
import pytest

from convnextv2.pretrain.supervised import CenterCrop, ResizeShorter, Warp


def cubic(x):
    """Keys' kernel with a = -.5."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def weights(old, new):
    """(new, old): how a side is resized, the kernel as wide as a new pixel where it shrinks."""
    scale = max(old / new, 1)
    matrix = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) * old / new
        first, end = int(max(centre - 2 * scale + 0.5, 0)), int(min(centre + 2 * scale + 0.5, old))
        for j in range(first, end):
            matrix[i, j] = cubic((j + 0.5 - centre) / scale)
    return matrix / matrix.sum(1, keepdims=True)


def slowly(image, height, width):
    rows, columns = weights(image.shape[0], height), weights(image.shape[1], width)
    return np.einsum("yi,ijc,xj->yxc", rows, image.astype(np.float64), columns)


def picture(height=45, width=60, channels=3, top=255):
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0.2, 0.8, (height, width, channels))
    return coarse * top


@pytest.mark.parametrize(
    ("dtype", "channels", "top", "error"),
    [
        ("uint8", 3, 255, 1.2),
        ("uint8", 4, 255, 0.6),
        ("uint16", 5, 65535, 0.6),
        ("float32", 2, 1.0, 1e-05),
        ("float32", 3, 1.0, 1e-05),
    ],
)
@pytest.mark.parametrize("size", [(24, 24), (90, 130), (45, 31)])
def test_resizing_is_bicubic_and_antialiased(dtype, channels, top, error, size):
    """Pillow rounds 8-bit colours between the two directions, hence more than a level there."""
    image = picture(channels=channels, top=top).astype(dtype)
    out = Warp(size)({"img": image})["img"]
    assert out.dtype == dtype
    limits = (0, np.iinfo(dtype).max) if dtype != "float32" else (-math.inf, math.inf)
    assert np.abs(out - slowly(image, *size).clip(*limits)).max() <= error


@pytest.mark.parametrize(
    ("shape", "size", "ratio", "expected"),
    [
        ((375, 500), 224, 0.875, (256, 341)),  # as torchvision's Resize(256)
        ((500, 375), 224, 0.875, (341, 256)),
        ((256, 999), 224, 0.875, (256, 999)),
        ((100, 100), 224, 0.875, (256, 256)),
        ((333, 500), 288, 0.95, (303, 454)),  # 288 / .95 = 303.2
        ((100, 100), 224, 1.0, (224, 224)),
        ((100, 300), (60, 120), 1.0, (60, 180)),
        ((300, 310), (60, 120), 1.0, (116, 120)),
    ],
)
def test_the_shorter_side_follows_the_crop(shape, size, ratio, expected):
    out = ResizeShorter(size, ratio)({"img": np.zeros((*shape, 1), np.float32)})["img"]
    assert out.shape[:2] == expected
    crop = CenterCrop(size)({"img": out})["img"]
    assert crop.shape[:2] == ((size, size) if isinstance(size, int) else size)


def test_the_crop_is_the_middle():
    y, x = np.mgrid[:9, :14]
    out = CenterCrop((5, 6))({"img": np.stack([y, x], axis=-1)})["img"]
    assert out[0, 0].tolist() == [2, 4]
    assert out[-1, -1].tolist() == [6, 9]


def test_a_crop_larger_than_the_image_says_what_is_missing():
    with pytest.raises(ValueError, match="8 x 8 in an image of 5 x 9: ResizeShorter"):
        CenterCrop(8)({"img": np.zeros((5, 9, 3))})


def test_a_warped_image_is_all_there():
    """Corners of another colour stay corners, whatever the aspect."""
    image = np.zeros((40, 80, 3), np.uint8)
    image[:10, :20] = image[-10:, -20:] = 200
    out = Warp(32)({"img": image})["img"]
    assert out.shape == (32, 32, 3)
    assert out[0, 0, 0] == out[-1, -1, 0] == 200
    assert out[0, -1, 0] == out[-1, 0, 0] == 0


@pytest.mark.parametrize("ratio", [0, 1.2])
def test_a_crop_ratio_is_one(ratio):
    with pytest.raises(ValueError, match="crop_ratio"):
        ResizeShorter(224, ratio)
