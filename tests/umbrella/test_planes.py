"""Planes are the image; views that run backwards are no trap."""

import numpy as np
import pytest

from convnextv2.planes import to_planes, unmirror

VIEWS = {
    "plain": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "both": lambda image: image[::-1, ::-1],
    "a part": lambda image: image[3:, 2:-1],
    "a mirrored part": lambda image: image[3:, -2:1:-1],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_pixels_stay_where_they_are(view):
    rng = np.random.default_rng(0)
    for dtype in (np.uint8, np.uint16, np.float32):
        for channels in (1, 2, 3, 5, 40):
            image = view((rng.random((21, 34, channels)) * 250).astype(dtype))
            for same in (to_planes(image), unmirror(image)):
                assert same.dtype == dtype
                assert np.array_equal(same, image)
            assert to_planes(image).transpose(2, 0, 1).flags.c_contiguous
            assert unmirror(image).flags.c_contiguous


def test_an_image_of_one_channel_gets_an_axis():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(to_planes(image), image[..., None])
