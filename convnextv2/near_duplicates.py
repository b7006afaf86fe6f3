"""Images that are others' copies, re-encoded or resized, found by what is in them.

An image is shrunk to a few grey cells, which re-encoding and resizing hardly change. Pairs whose
cells agree are looked at once more, larger, where mere likeness shows.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

CELLS = 16
FINE = 64
# Least correlation of a pair's cells, and of the details of its larger pictures.
ALIKE = 0.97
SAME = 0.9
# Of grey levels in 255: what varies less has no features to tell it by.
FLAT = 2.0
ROWS = 4096  # compared at once


Loader = Callable[[str], np.ndarray]


def find_copies(
    ours: dict[str, np.ndarray],
    theirs: dict[str, np.ndarray],
    load_ours: Loader,
    load_theirs: Loader,
    most: int = 5000,
) -> Iterator[tuple[str, str]]:
    """Paths of images of ours, and of theirs that are copies.

    Args:
        ours: Thumbnails by path.
        theirs: Those of another part.
        load_ours: Reads an image again.
        load_theirs: The same.
        most: Pairs to look at; beyond, the images are too much alike to tell.
    """
    first, second = list(ours), list(theirs)
    pairs = find_candidates(list(ours.values()), list(theirs.values()))
    for i, j in islice(pairs, most):
        if is_copy(load_ours(first[i]), load_theirs(second[j])):
            yield first[i], second[j]


def shrink(image: np.ndarray, cells: int = CELLS) -> np.ndarray:
    """The mean brightness in each of cells x cells, float16, of an image (H, W, C) of any type.

    The aspect ratio is not kept: it is compared with the rest of what is known of the image.
    """
    import cv2

    grey = image.reshape(*image.shape[:2], -1).mean(axis=2, dtype=np.float32)
    highest = float(grey.max())
    if highest > 255 or (image.dtype.kind == "f" and highest > 0):
        grey *= 255 / highest
    return cv2.resize(grey, (cells, cells), interpolation=cv2.INTER_AREA).astype(np.float16)


def find_candidates(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]
) -> Iterator[tuple[int, int]]:
    """Places in both lists of thumbnails that agree; those without features agree with none."""
    if not ours or not theirs:
        return
    other, other_places = _normalize(theirs)
    for start in range(0, len(ours), ROWS):
        rows, places = _normalize(ours[start : start + ROWS])
        for i, j in np.argwhere(rows @ other.T > ALIKE).tolist():
            yield start + int(places[i]), int(other_places[j])


def is_copy(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two images (H, W, C) show the same, down to their details."""
    ratio = np.divide(*ours.shape[:2]) / np.divide(*theirs.shape[:2])
    if not 0.95 < ratio < 1.05:
        return False
    return correlate(ours, theirs) > SAME


def correlate(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The correlation of the details of two images: of what differs from cell to cell."""
    first, second = (_details(image).ravel() for image in (ours, theirs))
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / scale if scale else 0.0


def _details(image: np.ndarray) -> np.ndarray:
    import cv2

    fine = shrink(image, FINE).astype(np.float32)
    return fine - cv2.GaussianBlur(fine, (0, 0), FINE / CELLS)


def _normalize(thumbnails: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of mean 0 and length 1 of those with features, and their places."""
    rows = np.stack(thumbnails).reshape(len(thumbnails), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    places = np.flatnonzero(rows.std(axis=1) > FLAT)
    rows = rows[places]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), places
