"""Images of the training part that are in another too, by their paths, bytes or content."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from convnextv2.data_parts import Part
from convnextv2.files import printable
from convnextv2.findings import Finding
from convnextv2.near_duplicates import find_copies


def check_overlap(parts: Sequence[Part]) -> Iterator[Finding]:
    """Hold every other part against the training part.

    Args:
        parts: Read, and looked into where copies of other bytes are to be found.
    """
    training = [part for part in parts if part.name == "train"]
    ours = {os.path.realpath(path) for part in training for path in part.images}
    for part in parts:
        if part.name == "train" or not part.images:
            continue
        theirs = {os.path.realpath(path) for path in part.images}
        if theirs <= ours:
            text = f"{part.name}: all {len(theirs)} images are images of the training part too: "
            text += "scores will say how well they are remembered"
            yield Finding("warning", "parts that are in the training part", text)
        else:
            yield from _name_copies(training, part)


def _name_copies(training: Sequence[Part], part: Part) -> Iterator[Finding]:
    named = set()
    kind = f"images of {part.name} that are in training too"
    for twin, path in _find_equal([p for one in training for p in one.images], part.images):
        named.add((twin, path))
        yield Finding("warning", kind, f"in training and elsewhere: {twin} is {path}", image=path)
    kind = f"images of {part.name} that are nearly one of training: re-encoded or resized copies?"
    for one in training:
        readers = (one.read_image, part.read_image)
        for twin, path in find_copies(one.thumbnails, part.thumbnails, *readers):
            if (twin, path) not in named:
                text = f"nearly the same as {printable(twin)} of training"
                yield Finding("warning", kind, text, path)


def _find_equal(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Paths of both with the same bytes; only files of one size are read."""
    by_size: dict[int, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, paths in enumerate((ours, theirs)):
        for path in paths:
            if os.path.isfile(path) and (size := os.path.getsize(path)):
                by_size[size][side].append(path)
    for first, second in by_size.values():
        contents = defaultdict(list)
        for path in second if first else ():
            contents[_digest(path)].append(path)
        for path in first if second else ():
            yield from ((path, twin) for twin in contents.get(_digest(path), ()))


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
