"""The boxes of COCO annotations: what the loader drops, and what no reader sees.

A box is ``[x, y, width, height]`` in pixels; sizes of images are (width, height).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from convnextv2.findings import Finding

OUTSIDE = 1.0  # pixels by which an annotation may leave its image: rounding
THIN = 2.0  # pixels: such a side is hardly meant
SMALL = 4.0  # pixels: smaller than what the first map has a cell for
LEAST = 0.003  # of its box, that an object fills
TWICE = 0.95  # IoU from which two boxes of a class are the same object


class Boxes(NamedTuple):
    """The boxes of annotations whose image is listed, image by image.

    Attributes:
        annotations: The N that they are of.
        images: The N images' entries.
        values: (N, 4) x, y, width, height.
        sizes: (N, 2) of the images.
    """

    annotations: list[dict]
    images: list[dict]
    values: np.ndarray
    sizes: np.ndarray


def collect_boxes(content: dict) -> Boxes:
    """The boxes of what `read_coco` gave."""
    images = {image["id"]: image for image in content["images"]}
    by_image: dict[object, list[dict]] = defaultdict(list)
    for annotation in content["annotations"]:
        if annotation["image_id"] in images:
            by_image[annotation["image_id"]].append(annotation)
    kept = [annotation for group in by_image.values() for annotation in group]
    owners = [images[annotation["image_id"]] for annotation in kept]
    values = chain.from_iterable(annotation["bbox"] for annotation in kept)
    sizes = chain.from_iterable((image["width"], image["height"]) for image in owners)
    return Boxes(
        kept,
        owners,
        np.fromiter(values, float, 4 * len(kept)).reshape(-1, 4),
        np.fromiter(sizes, float, 2 * len(kept)).reshape(-1, 2),
    )


def check_boxes(boxes: Boxes) -> Iterator[Finding]:
    """Check each box by itself, and for a twin in its image; `file` is left to the caller."""
    for i in np.flatnonzero(_look_odd(boxes)).tolist():
        annotation, image = boxes.annotations[i], boxes.images[i]
        for level, kind, text in check_box(annotation, (image["width"], image["height"])):
            yield make_finding(level, kind, text, annotation, image)
    for i, j in find_twins(boxes):
        annotation, other = boxes.annotations[i], boxes.annotations[j]
        text = f"the same box as annotation {other['id']}: {show_box(annotation['bbox'])}"
        yield make_finding(
            "warning", "boxes that are there twice", text, annotation, boxes.images[i]
        )


def _look_odd(boxes: Boxes) -> np.ndarray:
    """Which boxes `check_box` may have something to say of: nearly none of a million."""
    low, sides = boxes.values[:, :2], boxes.values[:, 2:]
    areas = [a.get("area") for a in boxes.annotations]
    area = np.array([a if isinstance(a, (int, float)) else 1 for a in areas], float)
    full = sides.prod(axis=1)
    return (
        (sides < SMALL).any(axis=1)
        | (low < -OUTSIDE).any(axis=1)
        | (low + sides > boxes.sizes + OUTSIDE).any(axis=1)
        | (area < LEAST * full)
        | (area <= 0)
        | (area > full)
        | np.array([bool(a.get("ignore")) for a in boxes.annotations], bool)
    )


def make_finding(level: str, kind: str, text: str, annotation: dict, image: dict) -> Finding:
    """A finding about an annotation; `image` is its file's name, until the folder is known."""
    text = f"annotation {annotation['id']} of {image['file_name']}: {text}"
    return Finding(level, kind, text, "", image["file_name"], tuple(annotation["bbox"]))


def show_box(box: Sequence[float]) -> str:
    """A box for texts: with as many digits as matter."""
    return str([round(float(value), 3) if value % 1 else int(value) for value in box])


def check_box(annotation: dict, size: tuple[int, int]) -> Iterator[tuple[str, str, str]]:
    """Level, kind and text of what is wrong with an annotation's box and area."""
    if dropped := explain_dropped(annotation, size):
        yield dropped
    else:
        yield from _check_edges(annotation["bbox"], size)
        yield from _check_area(annotation)


