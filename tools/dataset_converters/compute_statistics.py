"""Mean and standard deviation of each channel of a config's training images, stored beside them.

The images are those of the train_dataloader, of any task, decoded as in training and not augmented.
Three channels are counted in the order RGB. Let the model use the file, which fits every task:
--cfg-options model.data_preprocessor.statistics=FILE
"""

from pathlib import Path

from convnextv2.engine.cli import make_config_parser, run, whole
from convnextv2.engine.config import read_config
from convnextv2.engine.outputs import check_file
from convnextv2.engine.settings import need_entries
from convnextv2.engine.types import walk_datasets


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
    roots = [inner["data_root"] for _, inner in walk_datasets(entry) if inner.get("data_root")]
    out = args.out or (roots and f"{roots[0]}/statistics.json")
    if not out:
        parser.error("the data set has no data_root to store the file in; give --out")

    from mmengine.registry import DATASETS, init_default_scope

    from convnextv2.files import AtomicLocalBackend
    from convnextv2.statistics import measure

    check_file(out, "--out")
    init_default_scope(cfg.get("default_scope") or "mmengine")
    statistics, unreadable = measure(DATASETS.build(entry), args.workers, args.max_images)
    for name, numbers in (("mean", statistics.mean), ("std", statistics.std)):
        print(f"{name:4}", " ".join(f"{number:.4g}" for number in numbers))
    if mixed := statistics.describe_types():
        print(mixed)
    if unreadable:
        print(f"{len(unreadable)} images were left out:", *unreadable, sep="\n  ")
    AtomicLocalBackend().put(statistics.as_json().encode(), out)
    print(f"of {statistics.images} images: {Path(out).absolute()}")


if __name__ == "__main__":
    run(main)
