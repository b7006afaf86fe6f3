"""The folder ``report`` of a run: curves, who was taken for whom, the worst images.

- ``curves.png``, ``curves.csv``: losses, metrics, learning rate over the iterations.
- ``confusion_KIND.png``, ``.csv``: how often each class was taken for each. KIND is ``bbox`` or
  ``segm``, by boxes or masks, or ``pixels``, of label maps.
- ``classes_KIND.csv``: of each class precision, recall and IoU by the same counts.
- ``precision_recall_KIND.png``, ``.csv``: of each class, at an IoU of .5.
- ``worst/``: image, truth and prediction of the worst validation images.
- ``images.csv``: the score of every validation image, worst first.
- ``reconstruction.png``: of pre-training, the last one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convnextv2.pictures import complete_palette, to_rgb, write_grid
from convnextv2.plots import Lines, plot_confusion, plot_lines
from convnextv2.scalars import Record, read_scalars, series, write_records, write_table
from convnextv2.words import plot_words

if TYPE_CHECKING:
    from convnextv2.engine.tasks import PredictingTask, Task
    from convnextv2.reviews import Review

COLUMNS = ("image", "truth", "found")
# Panels of what hooks have logged: title -> how the names begin.
FEATURES = {
    "reconstruction": "reconstruction/",
    "k-NN top-1": "knn/",
    "feature diversity": "diversity/",
    "effective rank of the features": "effective_rank/",
}


def write_curves(task: Task | None, work_dir: Path, folder: Path) -> list[str]:
    """Write the curves of all that was logged in a work dir.

    Returns:
        Names of the pictures; none where nothing was logged.
    """
    records = read_scalars(work_dir)
    if not any(record.trained for record in records):
        return []
    write_records(folder / "curves.csv", records)
    panels: dict[str, Lines] = {
        title: lines
        for title, names, trained in _panels(task, records)
        if (lines := {n: xy for n in names if (xy := series(records, n, trained))[0]})
    }
    plot_lines(panels, folder / "curves.png", "iteration", logarithmic="learning rate")
    pictures = ["curves.png"]
    if drawn := sorted(work_dir.glob("*/vis_data/vis_image/reconstruction_*.png"), key=_age):
        shutil.copyfile(drawn[-1], folder / "reconstruction.png")
        pictures.append("reconstruction.png")
    return pictures


def _panels(task: Task | None, records: Sequence[Record]) -> Iterator[tuple[str, list[str], bool]]:
    """Title, names of lines and whether they are of training."""
    trained = list(dict.fromkeys(name for r in records if r.trained for name in r.values))
    other = list(dict.fromkeys(name for r in records if not r.trained for name in r.values))
    yield "loss", [name for name in trained if "loss" in name], True
    headlines = task.scores if task else ()
    yield "validation", [name for name in other if name.endswith(tuple(headlines))], False
    yield "learning rate", ["lr"], True
    yield "images per second", ["images_per_s"], True
    for title, prefix in FEATURES.items():
        yield title, [name for name in other if name.startswith(prefix)], False


def _age(path: Path) -> float:
    return path.stat().st_mtime


def write_review(
    task: PredictingTask, review: Review, read: Callable[[str], np.ndarray], folder: Path
) -> list[str]:
    """Write what a validation has left.

    Args:
        task: That draws its images.
        review: After the validation.
        read: An image of a path, (H, W, C), as the config loads it.
        folder: To write into.

    Returns:
        Names of the pictures.
    """
    pictures = []
    names = [*review.classes, *([review.rest] if review.rest else [])]
    for kind, table in review.confusion().items():
        pictures.append(f"confusion_{kind}.png")
        rows = [[name, *row] for name, row in zip(names, table.tolist(), strict=True)]
        write_table(folder / f"confusion_{kind}.csv", ["true \\ found", *names], rows)
        plot_confusion(table, names, folder / pictures[-1], f"{kind}: true class, found class")
        _write_classes(table, review.classes, folder / f"classes_{kind}.csv")
    for kind, curves in review.curves().items():
        pictures.append(f"precision_recall_{kind}.png")
        _write_precision_recall(curves, review.classes, folder / pictures[-1])
    return pictures + _write_worst(task, review, read, folder)


def _write_classes(table: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """A row for each class: how often there, found and right; of that precision, recall, IoU."""
    right, there, found = np.diag(table), table.sum(1), table.sum(0)
    rows = []
    for i, name in enumerate(classes):
        union = there[i] + found[i] - right[i]
        shares = [right[i] / total if total else np.nan for total in (found[i], there[i], union)]
        rows.append([name, there[i], found[i], right[i], *(f"{share:.4f}" for share in shares)])
    header = ("class", "true", "found", "right", "precision", "recall", "iou")
    write_table(path, header, rows)


def _write_precision_recall(curves: np.ndarray, classes: Sequence[str], path: Path) -> None:
    recalls = np.linspace(0, 1, len(curves)).round(4).tolist()
    rows = np.column_stack([recalls, curves.round(4)]).tolist()
    write_table(path.with_suffix(".csv"), ["recall", *classes], rows)
    lines = {
        f"{name} {curves[:, i].mean():.2f}": (recalls, curves[:, i].tolist())
        for i, name in enumerate(plot_words(classes))
        if not np.isnan(curves[:, i]).all()
    }
    # The worst classes are the ones to look at.
    lines = dict(sorted(lines.items(), key=lambda line: sum(line[1][1])))
    title = f"{path.stem}: class, AP at IoU .5" + ("" if len(lines) <= 12 else "; the 12 worst")
    plot_lines({title: lines}, path, "recall")


def _write_worst(
    task: PredictingTask, review: Review, read: Callable[[str], np.ndarray], folder: Path
) -> list[str]:
    """Pictures of the worst images, and a table of all images; an earlier report's are removed."""
    shutil.rmtree(folder / "worst", ignore_errors=True)
    images = sorted(review.images, key=lambda image: image.score)
    rows = [[image.path, f"{image.score:.4f}", image.text] for image in images]
    write_table(folder / "images.csv", ["image", "score", "what"], rows)
    palette = complete_palette((review.dataset_meta or {}).get("palette"), len(review.classes))
    names = []
    for number, image in enumerate(review.worst_images(), 1):
        picture, sample = to_rgb(read(image.path)), review.restore(image.kept)
        truth = task.draw_truth(picture, sample, palette)
        found = task.draw_found(picture, sample, palette, names=review.classes)
        names.append(f"worst/{number}_{Path(image.path).stem}.png")
        write_grid([[picture, truth, found]], COLUMNS, folder / names[-1])
    return names
