"""ImageNet's archives, which every user has to fetch, into ``train/CLASS`` and ``val``.

With the development kit beside them, each class is counted, and validation images are put into
folders of their classes, as training with labels wants them. Pre-training looks at no labels.
"""

import io
import os
from pathlib import Path

from convnextv2.tools.dataset_converters.sources.layouts import Archive, find_missing_files

DEVKIT = "ILSVRC2012_devkit_t12"
CLASSES = 1000


def unpack_archives(archives: list[Archive], root: Path) -> None:
    """Unpack the archives of training and validation that the user put there.

    Raises:
        SystemExit: One is not there.
        ValueError: One is not the right one, or damaged.
    """
    from convnextv2.archives import unpack, unpack_nested
    from convnextv2.downloads import check

    for archive in archives:
        if not find_missing_files([archive], root):
            continue
        path, target = root / archive.source, root / archive.contents[0].path
        if not path.is_file():
            raise SystemExit(
                f"{path.absolute()} does not exist. Register at https://image-net.org, download "
                f"{path.name} (ILSVRC2012) and put it there, or link the unpacked images as "
                f"{target}."
            )
        if archive.checksum and not target.exists():  # begun is checked
            check(path, archive.checksum)
        (unpack_nested if target.name == "train" else unpack)(path, target)
    if synsets := read_synsets(root):
        sort_validation(root, synsets)


def find_missing_classes(root: Path) -> list[str]:
    """A line for each folder of training images that is not there, or lacks some."""
    train = root / "train"
    if not train.is_dir():
        return []
    found = {
        entry.name: sum(1 for _ in os.scandir(entry))
        for entry in os.scandir(train)
        if entry.is_dir()
    }
    synsets = read_synsets(root)
    if not synsets:
        lacks = len(found) < CLASSES
        return [f"train: {len(found)} of {CLASSES} classes"] if lacks else []
    return [
        f"train/{name}: {found.get(name, 0)} of {count} images"
        for name, count in sorted(synsets.values())
        if found.get(name, 0) < count
    ]


def find_unsorted(root: Path) -> str:
    """What to do about validation images that are in no folder of their class; empty if none are.

    Pre-training does not mind; a classifier is validated by their labels.
    """
    count = sum(1 for _ in (root / "val").glob("ILSVRC2012_val_*"))
    if not count:
        return ""
    return (
        f"val: {count} images are in no folder of their class: with {DEVKIT}.tar.gz in {root} this "
        "command sorts them; or let LabelledImages take a list of them, ann_file='val.txt'"
    )


def read_synsets(root: Path) -> dict[int, tuple[str, int]]:
    """Class number -> its folder's name and training images, from the kit; empty without it.

    Raises:
        SystemExit: scipy, which reads it, is not installed.
        ValueError: The kit is damaged.
    """
    content = _read_devkit(root, "meta.mat")
    if content is None:
        return {}
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise SystemExit("the development kit needs scipy: pip install scipy") from error
    synsets = loadmat(content, squeeze_me=True)["synsets"]
    # Groups of classes follow the classes; only these are numbered up to their count.
    return {
        int(s["ILSVRC2012_ID"]): (str(s["WNID"]), int(s["num_train_images"]))
        for s in synsets
        if s["num_children"] == 0
    }


def sort_validation(root: Path, synsets: dict[int, tuple[str, int]]) -> None:
    """Move validation images into folders of their classes; those that are in one stay."""
    content = _read_devkit(root, "ILSVRC2012_validation_ground_truth.txt")
    assert content is not None  # the kit that the synsets are from
    labels = content.read().split()
    for i, label in enumerate(labels):
        image = root / "val" / f"ILSVRC2012_val_{i + 1:08d}.JPEG"
        if image.is_file():
            folder = image.parent / synsets[int(label)][0]
            folder.mkdir(exist_ok=True)
            image.rename(folder / image.name)


def _read_devkit(root: Path, name: str) -> io.BytesIO | None:
    path = root / f"{DEVKIT}.tar.gz"
    if not path.is_file():
        return None
    from convnextv2.archives import read_member

    return io.BytesIO(read_member(path, f"{DEVKIT}/data/{name}"))
