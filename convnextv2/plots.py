"""Diagrams: curves over iterations, confusion matrices, precision over recall."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convnextv2.files import AtomicLocalBackend
from convnextv2.words import plot_families, plot_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Name of a line -> its x and its y.
Lines = dict[str, tuple[list[float], list[float]]]

MOST_NAMES = 40  # classes that can be named along an axis
MOST_NUMBERS = 15  # classes whose cells can hold a number
MOST_LINES = 12


def plot_lines(panels: dict[str, Lines], path: Path, xlabel: str, logarithmic: str = "") -> None:
    """Draw panels of lines below each other; points where a line has few.

    Args:
        panels: Title -> lines.
        path: Of the PNG.
        xlabel: Below the last panel.
        logarithmic: Title of the panel whose y is so, if any.
    """
    figure = new_figure(8, 2.6 * len(panels))
    grid = figure.subplots(len(panels), sharex=True, squeeze=False)
    for axes, (title, lines) in zip(grid[:, 0], panels.items(), strict=True):
        for name, (x, y) in list(lines.items())[:MOST_LINES]:
            axes.plot(x, y, label=name, linewidth=1, marker="." if len(x) < 40 else None)
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
        if title == logarithmic:
            axes.set_yscale("log")
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
        axes.legend(prop={"family": plot_families(lines), "size": 7}, **place)
    grid[-1, 0].set_xlabel(xlabel)
    save_figure(figure, path)


def plot_confusion(table: np.ndarray, names: Sequence[str], path: Path, title: str) -> None:
    """Draw how often each class (row) was taken for each (column), as shares of the row.

    Args:
        table: (n, n) counts.
        names: Of the rows and columns.
        path: Of the PNG.
        title: Above it.
    """
    shares = table / table.sum(1, keepdims=True).clip(1)
    side = min(4 + 0.4 * len(names), 16)
    figure = new_figure(side + 1, side)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.7)
    if len(names) <= MOST_NAMES:
        words = plot_words(names)
        fonts = plot_families(words)
        axes.set_xticks(range(len(names)), words, rotation=90, fontsize=8, fontfamily=fonts)
        axes.set_yticks(range(len(names)), words, fontsize=8, fontfamily=fonts)
    if len(names) <= MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(table):
            ink = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, _short(count), ha="center", va="center", fontsize=7, color=ink)
    axes.set_xlabel("found")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    save_figure(figure, path)


def _short(count: int) -> str:
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if count >= limit:
            return f"{count / (10**3 if unit == 'k' else limit):.3g}{unit}"
    return str(count)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not pyplot's, which would keep it, and could want a screen.
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the file appears when it is complete."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    AtomicLocalBackend().put(content.getvalue(), path)
