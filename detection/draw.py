"""Objects drawn into their image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from convnextv2.pictures import Palette, to_rgb
from convnextv2.words import label_words, write_words

if TYPE_CHECKING:
    from mmengine.structures import InstanceData


def outline(
    photograph: np.ndarray,
    objects: InstanceData,
    palette: Palette,
    scale: int = 1,
    names: Sequence[str] = (),
) -> np.ndarray:
    """The photograph with the outlines of instances: of masks where there are any, or of boxes.

    Args:
        photograph: Already enlarged by `scale`.
        objects: mmdet's instances, in pixels before the enlargement.
        palette: An RGB colour for each label.
        scale: Times that the photograph was enlarged.
        names: Written, or else their numbers, with the score above each object that is as wide
            as the words; without them nothing is.
    """
    from .coco import decode_mask  # needs pycocotools

    picture = photograph.copy()
    masks, words = objects.get("masks"), label_words(tuple(names))
    boxes = (objects.bboxes.numpy().reshape(-1, 4) * scale).round().astype(int)
    for i, label in enumerate(objects.labels.tolist()):
        colour = tuple(palette[label])
        x1, y1, x2, y2 = boxes[i].tolist()
        if masks is None:
            cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1, cv2.LINE_AA)
        else:
            mask = getattr(masks, "masks", masks)[i]
            mask = np.asarray(decode_mask(mask) if isinstance(mask, dict) else mask, np.uint8)
            mask = mask.repeat(scale, axis=0).repeat(scale, axis=1)
            contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)
        if words:
            text = f"{words[label]} {objects.scores[i]:.2f}"
            write_words(picture, text, (x1, max(y1 - 3, 9)), colour, room=x2 - x1)
    return picture


def draw_box(
    image: np.ndarray, box: Sequence[float], colour: tuple[int, int, int] = (255, 0, 0)
) -> np.ndarray:
    """A picture of an image with one box, with a grey rim for what leaves the image.

    Args:
        image: (H, W, C) as a config loads it.
        box: x, y, width, height; empty: none is drawn.
        colour: RGB.
    """
    picture = to_rgb(image)
    rim = max(4, round(0.1 * max(picture.shape[:2])))
    picture = np.pad(picture, ((rim, rim), (rim, rim), (0, 0)), constant_values=128)
    if box:
        limit = 4 * max(picture.shape[:2])
        x, y, width, height = (np.clip(box, -limit, limit)).round().astype(int).tolist()
        corners = (x + rim, y + rim), (x + rim + max(width, 1), y + rim + max(height, 1))
        thick = max(1, round(max(picture.shape[:2]) / 200))
        cv2.rectangle(picture, *corners, colour, thick, cv2.LINE_AA)
    return picture
