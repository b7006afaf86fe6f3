"""Find faults in labelled images before they cost a training run."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from convnextv2.data_parts import (
    Report,
    find_broken_links,
    find_missing_images,
    spread,
)
from convnextv2.files import IMAGE_SUFFIXES, printable
from convnextv2.findings import Finding
from convnextv2.near_duplicates import find_candidates, is_copy
from convnextv2.pretrain.check import FilesPart

from .classes import shorten

if TYPE_CHECKING:
    from mmengine.config import Config

# Images that are looked for before a training.
MOST = 1000
# Times that a class may have the images of another before it is said; and before it is a warning.
UNEVEN, VERY_UNEVEN = 10, 50
# Images of which each is held against all others, and pairs of them that are looked at.
MOST_COMPARED, MOST_PAIRS = 20_000, 5000
# Of pictures that no reader here opens.
OTHERS = (".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".jxl", ".ppm", ".pgm", ".raw")


class LabelledPart(FilesPart):
    """A data set of images of which each has a class."""

    dataset = "convnextv2.pretrain.supervised.folder.LabelledImages"
    unit = "images"

    def read(self) -> None:
        """List images and labels, and count the classes."""
        self.labels: list[int] = []
        self._digests: dict[int, bytes] = {}
        dataset = self.open_dataset()
        if dataset is None:
            return
        self.labels = [row["gt_label"] for row in dataset.data_list]
        self._folder = ""
        if not dataset.ann_file and not self.entry.get("shards"):
            self._folder = os.path.normpath(dataset.data_prefix["img"] or dataset.data_root)
        self.findings += judge_counts(self.count(), self.name)

    def check_model(self, cfg: "Config") -> None:
        """Refuse a single class: there is nothing to tell apart."""
        if len(self.classes) == 1:
            text = f"{self.name}: {self.classes[0]!r} is the only class; nothing can be learned "
            text += "from it: put what is none of it into a class of its own"
            self.findings.append(Finding("fatal", "parts of one class", text))

    def sample(self) -> None:
        """Look for a few of the images that a list names."""
        if self.entry.get("ann_file"):
            paths = [self.images[place] for place in spread(len(self.images), MOST)]
            self.findings += find_missing_images(paths, self.name)

    def add(self, index: int, report: Report) -> None:
        """Collect what tells files apart."""
        super().add(index, report)
        if report.digest:
            self._digests[index] = report.digest

    def finish(self) -> None:
        """Name images that are there several times, and files that belong to no class."""
        super().finish()
        self.findings += find_twins(
            self._digests, self.images, self.labels, self.classes, self.name
        )
        self.findings += self._find_near_twins()
        if self._folder:
            self.findings += find_left_out(self._folder, self.name)
            self.findings += find_broken_links(self._folder)

    def _find_near_twins(self) -> Iterator[Finding]:
        """Copies of other bytes, re-encoded or resized, in another class."""
        paths, thumbnails = list(self.thumbnails), list(self.thumbnails.values())
        if len(paths) > MOST_COMPARED:
            return
        places = [self.places[path] for path in paths]
        pairs = (
            (i, j)
            for i, j in find_candidates(thumbnails, thumbnails)
            if i < j and self.labels[places[i]] != self.labels[places[j]]
            if self._digests.get(places[i]) != self._digests.get(places[j])
        )
        kind = f"images of {self.name} that are nearly the same in two classes"
        for i, j in islice(pairs, MOST_PAIRS):
            if is_copy(self.read_image(paths[i]), self.read_image(paths[j])):
                ours, theirs = (self.classes[self.labels[places[k]]] for k in (j, i))
                text = f"{ours!r}, but nearly the same is {theirs!r} as {printable(paths[i])}"
                yield Finding("warning", kind, text, paths[j], paths[j])

    def count(self) -> dict[str, int]:
        """Images of each class."""
        counts = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counts, strict=True))


def judge_counts(counts: dict[str, int], name: str) -> Iterator[Finding]:
    """Say which classes have no image, one, or far fewer than others.

    Args:
        counts: Images of each class.
        name: Of the part of the data.
    """
    empty = [one for one, number in counts.items() if not number]
    single = [one for one, number in counts.items() if number == 1]
    if empty:
        text = f"{name}: no image of {len(empty)} of {len(counts)} classes: {shorten(empty)}"
        yield Finding("warning", f"classes without an image in {name}", text)
    if single:
        text = f"{name}: one image alone of {len(single)} of {len(counts)} classes: "
        level = "warning" if name == "train" else "note"
        yield Finding(level, f"classes of one image in {name}", text + shorten(single))
    there = {one: number for one, number in counts.items() if number}
    if name != "train" or not there:
        return
    least, most = min(there, key=there.__getitem__), max(there, key=there.__getitem__)
    times = there[most] / there[least]
    if times >= UNEVEN:
        level = "warning" if times >= VERY_UNEVEN else "note"
        text = f"{name}: {most!r} has {there[most]} images, {times:.0f} times as many as {least!r} "
        text += f"with {there[least]}; mmengine's ClassBalancedDataset repeats rare classes"
        yield Finding(level, "parts whose classes differ much in size", text)


def find_twins(
    digests: dict[int, bytes],
    images: list[str],
    labels: list[int],
    classes: list[str],
    name: str,
) -> Iterator[Finding]:
    """Images whose files have the same bytes, in two classes or in one.

    Args:
        digests: Of the files that were read, by the image's place.
        images: Paths.
        labels: Of the images.
        classes: Their names.
        name: Of the part of the data.
    """
    same: dict[bytes, list[int]] = defaultdict(list)
    for place, digest in digests.items():
        same[digest].append(place)
    for places in same.values():
        first = places[0]
        for place in places[1:]:
            ours, theirs = classes[labels[place]], classes[labels[first]]
            twin = printable(images[first])
            if ours == theirs:
                text = f"the same image as {twin}, in the same class {ours!r}"
                kind = f"images that are in {name} several times"
                yield Finding("note", kind, text, images[place], images[place])
            else:
                text = f"{ours!r}, but the same image is {theirs!r} as {twin}"
                kind = f"images of {name} that are in two classes"
                yield Finding("warning", kind, text, images[place], images[place])


def find_left_out(folder: str, name: str) -> Iterator[Finding]:
    """Images that are in no class' folder, or of a format that is not read.

    Args:
        folder: The folder of the classes' folders.
        name: Of the part of the data.
    """
    kind = f"images of {name} left out: they are in no class' folder"
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        shown = entry.is_file() and not entry.name.startswith(".")
        if shown and entry.name.lower().endswith(IMAGE_SUFFIXES):
            yield Finding("warning", kind, "left out: it is in no class' folder", entry.path)
    others: Counter[str] = Counter()
    first: dict[str, str] = {}
    for root, _, names in os.walk(folder):
        for one in names:
            suffix = os.path.splitext(one)[1].lower()
            if suffix in OTHERS and not one.startswith("."):
                others[suffix] += 1
                first.setdefault(suffix, os.path.join(root, one))
    for suffix, number in others.items():
        text = f"{name}: {number} files {suffix}, such as {first[suffix]}, are left out: convert "
        text += f"them to one of {' '.join(IMAGE_SUFFIXES)}"
        yield Finding("warning", "formats that are not read", text)
