"""Diagrams of probes and analyses, several networks in one, and maps of channels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.plots import new_figure, save_figure
from convnextv2.words import plot_families

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from torch import Tensor

    from .analysis import Report
    from .probing import ProbeScores

PROBES = {"knn": "k-NN", "linear": "linear probe"}
MOST_TICKS = 16
MOST_COLOURS = 10  # of matplotlib
SQUARE = 32  # pixels of the longer side of a channel's map


def plot_probes(found: Mapping[str, Sequence["ProbeScores"]], chance: float, path: Path) -> None:
    """Draw top-1 by stage; of several networks, by network and a line for each stage.

    Args:
        found: Name of the network -> of each stage.
        chance: What guessing gives, from 0 to 1.
        path: Of the PNG.
    """
    if len(found) == 1:
        (stages,) = found.values()
        ticks = [f"stage {i + 1}" for i in range(len(stages))]
        panels = {"": {name: [getattr(s, kind) for s in stages] for kind, name in PROBES.items()}}
    else:
        ticks = list(found)
        panels = {
            name: {
                f"stage {i + 1}": [getattr(stages[i], kind) for stages in found.values()]
                for i in range(4)
            }
            for kind, name in PROBES.items()
        }
    figure = new_figure(max(5, 0.5 * len(ticks) + 3) * len(panels), 3.6)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, lines) in zip(grid, panels.items(), strict=True):
        for name, scores in lines.items():
            top1, spread = ([100 * score[i] for score in scores] for i in (0, 1))
            axes.errorbar(range(len(ticks)), top1, spread, marker=".", capsize=2, label=name)
        axes.axhline(100 * chance, color="grey", linestyle=":", label="largest class")
        axes.set_title(title, fontsize=10)
        step = -(-len(ticks) // MOST_TICKS)
        axes.set_xticks(
            range(0, len(ticks), step), ticks[::step], rotation=30 if len(found) > 1 else 0
        )
        _finish(axes)
    grid[0].set_ylabel("top-1 (%), mean and deviation of the folds")
    grid[-1].legend(fontsize=8)
    save_figure(figure, path)


def plot_distance(reports: Mapping[str, "Report"], point: str, path: Path) -> None:
    """Draw Fig. 4: cosine distance between channels by layer, and its deviation over images."""
    figure = new_figure(6, 3.6)
    axes = figure.add_subplot()
    for name, report in reports.items():
        x = [layer.position for layer in report.layers]
        mean = [layer.distance.mean for layer in report.layers]
        low, high = (
            [layer.distance.mean + sign * layer.distance.std for layer in report.layers]
            for sign in (-1, 1)
        )
        (line,) = axes.plot(x, mean, marker=".", label=name)
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xlabel("normalised layer index")
    axes.set_ylabel(f"cosine distance between\nchannels ({point})")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    _finish(axes)
    save_figure(figure, path)


def plot_idle(reports: Mapping[str, "Report"], point: str, path: Path) -> None:
    """Draw the shares of dead and of saturated channels by layer."""
    figure = new_figure(6, 3.6)
    axes = figure.add_subplot()
    for name, report in reports.items():
        x = [layer.position for layer in report.layers]
        dead = [100 * layer.dead for layer in report.layers]
        saturated = [100 * layer.saturated for layer in report.layers]
        (line,) = axes.plot(x, dead, marker=".", label=f"{name}: dead")
        color = line.get_color()
        axes.plot(x, saturated, "--", marker=".", color=color, label=f"{name}: saturated")
    axes.set_xlabel("normalised layer index")
    axes.set_ylabel(f"channels (%, {point})")
    axes.set_ylim(0, max(5, axes.get_ylim()[1]))  # one of a hundred is no mountain
    axes.legend(fontsize=8)
    _finish(axes)
    save_figure(figure, path)


def plot_selectivity(reports: Mapping[str, "Report"], path: Path) -> None:
    """Draw Fig. 7: the distribution of the class-selectivity index over the channels of a layer.

    The line is the median, the band from the first to the third quartile.
    """
    import numpy as np

    figure = new_figure(6, 3.6)
    axes = figure.add_subplot()
    for name, report in reports.items():
        x = [layer.position for layer in report.layers]
        values = [np.percentile(layer.selectivity, (25, 50, 75)) for layer in report.layers]
        low, median, high = np.array(values).T
        (line,) = axes.plot(x, median, marker=".", label=name)
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xlabel("normalised layer index")
    axes.set_ylabel("class-selectivity index,\nmedian and quartiles")
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8)
    _finish(axes)
    save_figure(figure, path)


def plot_spectra(reports: Mapping[str, "Report"], path: Path) -> None:
    """Draw the singular values of each stage's output, as shares of the largest."""
    figure = new_figure(11, 3.2)
    grid = figure.subplots(1, 4, sharey=True)
    for i, axes in enumerate(grid):
        for name, report in reports.items():
            stage = report.stages[i]
            values = stage.singular_values
            shares = [value / values[0] for value in values if value > 0]
            ranks = range(1, len(shares) + 1)
            axes.plot(ranks, shares, label=f"{name}: {stage.effective_rank:.1f}", linewidth=1)
        axes.set_title(f"stage {i + 1}: {len(values)} channels", fontsize=10)
        axes.set_yscale("log")
        axes.set_ylim(bottom=1e-4)
        axes.set_xlabel("number of the value")
        axes.legend(fontsize=7, title="effective rank", title_fontsize=7)
        _finish(axes)
    grid[0].set_ylabel("singular value / largest")
    save_figure(figure, path)


