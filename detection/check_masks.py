"""The masks of COCO annotations: polygons and RLE, and whether they agree with their boxes."""

import math
from collections.abc import Iterator
from operator import mul

import numpy as np

from convnextv2.findings import Finding

from .check_boxes import OUTSIDE, Boxes, make_finding, show_box
from .check_json import is_number

AGREE = 0.6  # least IoU of a box and the box of its own mask
NEAR = 2.0  # pixels: a difference of less is rounding

# x1, y1, x2, y2 of a mask, or None if it has no pixel or cannot be read.
Corners = tuple[float, float, float, float]
Fault = tuple[str, str, str]


def check_masks(boxes: Boxes, wanted: bool) -> Iterator[Finding]:
    """Check each annotation's mask; `file` is left to the caller.

    Args:
        boxes: Of the annotations.
        wanted: Whether the pipeline or the scores ask for masks.
    """
    for annotation, image in zip(boxes.annotations, boxes.images, strict=True):
        for level, kind, text in check_mask(annotation, image, wanted):
            yield make_finding(level, kind, text, annotation, image)


def check_mask(annotation: dict, image: dict, wanted: bool) -> Iterator[Fault]:
    """Level, kind and text of what is wrong with an annotation's mask."""
    mask, size = annotation.get("segmentation"), (image["width"], image["height"])
    if not mask:
        if wanted:
            text = "no segmentation, but the config wants masks"
            yield "fatal", "annotations without a mask, where masks are wanted", text
        return
    if isinstance(mask, dict):
        faults, corners = _read_rle(mask, size)
    elif isinstance(mask, list) and all(isinstance(polygon, list) for polygon in mask):
        faults, corners = _read_polygons(mask, size)
    else:
        flat = isinstance(mask, list) and all(map(is_number, mask))
        hint = ": one polygon; write it in a list, [[x, y, ...]]" if flat else ""
        text = f"the segmentation is neither RLE nor a list of polygons{hint}"
        faults, corners = [("fatal", "segmentations of neither form", text)], None
    yield from faults
    if corners and not faults:
        yield from _compare(annotation["bbox"], corners)


def _read_polygons(mask: list, size: tuple[int, int]) -> tuple[list[Fault], Corners | None]:
    faults: list[Fault] = []
    xs: list[float] = []
    ys: list[float] = []
    area = 0.0
    for polygon in mask:
        if not _is_polygon(polygon):
            pairs = any(isinstance(point, list) for point in polygon)
            hint = ": of points, not of numbers; write x, y, x, y, ..." if pairs else ""
            text = f"a polygon of {len(polygon)} numbers, expected 3 or more points x, y{hint}"
            faults.append(("fatal", "polygons that are none", text))
            continue
        x, y = polygon[0::2], polygon[1::2]
        part = sum(map(mul, x, y[1:] + y[:1])) - sum(map(mul, y, x[1:] + x[:1]))
        area += abs(part) / 2
        if not part:
            faults.append(("warning", "polygons of no area", "a polygon of no area"))
        xs += [min(x), max(x)]
        ys += [min(y), max(y)]
    if not xs:
        return faults, None
    corners = (min(xs), min(ys), max(xs), max(ys))
    if min(corners) < -OUTSIDE or max(xs) > size[0] + OUTSIDE or max(ys) > size[1] + OUTSIDE:
        text = f"a polygon leaves the image of {size[0]}x{size[1]}"
        faults.append(("warning", "polygons that leave their image", text))
    elif 0 < area < 2 and not _has_pixel(mask, size):
        text = "the polygon is so thin that its mask has no pixel"
        faults.append(("warning", "masks without a pixel", text))
    return faults, corners


def _is_polygon(polygon: list) -> bool:
    try:
        finite = math.isfinite(sum(polygon))
    except TypeError:  # not numbers
        return False
    return finite and len(polygon) >= 6 and len(polygon) % 2 == 0


def _has_pixel(polygons: list, size: tuple[int, int]) -> bool:
    from pycocotools import mask as coco_mask

    return bool(sum(coco_mask.area(coco_mask.frPyObjects(polygons, size[1], size[0]))))


