"""Get the data sets of the configs into the layout that these expect, or check one that is there.

COCO, ADE20K and the nuclei of the Data Science Bowl 2018 are downloaded; interrupted downloads go
on, and what is complete is not touched. ImageNet must be fetched by hand, after registering.
"""

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path

COCO = "http://images.cocodataset.org"
BROAD = "https://data.broadinstitute.org/bbbc/BBBC038"


@dataclass
class Source:
    """A data set: its default folder, archives, and what is in the folder when it is complete.

    Checksums are those of GluonCV (COCO, ADE20K) and torchvision (ImageNet); for DSB 2018 none is
    published. `archives`: address or file name -> (checksum, folder it is unpacked into).
    `counts`: folder or file -> images below it, or 1 for a file.
    """

    root: str
    archives: dict[str, tuple[str | None, str]]
    counts: dict[str, int] = field(default_factory=dict)


SOURCES = {
    "coco": Source(
        "data/coco",
        {
            f"{COCO}/zips/train2017.zip": ("sha1:10ad623668ab00c62c096f0ed636d6aff41faca5", "."),
            f"{COCO}/zips/val2017.zip": ("sha1:4950dc9d00dbe1c933ee0170f5797584351d2a41", "."),
            f"{COCO}/annotations/annotations_trainval2017.zip": (
                "sha1:8551ee4bb5860311e79dace7e79cb91e432e78b3",
                ".",
            ),
        },
        {
            "train2017": 118287,
            "val2017": 5000,
            "annotations/instances_train2017.json": 1,
            "annotations/instances_val2017.json": 1,
        },
    ),
    "ade20k": Source(
        "data/ade",
        {
            "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip": (
                "sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7",
                ".",
            )
        },
        {
            f"ADEChallengeData2016/{kind}/{split}": count
            for kind in ("images", "annotations")
            for split, count in (("training", 20210), ("validation", 2000))
        },
    ),
    "imagenet": Source(
        "data/imagenet",
        {
            "ILSVRC2012_img_train.tar": ("md5:1d675b47d978889d74fa0da5fadfb00e", "train"),
            "ILSVRC2012_img_val.tar": ("md5:29b22e2961454d5413ddabcf34fc5622", "val"),
        },
        {"train": 1281167, "val": 50000},
    ),
    "dsb2018": Source("data/dsb2018", {f"{BROAD}/stage1_train.zip": (None, "stage1_train")}),
}


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example:\n  python tools/prepare_data.py coco --root /disk/coco\n"
        "  python tools/prepare_data.py dsb2018",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=SOURCES, help="the data set")
    parser.add_argument("--root", help="its folder; default: as the configs have it, data/...")
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    args = parser.parse_args()
    source = SOURCES[args.name]
    root = Path(args.root or source.root)

    if args.name == "dsb2018":
        from prepare_dsb2018 import convert, find_missing

        missing = find_missing(root)
        if missing and not args.check:
            original = root / "stage1_train"
            if not original.is_dir():
                get_archives(source, root)
            convert(original, root)
            missing = find_missing(root)
    else:
        missing = missing_files(source, root)
        if missing and not args.check:
            if args.name == "imagenet":
                unpack_imagenet(source, root)
            else:
                get_archives(source, root)
            missing = missing_files(source, root)
    if missing:
        raise SystemExit(f"{root.absolute()} is not complete:\n  " + "\n  ".join(missing))
    print(f"{root.absolute()} is complete")


def missing_files(source: Source, root: Path) -> list[str]:
    """A line for each folder or file of a data set that is not as it should be."""
    lines = []
    for name, expected in source.counts.items():
        path = root / name
        if path.suffix == ".json":
            found = int(path.is_file() and path.stat().st_size > 0)
            unit = "file"
        else:
            found = count_images(path)
            unit = "images"
        if found != expected:
            lines.append(f"{name}: {found} of {expected} {unit}")
    return lines


def count_images(folder: Path) -> int:
    """Files below a folder that are named like images and are not empty."""
    suffixes = (".jpg", ".jpeg", ".png")
    return sum(
        entry.name.lower().endswith(suffixes) and entry.stat().st_size > 0
        for path, _, _ in os.walk(folder, followlinks=True)
        for entry in os.scandir(path)
        if entry.is_file()
    )


def get_archives(source: Source, root: Path) -> None:
    """Download and unpack; archives are kept in ``downloads`` until the layout is complete."""
    from download import download, unpack

    for address, (checksum, folder) in source.archives.items():
        archive = root / "downloads" / address.rsplit("/", 1)[1]
        download(address, archive, checksum)
        unpack(archive, root / folder)


def unpack_imagenet(source: Source, root: Path) -> None:
    """Unpack the archives that the user put there; that of training holds one for each class.

    Raises:
        SystemExit: They are not there.
    """
    from download import check, unpack

    for name, (checksum, folder) in source.archives.items():
        archive, target = root / name, root / folder
        if count_images(target) == source.counts[folder]:
            continue
        if not archive.is_file():
            raise SystemExit(
                f"{archive.absolute()} does not exist. Register at https://image-net.org, download "
                f"{name} (ILSVRC2012) and put it there, or link the unpacked images as {target}: "
                "any sub-folders will do, labels are not used."
            )
        if not target.exists():  # begun is checked
            check(archive, checksum)
        unpack(archive, target)
        for inner in sorted(target.glob("n*.tar")):
            unpack(inner, target / inner.stem)
            inner.unlink()


if __name__ == "__main__":
    main()
