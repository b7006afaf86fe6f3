"""Look into networks as the paper does (Figures 3, 4 and 7): what have their layers come to?

DIR gets, of one or several networks over the same images,
  distance.png     cosine distance between the channels of an image by layer: 0 all alike, .5
                   unrelated, trained or not; the band is the deviation over images
  idle.png         shares of dead channels (nothing) and saturated ones (the same everywhere)
  spectrum.png     singular values of each stage's output over all pixels, and effective rank
  selectivity.png  with --labelled: class-selectivity index by layer
  maps_NAME.png    64 channels of a layer of each stage, for a few images
  layers.csv, stages.csv, features.json   the figures
A weight file may have any layout. Blocks other than V2's, other bands than three, and mean and
std other than ImageNet's are in a config: give --configs.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from convnextv2.engine.cli import add_looking, make_parser, run, whole
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_folder

if TYPE_CHECKING:
    from convnextv2.pretrain.analysis import Report
    from convnextv2.pretrain.frozen import FrozenBackbone

POINTS = ("block", "expansion", "response")
UNTRAINED = "untrained"


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/analysis_tools/analyze_features.py photos/ v1.pth v2.pth "
        "--configs v1.py v2.py --names V1 V2 --out features",
    )
    parser.add_argument("images", help="folder with any sub-folders")
    parser.add_argument("checkpoints", nargs="+", help="paths or addresses")
    parser.add_argument("--configs", nargs="+", help="one for all checkpoints, or one for each")
    parser.add_argument("--names", nargs="+", help="of the networks; default: their files'")
    parser.add_argument(
        "--untrained", action="store_true", help="also random weights of the first of --configs"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the random weights")
    parser.add_argument("--labelled", action="store_true", help="the sub-folders are classes")
    parser.add_argument(
        "--point",
        choices=POINTS,
        default="expansion",
        help="where in a block: its output, behind its first linear layer and GELU (default), or "
        "behind GRN",
    )
    parser.add_argument("--max-images", type=whole(1), default=1000, help="taken evenly")
    parser.add_argument("--maps", type=whole(0), default=2, help="images to draw maps of")
    parser.add_argument("--out", default="features", metavar="DIR", help="folder to write to")
    add_looking(parser)
    args = parser.parse_args()
    networks = list_networks(args)
    check_folder(args.out, "--out")
    write(analyse_networks(networks, args), args)


class Network(NamedTuple):
    """What is looked at: without a checkpoint random weights, without a config what shapes tell."""

    name: str
    checkpoint: str | None
    config: str | None


def list_networks(args: argparse.Namespace) -> list[Network]:
    """Those of the command line, random weights first.

    Raises:
        InputError: Names or configs that do not fit the checkpoints.
    """
    names, configs = name_networks(args), list_configs(args)
    networks = list(map(Network, names, args.checkpoints, configs))
    if args.untrained:
        networks.insert(0, Network(UNTRAINED, None, configs[0]))
    return networks


def analyse_networks(networks: list[Network], args: argparse.Namespace) -> "dict[str, Report]":
    """The report of each network by its name; draws its maps."""
    from convnextv2.data_parts import spread

    paths, labels = list_files(args)
    reports = {}
    for name, checkpoint, config in networks:
        network = open_network(checkpoint, config, args)
        reports[name] = analyse_files(network, paths, labels, args, name)
        some = [paths[i] for i in spread(len(paths), args.maps)]
        draw_files(network, some, args.point, Path(args.out) / f"maps_{name}.png")
        for sentence in reports[name].find_collapse():
            print(f"{name}, collapsed: {sentence}")
    return reports


def name_networks(args: argparse.Namespace) -> list[str]:
    """A name for each checkpoint, fit for files.

    Raises:
        InputError: Not one for each, two alike, or one that would be a path.
    """
    names = args.names or [Path(path).stem for path in args.checkpoints]
    if len(names) != len(args.checkpoints):
        raise InputError(f"{len(args.checkpoints)} checkpoints need as many --names")
    taken = [UNTRAINED, *names] if args.untrained else names
    if len(set(taken)) < len(taken) or any("/" in name or not name for name in names):
        raise InputError(f"names are {', '.join(taken)}: give different --names without a slash")
    return names


def list_configs(args: argparse.Namespace) -> list[str | None]:
    """The config of each checkpoint, or None.

    Raises:
        InputError: Neither one for all nor one for each, or none for random weights.
    """
    if args.untrained and not args.configs:
        raise InputError("--untrained is the network of a config: give --configs")
    given = args.configs or [None]
    if len(given) not in (1, len(args.checkpoints)):
        raise InputError(f"--configs: one, or one for each of {len(args.checkpoints)} checkpoints")
    return given if len(given) > 1 else given * len(args.checkpoints)


def list_files(args: argparse.Namespace) -> tuple[list[str], list[int] | None]:
    """Images, taken evenly, and their classes if they are asked for."""
    from convnextv2.data_parts import spread
    from convnextv2.pictures import expand_images
    from convnextv2.pretrain.supervised.folder import LabelledImages

    labels = None
    if args.labelled:
        dataset = LabelledImages(args.images)
        if len(dataset.metainfo["classes"]) < 2:
            raise InputError(f"{args.images} has one class, of which none can be told apart")
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        paths = [info["img_path"] for info in infos]
        labels = [int(info["gt_label"]) for info in infos]
    else:
        paths = expand_images([args.images])
    places = spread(len(paths), args.max_images)
    return [paths[i] for i in places], labels and [labels[i] for i in places]


def open_network(
    checkpoint: str | None, config: str | None, args: argparse.Namespace
) -> "FrozenBackbone":
    """The network of a checkpoint, by its config or by its shapes; see `Network`."""
    import torch

    from convnextv2.engine.config import read_config
    from convnextv2.predictor import find_device
    from convnextv2.pretrain.frozen import from_config, from_weights

    device = find_device(args.device)
    if config is None:
        assert checkpoint is not None  # see `list_configs`
        return from_weights(checkpoint, args.size, device, args.prefix)
    torch.manual_seed(args.seed)
    return from_config(read_config(config), checkpoint, args.size, device, args.prefix)


def analyse_files(
    network: "FrozenBackbone",
    paths: list[str],
    labels: list[int] | None,
    args: argparse.Namespace,
    name: str,
) -> "Report":
    """The report of a network over images."""
    import torch

    from convnextv2.pretrain.analysis import analyse
    from convnextv2.pretrain.frozen import list_unreadable

    unreadable: list[str] = []
    batches = network.batches(paths, args.batch_size, args.workers, name, unreadable)
    report = analyse(
        network.backbone,
        (
            (images, torch.tensor([labels[place] for place in places]) if labels else None)
            for places, images in batches
        ),
        args.point,
    )
    if unreadable:
        print(list_unreadable(unreadable, len(paths)))
    return report


def draw_files(network: "FrozenBackbone", paths: list[str], point: str, out: Path) -> None:
    """Write a picture of maps: a row for each image, a column for the last layer of each stage."""
    from convnextv2.band_pictures import show_bands
    from convnextv2.pictures import write_grid
    from convnextv2.pretrain.analysis import trace
    from convnextv2.pretrain.analysis_plots import draw_maps

    rows, titles = [], ["image"]
    for _, images in network.batches(paths, 1):
        image = images[0] * network.normalization.std + network.normalization.mean
        (picture,) = show_bands([image.permute(1, 2, 0).cpu().numpy()])
        row, titles = [picture], ["image"]
        for place, features in trace(network.backbone, images, [point]):
            if place.last:
                size = (images.shape[2] >> place.stage + 2, images.shape[3] >> place.stage + 2)
                row.append(draw_maps(features[point][0], size))
                titles.append(f"{place} {point}")
        rows.append(row)
    if rows:
        write_grid(rows, titles, out)


def write(reports: "dict[str, Report]", args: argparse.Namespace) -> None:
    """Write the figures and the pictures."""
    import numpy as np

    from convnextv2.files import AtomicLocalBackend
    from convnextv2.pretrain import analysis_plots
    from convnextv2.scalars import write_table

    out = Path(args.out)
    layers: list[dict] = []
    stages: list[dict] = []
    for name, report in reports.items():
        for layer in report.layers:
            chosen = float(np.mean(layer.selectivity)) if layer.selectivity else ""
            distance = {"distance": layer.distance.mean, "distance_std": layer.distance.std}
            row = {"network": name, "layer": str(layer.place), "index": layer.position}
            row |= {"channels": layer.channels, **distance, "dead": layer.dead}
            layers.append({**row, "saturated": layer.saturated, "selectivity": chosen})
        for i, stage in enumerate(report.stages, 1):
            row = {"network": name, "stage": i, "channels": len(stage.singular_values)}
            row |= {"distance": stage.distance.mean, "distance_std": stage.distance.std}
            row["effective_rank"] = stage.effective_rank
            stages.append({**row, "varying_share": stage.varying_share})
    write_table(out / "layers.csv", list(layers[0]), [list(row.values()) for row in layers])
    write_table(out / "stages.csv", list(stages[0]), [list(row.values()) for row in stages])
    content = {"point": args.point, **{name: asdict(report) for name, report in reports.items()}}
    AtomicLocalBackend().put(json.dumps(content).encode(), out / "features.json")
    analysis_plots.plot_distance(reports, args.point, out / "distance.png")
    analysis_plots.plot_idle(reports, args.point, out / "idle.png")
    analysis_plots.plot_spectra(reports, out / "spectrum.png")
    if args.labelled:
        analysis_plots.plot_selectivity(reports, out / "selectivity.png")
    print(f"layers.csv, stages.csv, features.json and pictures: {out.absolute()}")


if __name__ == "__main__":
    run(main)