def explain_dropped(annotation: dict, size: tuple[int, int]) -> tuple[str, str, str] | None:
    """Level, kind and text of the reason why mmdet's loader leaves an annotation out, or None."""
    box, area = annotation["bbox"], annotation.get("area")
    x, y, width, height = box
    if annotation.get("ignore"):
        return "note", "annotations left out by their 'ignore'", "'ignore' is set: it is left out"
    if width <= 0 or height <= 0:
        kind = "boxes that are empty, and left out"
        return "warning", kind, f"box {show_box(box)} is empty and will be left out"
    if width < 1 or height < 1:
        kind = "boxes with a side of less than a pixel, left out"
        text = f"box {show_box(box)} has a side of less than a pixel and will be left out"
        return "warning", kind, text
    if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        text = (
            f"box {show_box(box)} is outside the image of {size[0]}x{size[1]} and will be left out"
        )
        return "warning", "boxes outside their image, left out", text
    if isinstance(area, (int, float)) and area <= 0:
        text = f"area {area}: it will be left out"
        return "warning", "annotations of no area, left out", text
    return None


def _check_edges(box: list, size: tuple[int, int]) -> Iterator[tuple[str, str, str]]:
    x, y, width, height = box
    if min(x, y) < -OUTSIDE or x + width > size[0] + OUTSIDE or y + height > size[1] + OUTSIDE:
        text = f"box {show_box(box)} is partly outside the image of {size[0]}x{size[1]}"
        if x < width <= size[0] + OUTSIDE and y < height <= size[1] + OUTSIDE:
            text += "; as corners x1, y1, x2, y2 it would be inside"
        yield "warning", "boxes that leave their image", text
    if min(width, height) < THIN:
        text = f"box {show_box(box)} has a side of less than {THIN:g} pixels"
        yield "warning", f"boxes with a side of less than {THIN:g} pixels", text
    elif min(width, height) < SMALL:
        text = f"box {show_box(box)} has a side of less than {SMALL:g} pixels, the network's first "
        text += "step"
        yield "note", f"boxes with a side of less than {SMALL:g} pixels", text


def _check_area(annotation: dict) -> Iterator[tuple[str, str, str]]:
    area, (_, _, width, height) = annotation.get("area"), annotation["bbox"]
    if not isinstance(area, (int, float)):
        return
    if area > 1.1 * (width + 2) * (height + 2):
        text = f"area {area} is more than that of its box, {width:g} x {height:g}"
        yield "warning", "annotations whose area is more than their box'", text
    elif width * height >= 100 and area < LEAST * width * height:
        text = f"area {area:g} is next to nothing in its box, {width:g} x {height:g}"
        yield "warning", "annotations whose area is next to nothing in their box", text


def find_twins(boxes: Boxes) -> Iterator[tuple[int, int]]:
    """Places of boxes that repeat an earlier one of their class and image, and of that one."""
    ids = np.unique([str(a["category_id"]) for a in boxes.annotations], return_inverse=True)[1]
    owners = np.unique([id(image) for image in boxes.images], return_inverse=True)[1]
    single = np.array([not a.get("iscrowd") for a in boxes.annotations], bool)
    low, high = boxes.values[:, :2], boxes.values[:, :2] + boxes.values[:, 2:]
    areas = boxes.values[:, 2:].clip(0).prod(axis=1)
    first = np.arange(len(areas))
    twins: dict[int, int] = {}
    for distance in range(1, len(areas)):  # an image's boxes are neighbours
        first = first[first + distance < len(areas)]
        first = first[owners[first] == owners[first + distance]]
        if not len(first):
            break
        second = first + distance
        sides = np.minimum(high[first], high[second]) - np.maximum(low[first], low[second])
        common = sides.clip(0).prod(axis=1)
        same = (common > TWICE * (areas[first] + areas[second] - common)) & (common > 0)
        same &= (ids[first] == ids[second]) & single[first] & single[second]
        for i, j in zip(first[same].tolist(), second[same].tolist(), strict=True):
            twins.setdefault(j, i)
    yield from sorted(twins.items())
