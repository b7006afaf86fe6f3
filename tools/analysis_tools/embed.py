"""Write the features of any images to a file, and a map of the images as a picture.

Features are a stage's output, averaged over its pixels. FILE is .npz (arrays `features` (N, D),
`paths`, `folders`), .parquet (columns `path`, `folder`, `f0`, `f1`, ...; needs the extra
[parquet]) or .csv, the same columns. The map beside it, FILE's name with .png, shows the two
directions of the largest variance (principal components); colours are the images' folders.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_looking, make_config_parser, run
from convnextv2.engine.config import read_config
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_file
from convnextv2.engine.settings import need_entries

if TYPE_CHECKING:
    from torch import Tensor

    from convnextv2.pretrain.frozen import FrozenBackbone


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__,
        "python tools/analysis_tools/embed.py CONFIG work_dirs/NAME/iter_500.pth photos/ "
        "--out photos.npz",
    )
    parser.add_argument("checkpoint", help="path or address")
    parser.add_argument("images", nargs="+", help="images, or folders with any sub-folders")
    parser.add_argument("--out", required=True, metavar="FILE", help="ends in .npz, .parquet, .csv")
    parser.add_argument("--stage", type=int, choices=(1, 2, 3, 4), default=4)
    add_looking(parser)
    args = parser.parse_args()
    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "model")
    check_file(args.out, "--out", (".npz", ".parquet", ".csv"))
    if Path(args.out).suffix.lower() == ".parquet":
        import_pyarrow()

    from convnextv2.pictures import expand_images
    from convnextv2.predictor import find_device
    from convnextv2.pretrain.analysis_plots import plot_map
    from convnextv2.pretrain.frozen import from_config
    from convnextv2.pretrain.probing import principal_map

    paths = expand_images(args.images)
    network = from_config(cfg, args.checkpoint, args.size, find_device(args.device), args.prefix)
    read, features = embed(network, paths, args)
    folders = [os.path.dirname(path) or "." for path in read]
    write(Path(args.out), features, read, folders)
    places, shares = principal_map(features)
    root = os.path.commonpath(folders)
    names = [os.path.relpath(folder, root) for folder in folders]
    picture = Path(args.out).with_suffix(".png")
    plot_map(places, shares, names, picture)
    print(f"{len(read)} images, {features.shape[1]} features each: {args.out}, {picture}")


def import_pyarrow() -> None:
    """Stop where there is no pyarrow.

    Raises:
        InputError: There is none.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise InputError(
            ".parquet needs pyarrow: pip install 'convnextv2-dense[parquet]', or write .npz or .csv"
        ) from error


def embed(
    network: "FrozenBackbone", paths: list[str], args: argparse.Namespace
) -> "tuple[list[str], Tensor]":
    """The paths that can be read, and their features (N, D)."""
    from convnextv2.pretrain.frozen import list_unreadable, pool_files

    unreadable: list[str] = []
    places, stages = pool_files(network, paths, args.batch_size, args.workers, "images", unreadable)
    if unreadable:
        print(list_unreadable(unreadable, len(paths)))
    return [paths[place] for place in places], stages[args.stage - 1]


def write(out: Path, features: "Tensor", paths: list[str], folders: list[str]) -> None:
    """Write the file, completely or not at all."""
    import numpy as np

    from convnextv2.files import printable, written_whole
    from convnextv2.scalars import write_table

    values = features.numpy()
    paths, folders = [[printable(p) for p in names] for names in (paths, folders)]
    columns = [f"f{i}" for i in range(values.shape[1])]
    kind = out.suffix.lower()
    if kind == ".csv":
        rows = ([p, f, *row] for p, f, row in zip(paths, folders, values.tolist(), strict=True))
        write_table(out, ["path", "folder", *columns], rows)
        return
    with written_whole(out) as partial:
        if kind == ".npz":
            with open(partial, "wb") as file:  # by name, numpy would append its suffix
                np.savez(file, features=values, paths=np.array(paths), folders=np.array(folders))
        else:
            import pyarrow
            import pyarrow.parquet

            arrays = {"path": paths, "folder": folders, **dict(zip(columns, values.T, strict=True))}
            pyarrow.parquet.write_table(pyarrow.table(arrays), partial)


if __name__ == "__main__":
    run(main)
