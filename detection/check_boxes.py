"""The boxes of COCO annotations: what the loader drops, and what no reader sees.

A box is ``[x, y, width, height]`` in pixels; sizes of images are (width, height).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from convnextv2.findings import Finding

OUTSIDE = 1.0  # pixels by which an annotation may leave its image: rounding
THIN = 2.0  # pixels: such a side is hardly meant
SMALL = 4.0  # pixels: smaller than what the first map has a cell for
TWICE = 0.95  # IoU from which two boxes of a class are the same object


def check_boxes(content: dict) -> Iterator[Finding]:
    """Check each box by itself, and for a twin in its image; `file` is left to the caller."""
    images = {image["id"]: image for image in content["images"]}
    by_image: dict[object, list[dict]] = defaultdict(list)
    for annotation in content["annotations"]:
        if annotation["image_id"] in images:
            by_image[annotation["image_id"]].append(annotation)
    for number, annotations in by_image.items():
        image = images[number]
        size = image["width"], image["height"]
        for annotation in annotations:
            for level, kind, text in check_box(annotation, size):
                yield make_finding(level, kind, text, annotation, image)
        for annotation, other in _find_twins(annotations):
            text = f"the same box as annotation {other['id']}: {show_box(annotation['bbox'])}"
            kind = "boxes that are there twice"
            yield make_finding("warning", kind, text, annotation, image)


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
    elif width * height >= 100 and area < 0.003 * width * height:
        text = f"area {area:g} is next to nothing in its box, {width:g} x {height:g}"
        yield "warning", "annotations whose area is next to nothing in their box", text


def _find_twins(annotations: list[dict]) -> Iterator[tuple[dict, dict]]:
    """Annotations that repeat an earlier one of their class, and that one."""
    if len(annotations) < 2:
        return
    single = [a for a in annotations if not a.get("iscrowd")]
    boxes = np.array([a["bbox"] for a in single], float).reshape(-1, 4)
    classes = [a["category_id"] for a in single]
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    areas = boxes[:, 2:].clip(0).prod(axis=1)
    for i in range(1, len(single)):
        sides = np.minimum(high[i], high[:i]) - np.maximum(low[i], low[:i])
        common = sides.clip(0).prod(axis=1)
        same = np.flatnonzero((common > TWICE * (areas[i] + areas[:i] - common)) & (common > 0))
        twin = next((j for j in same.tolist() if classes[j] == classes[i]), None)
        if twin is not None:
            yield single[i], single[twin]
