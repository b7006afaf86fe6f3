"""Boxes of a whole file in other numbers are told from good ones."""

import numpy as np
import pytest

from convnextv2.detection.check_boxes import collect_boxes
from convnextv2.detection.check_units import check_units

WIDTH, HEIGHT = 640, 480


def content(change, number=30, seed=0):
    """Boxes anywhere in images of one size, as `change` writes them."""
    rng = np.random.default_rng(seed)
    sides = rng.uniform(20, 200, (number, 2))
    start = rng.uniform(0, 1, (number, 2)) * ((WIDTH, HEIGHT) - sides)
    boxes = [change(*start[i], *sides[i]) for i in range(number)]
    return {
        "images": [{"id": 1, "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"image_id": 1, "bbox": list(map(float, box))} for box in boxes],
    }


OTHERS = {
    "fractions of the image as": lambda x, y, w, h: (x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT),
    "from the centre, as in YOLO's": lambda x, y, w, h: (
        (x + w / 2) / WIDTH,
        (y + h / 2) / HEIGHT,
        w / WIDTH,
        h / HEIGHT,
    ),
    "percents": lambda x, y, w, h: (100 * x / WIDTH, 100 * y / HEIGHT, w / 6.4, h / 4.8),
    "corners": lambda x, y, w, h: (x, y, x + w, y + h),
    "centre": lambda x, y, w, h: (x + w / 2, y + h / 2, w, h),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("text", OTHERS)
def test_other_numbers_are_named(text, seed):
    (found,) = check_units(collect_boxes(content(OTHERS[text], seed=seed)))
    assert found.level == "fatal"
    assert text in found.text


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "change",
    [
        lambda x, y, w, h: (x, y, w, h),
        lambda x, y, w, h: (x / 9, y / 9, w / 9, h / 9),  # all in one corner
        lambda x, y, w, h: (0, 0, WIDTH, HEIGHT),
        lambda x, y, w, h: (x, y, w + 2, h + 2),  # as far as a careless hand draws
    ],
    ids=["good", "corner", "whole", "careless"],
)
def test_good_boxes_are_not(change, seed):
    assert list(check_units(collect_boxes(content(change, seed=seed)))) == []


def test_a_box_or_two_that_leave_their_image_are_slips():
    slips = content(lambda x, y, w, h: (x, y, w, h))
    slips["annotations"][0]["bbox"][2] = 900.0
    assert list(check_units(collect_boxes(slips))) == []
