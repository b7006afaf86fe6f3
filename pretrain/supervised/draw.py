"""Pictures with the names of their classes in a strip below."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from convnextv2.pictures import Palette
from convnextv2.words import write_words

LINE = 18  # pixels
NARROWEST = 200  # in which a name can be read


def caption(picture: np.ndarray, lines: Sequence[tuple[str, tuple[int, int, int]]]) -> np.ndarray:
    """The picture (H, W, 3) with lines of words in their colours below it.

    Small pictures are enlarged until there is room.
    """
    if picture.shape[1] < NARROWEST:
        times = -(-NARROWEST // picture.shape[1])
        size = (picture.shape[1] * times, picture.shape[0] * times)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
    strip = np.full((LINE * len(lines) + 4, picture.shape[1], 3), 255, np.uint8)
    canvas = np.concatenate([picture, strip])
    for number, (words, colour) in enumerate(lines):
        place = (3, picture.shape[0] + LINE * number + LINE - 4)
        write_words(canvas, words, place, colour)
    return canvas


def dark(palette: Palette, label: int) -> tuple[int, int, int]:
    """A class' colour, dark enough for words on white."""
    red, green, blue = (int(value * 0.6) for value in palette[label])
    return red, green, blue
