"""Mean and standard deviation of each channel of a pre-training data set, stored beside it.

The images are those of the config's train_dataloader, decoded as in training and not augmented.
Let the model use the file: --cfg-options model.data_preprocessor.statistics=FILE
"""

from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import make_config_parser, run, whole
from convnextv2.engine.config import read_config
from convnextv2.engine.outputs import check_file
from convnextv2.engine.settings import need_entries

if TYPE_CHECKING:
    from convnextv2.pretrain.data.statistics import PixelStatistics


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__,
        "python tools/dataset_converters/compute_statistics.py "
        "configs/pretrain/fcmae_convnextv2_custom.py --workers 8 --cfg-options "
        "data_root=photos",
    )
    parser.add_argument("--out", help="file to write; default: statistics.json in data_root")
    parser.add_argument("--workers", type=whole(0), default=2, help="processes that read")
    parser.add_argument(
        "--max-images", type=whole(1), help="so many, drawn at random; default: all"
    )
    args = parser.parse_args()
    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "train_dataloader")
    entry = cfg.train_dataloader.get("dataset", {})
    out = args.out or (entry.get("data_root") and f"{entry.data_root}/statistics.json")
    if not out:
        parser.error("the data set has no data_root to store the file in; give --out")

    from convnextv2.files import AtomicLocalBackend

    check_file(out, "--out")
    statistics, unreadable = compute(entry, args.workers, args.max_images)
    for name, numbers in (("mean", statistics.mean), ("std", statistics.std)):
        print(f"{name:4}", " ".join(f"{number:.4g}" for number in numbers))
    if unreadable:
        print(f"{len(unreadable)} images were left out:", *unreadable, sep="\n  ")
    AtomicLocalBackend().put(statistics.as_json().encode(), out)
    print(f"of {statistics.images} images: {Path(out).absolute()}")


def compute(
    entry: dict, workers: int, max_images: int | None
) -> tuple["PixelStatistics", list[str]]:
    """Statistics of a data set's config, and lines about images that were left out.

    Raises:
        ValueError: No image could be read, or a channel is the same everywhere.
    """
    from mmengine.registry import DATASETS, init_default_scope
    from rich.progress import track
    from torch.utils.data import DataLoader

    from convnextv2.pretrain.data.statistics import ImageStatistics, PixelStatistics

    init_default_scope("mmengine")
    images = ImageStatistics(DATASETS.build(entry), max_images)
    loader = DataLoader(images, batch_size=None, num_workers=workers)
    statistics, unreadable = PixelStatistics(), []
    for path, found in track(loader, "reading", total=len(images)):
        if isinstance(found, str):
            unreadable.append(f"{path}: {found}")
        else:
            statistics.merge(found)
    if not statistics.images:
        raise ValueError("no image could be read:\n  " + "\n  ".join(unreadable))
    if not statistics.std.all():
        raise ValueError(f"a channel is the same everywhere: std {statistics.std.tolist()}")
    return statistics, unreadable


if __name__ == "__main__":
    run(main)
