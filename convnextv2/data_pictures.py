"""Pictures of a config's data: counts and sizes, and samples, the doubtful ones first."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from convnextv2.data_parts import Part, spread
from convnextv2.engine.types import walk_built_datasets
from convnextv2.findings import Finding, group_findings
from convnextv2.pictures import Palette, complete_palette, to_rgb
from convnextv2.words import plot_families, plot_words, write_legend

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from mmengine.config import Config

    from convnextv2.engine.tasks import PredictingTask

COLUMNS, ROWS = 4, 3
DOUBTFUL = 8  # of the pictures, at most
SIDE = 360  # pixels of a picture's longer side
LABELLED = 150  # classes, beyond which their names have no room


class Tile(NamedTuple):
    """A picture (H, W, 3), RGB, and the words above it."""

    picture: np.ndarray
    caption: str


def draw_histograms(parts: Sequence[Part], out: Path) -> None:
    """Draw classes and, where there are objects, their sizes, of each part."""
    figure = _make_figure((11, 4))
    classes, sizes = figure.subplots(1, 2)
    for i, part in enumerate(parts):
        counts = part.count()
        width = 0.8 / len(parts)
        places = [place + i * width for place in range(len(counts))]
        classes.bar(places, list(counts.values()), width, label=part.name)
        if len(counts) <= LABELLED:
            words = plot_words(list(counts))
            classes.set_xticks(range(len(counts)), words, fontfamily=plot_families(words))
        sides = [side for side in part.sizes() if math.isfinite(side)]
        if sides:
            sizes.hist(sides, bins=40, histtype="step", density=True, label=part.name)
    classes.set(ylabel=parts[0].unit)
    classes.tick_params(axis="x", rotation=90)
    sizes.set(xlabel="square root of the box' area, pixels", ylabel="share of objects")
    for axes in (classes, sizes):
        if axes.has_data():
            axes.legend()
        else:
            axes.set_axis_off()
    _save(figure, out)


def draw_samples(
    cfg: Config,
    task: PredictingTask,
    parts: Sequence[Part],
    findings: Sequence[Finding],
    out: Path,
    bands: Sequence[int] | None = None,
) -> None:
    """Draw what is doubtful, and training samples as the pipeline makes them.

    Args:
        cfg: The whole config.
        task: Of the config.
        parts: They were read.
        findings: Of them all.
        out: Path of the PNG.
        bands: Shown of training samples, see `show_bands`.
    """
    tiles = list(_draw_doubtful(parts, findings))[:DOUBTFUL]
    classes = next((part.classes for part in parts if part.classes), [])
    palette: Palette = complete_palette(None, len(classes))
    if not any(f.level == "fatal" for part in parts if part.name == "train" for f in part.findings):
        samples, palette = _draw_training(cfg, task, COLUMNS * ROWS - len(tiles), bands)
        tiles += samples
    write_legend(classes, out.parent)
    if tiles:
        write_sheet(tiles, dict(zip(classes, palette, strict=False)), out)


def write_sheet(tiles: Sequence[Tile], legend: dict[str, tuple], out: Path) -> None:
    """Write pictures with words in any script as one PNG.

    Args:
        tiles: In rows of `COLUMNS`.
        legend: An RGB colour for each class's name.
        out: Path of the PNG; folders are made.
    """
    rows = math.ceil(len(tiles) / COLUMNS)
    lines = math.ceil(min(len(legend), LABELLED) / COLUMNS)
    figure = _make_figure((4 * COLUMNS, 4.3 * rows + 0.3 * lines))
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, tile in zip(grid, tiles, strict=False):
        axes.imshow(tile.picture)
        words = "\n".join(textwrap.wrap(tile.caption, 52)[:3])
        families = plot_families([tile.caption])
        axes.set_title(words, fontsize=8, fontfamily=families, parse_math=False)
    for axes in grid:
        axes.set_axis_off()
    _add_legend(figure, legend)
    _save(figure, out)


def _draw_doubtful(parts: Sequence[Part], findings: Sequence[Finding]) -> Iterator[Tile]:
    """One picture of each kind of finding that is about an image."""
    for group in group_findings(findings):
        for finding in group:
            part = next((part for part in parts if finding.image in part.images), None)
            picture = _try_drawing(part, finding) if finding.image and part else None
            if picture is not None:
                yield Tile(_resize(picture), f"{finding.level}: {finding.text}")
                break


def _try_drawing(part: Part, finding: Finding) -> np.ndarray | None:
    try:
        return part.draw(finding)
    except Exception:  # the image may be what is wrong
        return None


def _draw_training(
    cfg: Config, task: PredictingTask, number: int, bands: Sequence[int] | None
) -> tuple[list[Tile], Palette]:
    """Training samples after augmentation with their annotations, and the classes' colours."""
    from mmengine.registry import DATASETS

    from convnextv2.images import LoadImage, as_bgr

    with redirect_stdout(io.StringIO()):  # pycocotools tells of its index
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    first: Any = next(walk_built_datasets(dataset))
    load = next((t for t in first.pipeline.transforms if isinstance(t, LoadImage)), None)
    classes = dataset.metainfo["classes"]
    palette = complete_palette(dataset.metainfo.get("palette"), len(classes))
    tiles = []
    for index in spread(len(dataset), number):
        try:
            sample = dataset[index]
        except Exception:  # that it cannot be read was found out
            continue
        image = as_bgr(sample["inputs"].permute(1, 2, 0).numpy(), load)
        image = to_rgb(image, bands=bands)
        picture = task.draw_truth(image, sample["data_samples"], palette)
        # With its folder, which of labelled images is the class.
        name = "/".join(Path(sample["data_samples"].get("img_path", "")).parts[-2:])
        tiles.append(Tile(_resize(picture), name))
    return tiles, palette


def _resize(picture: np.ndarray) -> np.ndarray:
    import cv2

    factor = SIDE / max(picture.shape[:2])
    size = tuple(max(1, round(side * factor)) for side in picture.shape[1::-1])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _add_legend(figure: Figure, legend: dict[str, tuple]) -> None:
    from matplotlib.patches import Patch

    names = list(legend)[:LABELLED]
    words = plot_words(names)
    patches = [
        Patch(color=tuple(channel / 255 for channel in legend[name]), label=word)
        for name, word in zip(names, words, strict=True)
    ]
    if patches:
        fonts = {"family": plot_families(words)}
        figure.legend(handles=patches, loc="outside lower center", ncols=COLUMNS, prop=fonts)


def _make_figure(size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def _save(figure: Figure, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)
