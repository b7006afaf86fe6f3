"""Boxes of a whole file in other numbers than COCO's: fractions, percents, corners, centres.

COCO's are ``[x, y, width, height]`` in pixels. One box may look like anything; all of a file that
look the same way are meant so.
"""

from collections.abc import Iterator

import numpy as np

from convnextv2.findings import Finding

from .check_boxes import OUTSIDE, Boxes

FEWEST = 5  # boxes, from which all of a file can be judged
LEAVE = 0.05  # share of the boxes that must leave their image: fewer are slips

KIND = "files whose boxes are not x, y, width, height in pixels"


def check_units(boxes: Boxes) -> Iterator[Finding]:
    """A finding if the boxes of a file are of another kind; `file` is left to the caller."""
    if not len(boxes.values):
        return
    text = _look_at_scale(boxes.values, boxes.sizes) or _look_at_form(boxes.values, boxes.sizes)
    if text:
        yield Finding("fatal", KIND, f"{text}; COCO's boxes are x, y, width, height in pixels")


def _look_at_scale(boxes: np.ndarray, frames: np.ndarray) -> str:
    """Text of boxes that are shares of their image; empty if they are not."""
    number, far = len(boxes), boxes[:, :2] + boxes[:, 2:]
    if boxes.max() <= 1.0 and frames.min() > 4:
        end = ", from the centre," if (far > 1.01).any() else ""
        return (
            f"all {number} boxes lie between 0 and 1: fractions of the image{end} as in YOLO's "
            "files? multiply by its width and height"
        )
    # Real boxes of larger images do not all end where 100 is.
    percents = far.max() <= 101 and far.max() > 90 and frames.min() >= 200
    if percents and number >= 2 * FEWEST and (boxes != boxes.round()).any():
        return (
            f"all {number} boxes end at 100 or before: percents of the image, as Label Studio has?"
        )
    return ""


def _look_at_form(boxes: np.ndarray, frames: np.ndarray) -> str:
    """Text of boxes that fit their images only as corners, or from the centre."""
    if len(boxes) < FEWEST:
        return ""
    start, sides = boxes[:, :2], boxes[:, 2:]
    left = _leave(start, start + sides, frames)
    if left.mean() < LEAVE:
        return ""
    said = f"{left.sum()} of {len(boxes)} boxes leave their image"
    if (sides > start).all() and not _leave(start, sides, frames).any():
        return f"{said}, but all fit as corners x1, y1, x2, y2: are they corners?"
    if (sides > 0).all() and not _leave(start - sides / 2, start + sides / 2, frames).any():
        return f"{said}, but all fit if x, y is the centre: are they centres?"
    return ""


def _leave(low: np.ndarray, high: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Which boxes from corner to corner leave their image."""
    outside: np.ndarray = (low < -OUTSIDE) | (high > frames + OUTSIDE)
    return np.any(outside, axis=1)