def plot_map(places: "Tensor", shares: Sequence[float], names: Sequence[str], path: Path) -> None:
    """Draw images as dots of the colour of their folder.

    Args:
        places: (N, 2), see `probing.principal_map`.
        shares: Of the variance.
        names: Of each image's folder.
        path: Of the PNG.
    """
    import numpy as np

    figure = new_figure(6.5, 5)
    axes = figure.add_subplot()
    points, given = places.numpy(), np.array(names)
    known = sorted(set(names), key=lambda name: -int((given == name).sum()))
    for name in known[:MOST_COLOURS]:
        x, y = points[given == name].T
        axes.scatter(x, y, s=6, alpha=0.6, linewidths=0, label=name)
    if rest := known[MOST_COLOURS:]:
        x, y = points[np.isin(given, rest)].T
        label = f"{len(rest)} other folders"
        axes.scatter(x, y, s=6, c="lightgrey", label=label, zorder=0)
    if len(known) > 1:
        fonts = {"family": plot_families(known), "size": 8}
        axes.legend(markerscale=3, prop=fonts, loc="center left", bbox_to_anchor=(1, 0.5))
    for axis, number, share in zip("xy", ("first", "second"), shares, strict=True):
        words = f"{number} principal component, {share:.0%} of the variance"
        axes.set(**{f"{axis}label": words})
    _finish(axes)
    save_figure(figure, path)


def draw_maps(features: "Tensor", size: tuple[int, int], count: int = 64) -> "np.ndarray":
    """Draw Fig. 3: the maps of channels as small squares, dark where a channel is low.

    All are on one scale, from the first to the last hundredth of the values that are drawn, so
    that a dead channel is a dark square and a saturated one a bright one.

    Args:
        features: Of one image, (C, N).
        size: Of its maps, N = H * W pixels.
        count: Channels, taken evenly.

    Returns:
        A picture (H', W', 3), uint8, RGB.
    """
    import cv2
    import numpy as np

    chosen = np.linspace(0, len(features) - 1, min(count, len(features))).astype(int)
    maps = features[chosen].float().cpu().numpy().reshape(-1, *size)
    low, high = np.percentile(maps, (1, 99))
    grey = ((maps - low) * (255 / max(high - low, 1e-12))).clip(0, 255).astype(np.uint8)
    height, width = (max(round(SQUARE * side / max(size)), 1) for side in size)
    columns = int(np.ceil(np.sqrt(len(grey))))
    rows = -(-len(grey) // columns)
    picture = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), 255, np.uint8)
    for i, cells in enumerate(grey):
        y, x = i // columns * (height + 1), i % columns * (width + 1)
        square = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
        colours = cv2.applyColorMap(square, cv2.COLORMAP_VIRIDIS)[..., ::-1]
        picture[y : y + height, x : x + width] = colours
    return picture


def _finish(axes: "Axes") -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
