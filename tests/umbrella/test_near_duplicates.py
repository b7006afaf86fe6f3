"""Copies are found whatever became of their files, and likeness alone is none."""

import cv2
import numpy as np
import pytest

from convnextv2.near_duplicates import find_copies, shrink


def scene(seed):
    """Smooth shapes of many sizes, as photographs have them."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(side, side, 3)), (160, 120), interpolation=cv2.INTER_CUBIC)
        for side in (4, 8, 16, 32)
    ]
    return (128 + 25 * sum(layers)).clip(0, 255).astype(np.uint8)


def encode(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


COPIES = {
    "jpeg": lambda image: encode(image, 40),
    "half": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "twice": lambda image: cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "small jpeg": lambda image: encode(cv2.resize(image, (80, 60)), 60),
    "16 bits": lambda image: image.astype(np.uint16) * 257,
}


def find(ours, theirs):
    both = [{str(i): shrink(image) for i, image in enumerate(images)} for images in (ours, theirs)]
    return list(find_copies(*both, lambda i: ours[int(i)], lambda i: theirs[int(i)]))


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_copy_is_found_among_others(change):
    ours = [scene(seed) for seed in range(8)]
    theirs = [scene(seed) for seed in range(10, 18)]
    assert find(ours, theirs) == []
    theirs[5] = change(ours[3])
    assert find(ours, theirs) == [("3", "5")]


def test_images_alike_in_the_large_or_flat_are_no_copies():
    flat = [np.full((90, 90, 3), value, np.uint8) for value in (0, 90)]
    assert find(flat, flat) == []
    noise = [np.random.default_rng(i).integers(0, 9, (90, 90, 3), np.uint8) for i in (0, 1)]
    assert find(noise[:1], noise[1:]) == []
    slope = np.linspace(0, 200, 120)[None, :, None].repeat(90, axis=0)
    grain = [slope + np.random.default_rng(i).normal(0, 12, (90, 120, 3)) for i in (0, 1)]
    assert find(grain[:1], grain[1:]) == []


def test_an_image_of_another_shape_is_no_copy():
    image = scene(0)
    assert find([image], [cv2.resize(image, (160, 160))]) == []
