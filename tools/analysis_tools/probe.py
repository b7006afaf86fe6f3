"""Say how good a pre-training is, without fine-tuning it: by k-NN and by a linear classifier.

Both see the frozen features of each stage, averaged over its pixels, of a folder of labelled
images, CLASS/IMAGE. Top-1 is the mean over folds: each in turn is tested, with the others learned
from; with --val, its images are tested each time. Several checkpoints, such as those along a
training, are drawn in one picture. DIR gets probe.json and probe.png.
"""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_looking, make_config_parser, run, whole
from convnextv2.engine.config import read_config
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_folder
from convnextv2.engine.settings import need_entries

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import Tensor

    from convnextv2.pretrain.frozen import FrozenBackbone
    from convnextv2.pretrain.probing import ProbeScores
    from convnextv2.pretrain.supervised.folder import LabelledImages

UNTRAINED = "untrained"


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__,
        "python tools/analysis_tools/probe.py CONFIG work_dirs/NAME/iter_500.pth --data labelled/",
    )
    parser.add_argument("checkpoints", nargs="+", help="paths or addresses")
    parser.add_argument("--data", required=True, metavar="FOLDER", help="with a folder a class")
    parser.add_argument(
        "--untrained", action="store_true", help="also probe random weights, to compare with"
    )
    parser.add_argument("--val", metavar="FOLDER", help="likewise; tested instead of each fold")
    parser.add_argument("--out", default="probe", metavar="DIR", help="folder to write to")
    parser.add_argument("--folds", type=whole(2), default=5)
    parser.add_argument(
        "--seed", type=whole(0), default=0, help="of the folds and of random weights"
    )
    add_looking(parser)
    args = parser.parse_args()
    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "model")
    check_folder(args.out, "--out")

    probe_networks(cfg, args)


def probe_networks(cfg: "Config", args: argparse.Namespace) -> None:
    """Probe one after the other, and write the figures.

    Raises:
        InputError: The images are of one class.
        ValueError: There are more folds than images of a class.
    """
    import torch

    from convnextv2.predictor import find_device
    from convnextv2.pretrain.frozen import from_config
    from convnextv2.pretrain.probing import make_folds
    from convnextv2.pretrain.supervised.folder import LabelledImages

    data = LabelledImages(args.data)
    classes = data.metainfo["classes"]
    if len(classes) < 2:
        raise InputError(f"--data {args.data} has one class, of which nothing can be told apart")
    make_folds(list_labels(data), args.folds, args.seed)  # what is wrong with them, at once
    val = LabelledImages(args.val, metainfo={"classes": classes}) if args.val else None
    names: list[tuple[str | None, str]] = [*name_checkpoints(args.checkpoints).items()]
    if args.untrained:
        names.insert(0, (None, UNTRAINED))
    found = {}
    for checkpoint, name in names:
        torch.manual_seed(args.seed)
        network = from_config(cfg, checkpoint, args.size, find_device(args.device), args.prefix)
        found[name] = probe_network(network, data, val, args, name)
    write(found, len(data), list_labels(data if val is None else val), args)


def list_labels(data: "LabelledImages") -> "Tensor":
    """Of all images, (N,)."""
    import torch

    return torch.tensor([data.get_data_info(i)["gt_label"] for i in range(len(data))])


def name_checkpoints(checkpoints: list[str]) -> dict[str, str]:
    """Each path with a short name: the file's, or, where several are alike, what differs.

    Raises:
        InputError: One file is given twice, or is called as random weights are.
    """
    files = [path if "://" in path else os.path.abspath(path) for path in checkpoints]
    if len(set(files)) < len(files):
        raise InputError(f"a checkpoint is given twice: {', '.join(checkpoints)}")
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in checkpoints])
    paths = [os.path.relpath(path, root) for path in checkpoints]
    choices = [[Path(path).stem for path in paths], [os.path.splitext(path)[0] for path in paths]]
    names = next((c for c in choices if len({UNTRAINED, *c}) == 1 + len(c)), paths)
    return dict(zip(checkpoints, names, strict=True))


def probe_network(
    network: "FrozenBackbone",
    data: "LabelledImages",
    val: "LabelledImages | None",
    args: argparse.Namespace,
    name: str,
) -> "list[ProbeScores]":
    """Both probes on each stage, with a table of them."""
    from rich.progress import track

    from convnextv2.pretrain.probing import make_folds, probe

    stages, labels = read_features(network, data, args, name)
    held_out = read_features(network, val, args, f"{name}, --val") if val is not None else None
    fold = make_folds(labels, args.folds, args.seed)
    found = []
    for i in track(range(len(stages)), f"{name}, stages"):
        tested = (held_out[0][i], held_out[1]) if held_out else None
        found.append(probe(stages[i], labels, fold, tested))
    for i, scores in enumerate(found, 1):
        knn, linear = (f"{100 * s.mean:.1f} ± {100 * s.std:.1f}" for s in scores)
        print(f"{name}, stage {i}: k-NN {knn}, linear {linear}")
    return found


def read_features(
    network: "FrozenBackbone", data: "LabelledImages", args: argparse.Namespace, name: str
) -> "tuple[list[Tensor], Tensor]":
    """Each stage's features (N, D), and the labels (N,), of the images that can be read."""
    import torch

    from convnextv2.pretrain.frozen import list_unreadable, pool_files

    infos = [data.get_data_info(i) for i in range(len(data))]
    paths = [info["img_path"] for info in infos]
    unreadable: list[str] = []
    title = f"{name}, images"
    places, stages = pool_files(network, paths, args.batch_size, args.workers, title, unreadable)
    if unreadable:
        print(list_unreadable(unreadable, len(paths)))
    return stages, torch.tensor([infos[place]["gt_label"] for place in places])


def write(
    found: "dict[str, list[ProbeScores]]", images: int, tested: "Tensor", args: argparse.Namespace
) -> None:
    """Write the figures and the picture; `tested`: the labels of the images that are tested."""
    from convnextv2.files import AtomicLocalBackend
    from convnextv2.pretrain.analysis_plots import plot_probes

    largest = tested.bincount().max().item() / len(tested)
    content = {
        **{key: getattr(args, key) for key in ("config", "data", "val", "folds", "seed", "size")},
        "images": images,
        "largest_class": largest,
        "checkpoints": {
            name: [{kind: s._asdict() for kind, s in scores._asdict().items()} for scores in stages]
            for name, stages in found.items()
        },
    }
    out = Path(args.out)
    AtomicLocalBackend().put(json.dumps(content, indent=1).encode(), out / "probe.json")
    plot_probes(found, largest, out / "probe.png")
    print(f"probe.json, probe.png: {out.absolute()}")


if __name__ == "__main__":
    run(main)
