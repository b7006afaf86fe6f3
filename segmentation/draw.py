"""Label maps drawn over their image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from convnextv2.pictures import Palette, complete_palette, to_rgb
from convnextv2.words import label_words, write_words

from .check_labels import Labels


def paint(
    photograph: np.ndarray,
    labels: np.ndarray,
    palette: Palette,
    scale: int = 1,
    names: Sequence[str] = (),
) -> np.ndarray:
    """The photograph under the colours of its label map; what is black there stays as it is.

    Args:
        photograph: Already enlarged by `scale`.
        labels: (H, W) before the enlargement; 255 is ignored.
        palette: An RGB colour for each label.
        scale: Times that the photograph was enlarged.
        names: Written, or else their numbers, where each label has the most room; without them
            nothing is.
    """
    colours = np.zeros((256, 3), np.uint8)  # 255, ignored, stays black: uncoloured
    colours[: len(palette)] = palette[:255]
    labels = labels.repeat(scale, axis=0).repeat(scale, axis=1)
    layer = colours[labels]
    mixed = (0.45 * photograph + 0.55 * layer).astype(np.uint8)
    picture = np.where(layer.any(axis=2, keepdims=True), mixed, photograph)
    words = label_words(tuple(names))
    for label in np.unique(labels).tolist() if words else ():
        room = cv2.distanceTransform((labels == label).astype(np.uint8), cv2.DIST_L2, 3)
        _, most, _, place = cv2.minMaxLoc(room)
        if most > 8 and label < len(words):  # else the word would cover what it names
            write_words(picture, words[label], (place[0], place[1]), (255, 255, 255))
    return picture


def paint_values(image: np.ndarray, mask: str, values: Labels) -> np.ndarray:
    """A picture of an image under its mask, in red what is neither a class nor ignored.

    Args:
        image: (H, W, C) as a config loads it.
        mask: Path; without one that fits, the image is shown alone.
        values: What training makes of the mask's values.
    """
    picture = to_rgb(image)
    try:
        with Image.open(mask) as file:
            pixels = np.array(file)
    except (OSError, ValueError, SyntaxError):
        return picture
    if pixels.shape != picture.shape[:2]:
        return picture
    known = pixels.astype(int) % 256
    table = np.array([values.find(value) for value in range(256)])
    wrong = np.array([values.is_wrong(value) for value in range(256)])
    palette = complete_palette(None, 255)
    painted = paint(picture, np.where(wrong[known], 255, table[known]), palette)
    painted[wrong[known]] = (255, 0, 0)
    return painted
