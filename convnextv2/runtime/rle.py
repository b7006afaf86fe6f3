"""COCO's run-length encoding of masks, by numpy alone.

Runs go down the columns and begin with one of what is outside, which may have no pixel. Compressed,
a run is five bits a character from '0' on, the lowest first, and a sixth bit where the number goes
on; from the fourth run on each is the difference to the one before the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def find_runs(mask: np.ndarray) -> np.ndarray:
    """The lengths of the runs of a mask (h, w), bool."""
    pixels = mask.ravel("F")
    ends = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    first = [0] if pixels.size and pixels[0] else []
    return np.diff(np.concatenate([[0], first, ends, [pixels.size]])).astype(np.int64)


def fill_runs(runs: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The mask (h, w), bool, of runs."""
    height, width = shape
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def write_runs(runs: Sequence[int] | np.ndarray) -> str:
    """Runs, compressed."""
    numbers = np.array(runs, np.int64)
    numbers[3:] -= np.asarray(runs, np.int64)[1:-2]
    columns, open_ = [], np.ones(len(numbers), bool)
    while open_.any():
        codes, numbers = numbers & 31, numbers >> 5
        # Until the sign's bit is right and nothing else is left.
        more = np.where(codes & 16, numbers != -1, numbers != 0)
        columns.append(np.where(open_, codes + 32 * more + 48, 0))
        open_ &= more
    codes = np.stack(columns, 1) if columns else np.zeros(0, int)
    return codes[codes > 0].astype(np.uint8).tobytes().decode("ascii")


def read_runs(counts: str | bytes) -> np.ndarray:
    """The lengths of compressed runs."""
    text = counts.encode() if isinstance(counts, str) else counts
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(~(codes & 32).astype(bool))
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    numbers = np.add.reduceat((codes & 31) << (5 * places), starts) if len(starts) else codes
    negative = codes[ends] & 16 > 0
    numbers = np.where(negative, numbers - (1 << (5 * (ends - starts + 1))), numbers)
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers
