"""Read a config's data as training would and name what is wrong with them, file by file.

Ends with counts, and with pictures: sizes and classes of the objects, and samples as the training
pipeline makes them. Exit status 1 if something is fatal; training refuses such data.
"""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import make_config_parser, run, whole
from convnextv2.engine.config import read_config
from convnextv2.engine.outputs import check_folder
from convnextv2.engine.settings import need_entries
from convnextv2.engine.tasks import PredictingTask, find_task

if TYPE_CHECKING:
    from mmengine.config import Config

    from convnextv2.data_parts import Part


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__,
        "python tools/dataset_converters/check_data.py "
        "configs/detection/mask-rcnn_convnextv2_fpn_custom.py --out check",
    )
    parser.add_argument("--out", default="check_data", metavar="DIR", help="folder of the pictures")
    parser.add_argument(
        "--max-lines", type=whole(0), default=100, help="name no more findings than this"
    )
    args = parser.parse_args()
    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "model", "train_dataloader")
    check_folder(args.out, "--out")

    from rich.progress import track

    from convnextv2.data_checks import check_heads, check_overlap, list_parts

    parts = list_parts(cfg)
    findings = []
    for part in parts:
        part.read()
        files = track(part.check_files(), f"reading {part.name}", total=len(part.images))
        part.findings += chain.from_iterable(files)
        findings += part.findings
    findings += check_heads(cfg, parts)
    findings += check_overlap(parts)

    fatal = sum(level == "fatal" for level, _ in findings)
    for level, text in sorted(findings)[: args.max_lines]:
        print(f"{level:7}  {text}")
    if len(findings) > args.max_lines:
        print(f"... and {len(findings) - args.max_lines} more (--max-lines)")
    print(f"{fatal} fatal, {len(findings) - fatal} warnings")
    show_counts(parts)
    if any(part.classes for part in parts):
        out = Path(args.out)
        draw_histograms(parts, out / "histograms.png")
        task = find_task(cfg)
        if not fatal and isinstance(task, PredictingTask):
            draw_samples(cfg, task, out / "samples.png")
        print(f"pictures: {out.absolute()}")
    raise SystemExit(1 if fatal else 0)


def show_counts(parts: list["Part"]) -> None:
    """Print a table: images and objects of each part, and how many of each class."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", *(part.name for part in parts), title="what is there")
    table.add_row("images", *(str(len(part.images)) for part in parts))
    counts = [part.count() for part in parts]
    for name in dict.fromkeys(name for part in parts for name in part.classes):
        table.add_row(name, *(f"{count.get(name, 0):,}" for count in counts))
    Console().print(table)


def draw_histograms(parts: list["Part"], out: Path) -> None:
    """Draw classes and, where there are objects, their sizes, of each part."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    classes, sizes = figure.subplots(1, 2)
    for i, part in enumerate(parts):
        counts = part.count()
        width = 0.8 / len(parts)
        places = [place + i * width for place in range(len(counts))]
        classes.bar(places, list(counts.values()), width, label=part.name)
        classes.set_xticks(range(len(counts)), list(counts))
        if sides := part.sizes():
            sizes.hist(sides, bins=40, histtype="step", density=True, label=part.name)
    classes.set(ylabel=parts[0].unit)
    classes.tick_params(axis="x", rotation=90)
    sizes.set(xlabel="square root of the box' area, pixels", ylabel="share of objects")
    for axes in (classes, sizes):
        if axes.has_data():
            axes.legend()
        else:
            axes.set_axis_off()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def draw_samples(
    cfg: "Config", task: PredictingTask, out: Path, columns: int = 4, rows: int = 3
) -> None:
    """Draw training samples after augmentation with their annotations."""
    import cv2
    import numpy as np
    from mmengine.registry import DATASETS

    from convnextv2.pictures import complete_palette, to_rgb, write_grid

    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    palette = complete_palette(dataset.metainfo.get("palette"), len(dataset.metainfo["classes"]))
    drawn = []
    places = np.linspace(0, len(dataset) - 1, columns * rows).round().astype(int)
    for index in places.tolist():
        sample = dataset[index]
        image = to_rgb(sample["inputs"].permute(1, 2, 0).numpy())
        picture = task.draw_truth(image, sample["data_samples"], palette)
        factor = 320 / max(picture.shape[:2])
        size = tuple(max(1, round(side * factor)) for side in picture.shape[1::-1])
        drawn.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    grid = [drawn[i : i + columns] for i in range(0, len(drawn), columns)]
    write_grid(grid, [""] * columns, out)


if __name__ == "__main__":
    run(main)
