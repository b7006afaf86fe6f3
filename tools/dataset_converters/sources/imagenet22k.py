"""ImageNet-22K's archive, which every user has to fetch, into ``train/CLASS.tar``.

The classes' tars stay as they are: `LabelledShards` reads images out of them, where 14 million
files would take a file system hours to list.
"""

import os
from pathlib import Path
from typing import NamedTuple

from convnextv2.tools.dataset_converters.sources.layouts import Archive


class Release(NamedTuple):
    """An archive of the whole, and how many classes it has."""

    archive: Archive
    classes: int


# The first is what https://image-net.org gives today, with its checksum; the second is what
# published networks of 21,841 classes were trained on, and is no longer given.
RELEASES = (
    Release(Archive("winter21_whole.tar.gz", "md5:ab313ce03179fd803a401b02c651c0a2", []), 19167),
    Release(Archive("fall11_whole.tar", None, []), 21841),
)


def prepare(root: Path, releases: tuple[Release, ...] = RELEASES) -> None:
    """Unpack the archive that the user put there, unless its classes are there.

    Raises:
        SystemExit: There is none.
        ValueError: It is not the right one, or damaged.
    """
    from convnextv2.archives import unpack
    from convnextv2.downloads import check

    if not find_missing(root, releases):
        return
    there = [release for release in releases if (root / release.archive.source).is_file()]
    if not there:
        names = " or ".join(release.archive.source for release in releases)
        raise SystemExit(
            f"{root.absolute()} has no {names}. Register at https://image-net.org, download "
            f"ImageNet21K and put it there, or link the classes' tars as {root / 'train'}."
        )
    archive = there[0].archive
    target = root / "train"
    if archive.checksum and not target.exists():  # begun is checked
        check(root / archive.source, archive.checksum)
    unpack(root / archive.source, target)
    for path in target.glob("*/n*.tar"):  # an archive may hold a folder of its own name
        path.rename(target / path.name)


def find_missing(root: Path, releases: tuple[Release, ...] = RELEASES) -> list[str]:
    """A line if there are fewer classes than a release has: of the one that is there, or of any."""
    there = [release for release in releases if (root / release.archive.source).is_file()]
    wanted = min(release.classes for release in there or releases)
    found = count_classes(root)
    return [f"train: {found} of {wanted} classes, CLASS.tar"] if found < wanted else []


def count_classes(root: Path) -> int:
    """The classes' tars."""
    train = root / "train"
    names = os.listdir(train) if train.is_dir() else []
    return sum(name.startswith("n") and name.endswith(".tar") for name in names)
