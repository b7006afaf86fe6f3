"""What drawing shares, whatever the task: images from paths, colours, rows of pictures.

Pictures are uint8 arrays (H, W, 3), RGB.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# An RGB colour for each class.
Palette = Sequence[tuple[int, int, int]]


def expand_images(paths: list[str]) -> list[str]:
    """Files as they are, and the images of folders, sorted.

    Dangling links, pipes and the like that are named by the user are left to the reader.

    Raises:
        SystemExit: A path does not exist, or there is no image at all.
    """
    from convnextv2.files import find_images, printable

    found = []
    for path in paths:
        if os.path.isdir(path):
            found += find_images(path)
        elif os.path.lexists(path):
            found.append(path)
        else:
            raise SystemExit(f"{printable(os.path.abspath(path))} does not exist")
    if not found:
        raise SystemExit(f"no images in {', '.join(map(printable, paths))}")
    return found


def write_grid(
    rows: list[list[np.ndarray]], titles: Sequence[str], out: str | Path, gap: int = 6
) -> None:
    """Write rows of pictures as one PNG, a title above each column.

    Args:
        rows: Pictures, each as large as any other of its column and row or smaller.
        titles: One for each column.
        out: Path of the PNG; folders are made.
        gap: Pixels between pictures.

    Raises:
        SystemExit: The file cannot be written.
    """
    import cv2
    import numpy as np

    from convnextv2.words import write_words

    heights = [max(picture.shape[0] for picture in row) + gap for row in rows]
    widths = [max(row[i].shape[1] for row in rows) + gap for i in range(len(titles))]
    top = 22
    canvas = np.full((top + sum(heights), sum(widths) - gap, 3), 255, np.uint8)
    for column, title in enumerate(titles):
        place = (sum(widths[:column]) + 2, top - 7)
        write_words(canvas, title, place, (0, 0, 0))
    for i, row in enumerate(rows):
        for column, picture in enumerate(row):
            y, x = top + sum(heights[:i]), sum(widths[:column])
            canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture[..., ::-1]
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), canvas):
        raise SystemExit(f"cannot write {out}")


def join_row(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures side by side, white below those that are less high."""
    import numpy as np

    height = max(picture.shape[0] for picture in pictures)
    pads = [((0, height - picture.shape[0]), (0, 0), (0, 0)) for picture in pictures]
    pairs = zip(pictures, pads, strict=True)
    return np.hstack([np.pad(picture, pad, constant_values=255) for picture, pad in pairs])


def write_png(picture: np.ndarray, out: str | Path) -> None:
    """Write a label map (H, W) or a picture; the file appears when it is complete."""
    import cv2

    from convnextv2.files import AtomicLocalBackend

    pixels = picture if picture.ndim == 2 else picture[..., ::-1]
    AtomicLocalBackend().put(cv2.imencode(".png", pixels)[1].tobytes(), out)


def to_rgb(image: np.ndarray, scale: int = 1, bands: Sequence[int] | None = None) -> np.ndarray:
    """A picture of an image as a config loads it.

    Args:
        image: (H, W, C), of any type. Three channels are BGR.
        scale: Times to enlarge it.
        bands: What to show, see `show_bands`.
    """
    import numpy as np

    from convnextv2.band_pictures import show_bands

    image = image[..., ::-1] if image.shape[2:] == (3,) else image.reshape(*image.shape[:2], -1)
    (picture,) = show_bands([image], bands)
    return np.ascontiguousarray(picture.repeat(scale, axis=0).repeat(scale, axis=1))


def complete_palette(palette: object, number: int) -> list[tuple[int, int, int]]:
    """A palette of at least so many RGB colours; with too few, all are drawn anew."""
    import numpy as np

    if isinstance(palette, (list, tuple)) and len(palette) >= number:
        return [tuple(colour) for colour in palette]
    colours = np.random.default_rng(0).integers(64, 256, (number, 3))
    return [tuple(colour) for colour in colours.tolist()]