def _read_rle(mask: dict, size: tuple[int, int]) -> tuple[list[Fault], Corners | None]:
    from pycocotools import mask as coco_mask  # not at the top: mask checks go without it

    width, height = size
    if list(mask.get("size") or ()) != [height, width]:
        text = f"the RLE has the height and width {mask.get('size')}, its image {[height, width]}"
        return [("fatal", "RLEs of another size than their image", text)], None
    counts = mask.get("counts")
    try:
        if isinstance(counts, list):
            if not all(map(is_number, counts)) or sum(counts) != width * height:
                text = f"the RLE's counts do not sum up to {width * height} pixels"
                return [("fatal", "RLEs that do not fill their image", text)], None
            rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        else:
            rle = {"size": mask["size"], "counts": _read_counts(counts, width * height)}
        area, (x, y, wide, high) = int(coco_mask.area(rle)), coco_mask.toBbox(rle).tolist()
    except Exception as error:  # pycocotools raises several kinds
        text = f"the RLE cannot be decoded: {error}"
        return [("fatal", "RLEs that cannot be decoded", text)], None
    if not area:
        return [("warning", "masks without a pixel", "the RLE's mask is empty")], None
    return [], (x, y, x + wide, y + high)


def _read_counts(counts: object, pixels: int) -> bytes:
    """COCO's compressed counts, which pycocotools does not hold against the size.

    Raises:
        ValueError: They are none, or are of another number of pixels.
    """
    if not isinstance(counts, str) or not counts:
        raise ValueError(f"counts {counts!r:.40} are no text")
    encoded = counts.encode()
    letters = np.frombuffer(encoded, np.uint8).astype(np.int64) - 48
    if letters.min() < 0 or letters.max() > 63 or letters[-1] & 32:
        raise ValueError("counts that end early, or have letters of no meaning")
    # Numbers of five bits a letter, the lowest first; bit 6 says that there is more of one.
    ends = np.flatnonzero(~letters & 32)
    starts = np.r_[0, ends[:-1] + 1]
    lengths = ends - starts + 1
    if lengths.max() > 8:
        raise ValueError("counts of more than 40 bits")
    shifts = 5 * (np.arange(len(letters)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((letters & 31) << shifts, starts)
    numbers -= np.where(letters[ends] & 16, np.int64(1) << (5 * lengths), 0)
    # From the fourth on, they are differences to the one before the last.
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    if numbers.min() < 0 or numbers.sum() != pixels:
        raise ValueError(f"its counts are of {numbers.sum()} pixels, the image has {pixels}")
    return encoded


def _compare(box: list, corners: Corners) -> Iterator[Fault]:
    """A box against that of its own mask."""
    x, y, width, height = box
    x1, y1, x2, y2 = corners
    if _near((x, y, x + width, y + height), corners) or width < 1 or height < 1:
        return
    own = show_box([x1, y1, x2 - x1, y2 - y1])
    if _near((x, y, width, height), corners):
        text = f"box {show_box(box)} has the corners x1, y1, x2, y2 of its own mask, "
        text += f"whose box is {own}"
        yield "fatal", "boxes that are corners x1, y1, x2, y2", text
    elif _near((x - width / 2, y - height / 2, x + width / 2, y + height / 2), corners):
        text = f"box {show_box(box)} begins in the centre of its own mask, whose box is {own}"
        yield "fatal", "boxes that begin in the centre of their object", text
    else:
        wide = max(0.0, min(x + width, x2) - max(x, x1))
        high = max(0.0, min(y + height, y2) - max(y, y1))
        union = width * height + (x2 - x1) * (y2 - y1) - wide * high
        if wide * high < AGREE * union:
            text = f"box {show_box(box)} is not that of its own mask, {own}"
            yield "warning", "boxes unlike their own masks", text


def _near(first: tuple, second: tuple) -> bool:
    return all(abs(a - b) <= NEAR for a, b in zip(first, second, strict=True))
