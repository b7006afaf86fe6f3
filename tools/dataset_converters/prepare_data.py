"""Get the data sets of the configs into the layout that these expect, or check one that is there.

COCO, ADE20K and the nuclei of the Data Science Bowl 2018 are downloaded; interrupted downloads go
on, and what is complete is not touched. ImageNet, of 1K classes or of 22K, must be fetched by hand,
after registering.
"""

from pathlib import Path

from convnextv2.engine.cli import make_parser, run
from convnextv2.engine.outputs import check_folder
from convnextv2.tools.dataset_converters.sources.layouts import (
    Archive,
    Content,
    find_missing_files,
)

COCO = "http://images.cocodataset.org"
ADE20K = "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
NUCLEI = "https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip"

# Name -> default folder, archives. Checksums are those of GluonCV (COCO, ADE20K) and torchvision
# (ImageNet); for DSB 2018 none is published.
SOURCES = {
    "coco": (
        "data/coco",
        [
            Archive(
                f"{COCO}/annotations/annotations_trainval2017.zip",
                "sha1:8551ee4bb5860311e79dace7e79cb91e432e78b3",
                [
                    Content("annotations/instances_train2017.json"),
                    Content("annotations/instances_val2017.json"),
                ],
            ),
            Archive(
                f"{COCO}/zips/val2017.zip",
                "sha1:4950dc9d00dbe1c933ee0170f5797584351d2a41",
                [Content("val2017", 5000, "annotations/instances_val2017.json")],
            ),
            Archive(
                f"{COCO}/zips/train2017.zip",
                "sha1:10ad623668ab00c62c096f0ed636d6aff41faca5",
                [Content("train2017", 118287, "annotations/instances_train2017.json")],
            ),
        ],
    ),
    "ade20k": (
        "data/ade",
        [
            Archive(
                ADE20K,
                "sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7",
                [
                    Content(f"ADEChallengeData2016/{kind}/{folder}", count, f"ADE_{name}_{{:08d}}")
                    for kind in ("images", "annotations")
                    for folder, name, count in (
                        ("training", "train", 20210),
                        ("validation", "val", 2000),
                    )
                ],
            )
        ],
    ),
    "imagenet": (
        "data/imagenet",
        [
            Archive(
                "ILSVRC2012_img_train.tar",
                "md5:1d675b47d978889d74fa0da5fadfb00e",
                [Content("train", 1281167)],
            ),
            Archive(
                "ILSVRC2012_img_val.tar",
                "md5:29b22e2961454d5413ddabcf34fc5622",
                [Content("val", 50000, "ILSVRC2012_val_{:08d}")],
            ),
        ],
    ),
    "imagenet22k": ("data/imagenet22k", []),
    "dsb2018": ("data/dsb2018", [Archive(NUCLEI, None, [])]),
}


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/dataset_converters/prepare_data.py coco --root /disk/coco\n"
        "  python tools/dataset_converters/prepare_data.py dsb2018",
    )
    parser.add_argument("name", choices=SOURCES, help="the data set")
    parser.add_argument("--root", help="its folder; default: as the configs have it, data/...")
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    args = parser.parse_args()
    default, archives = SOURCES[args.name]
    root = Path(args.root or default)
    if not args.check:
        check_folder(root, "--root")

    if args.name == "dsb2018":
        from convnextv2.tools.dataset_converters.sources import dsb2018

        if not args.check and dsb2018.find_missing(root):
            dsb2018.prepare(root, archives[0].source)
        missing = dsb2018.find_missing(root)
        if not missing:
            print(dsb2018.describe(root))
    elif args.name == "imagenet":
        from convnextv2.tools.dataset_converters.sources import imagenet

        if not args.check:
            imagenet.unpack_archives(archives, root)
        missing = find_missing_files(archives, root) + imagenet.find_missing_classes(root)
        if hint := imagenet.find_unsorted(root):
            print(hint)
    elif args.name == "imagenet22k":
        from convnextv2.tools.dataset_converters.sources import imagenet22k

        if not args.check:
            imagenet22k.prepare(root)
        missing = imagenet22k.find_missing(root)
    else:
        if not args.check:
            get_archives(archives, root)
        missing = find_missing_files(archives, root)
    if missing:
        raise SystemExit(f"{root.absolute()} is not complete:\n  " + "\n  ".join(missing))
    print(f"{root.absolute()} is complete")
    if (root / "downloads").is_dir():
        print(f"{root / 'downloads'} is no longer needed")


def get_archives(archives: list[Archive], root: Path) -> None:
    """Download and unpack what something is missing of; archives are kept in ``downloads``."""
    from convnextv2.archives import unpack
    from convnextv2.downloads import download

    for archive in archives:
        if find_missing_files([archive], root):
            path = root / "downloads" / archive.source.rsplit("/", 1)[1]
            download(archive.source, path, archive.checksum)
            unpack(path, root)


if __name__ == "__main__":
    run(main)
