"""The most certain classes of images, as json, csv and one sheet of small pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric

from convnextv2.files import AtomicLocalBackend, printable
from convnextv2.pictures import to_rgb, write_png
from convnextv2.results import Prediction, ResultsFile, ResultsWriter, TrainedModel
from convnextv2.scalars import write_table
from convnextv2.words import label_words

from .draw import caption
from .samples import ClassSample

MOST = 5  # classes of an image
SHEET = 120  # images on the sheet, the first ones
SIDE, COLUMNS = 200, 6


class ClassesWriter(ResultsWriter):
    """``results.json``, ``results.csv`` and ``sheet.png``.

    Args:
        trained: The model.
        folder: Of the files.
    """

    def __init__(self, trained: TrainedModel, folder: Path) -> None:
        self.folder, self.classes = folder, trained.classes
        self._file = ResultsFile(folder / "results.json")
        self._rows: list[list] = []
        self._tiles: list[np.ndarray] = []

    def add(self, prediction: Prediction, number: int, name: str) -> None:
        """Write the best classes of one image."""
        best = find_best(prediction.sample, self.classes)
        self._file.add([{"image_id": number, "file_name": name, "classes": best}])
        pairs = [value for one in best for value in (printable(one["class"]), one["score"])]
        self._rows.append([printable(name), *pairs])
        if len(self._tiles) < SHEET:
            self._tiles.append(_make_tile(prediction, self.classes))

    def __exit__(self, *error: object) -> None:
        """Complete the files, also at an error."""
        self._file.__exit__(*error)
        if not self._rows:
            return
        header = [f"{word}_{i}" for i in range(1, MOST + 1) for word in ("class", "score")]
        write_table(self.folder / "results.csv", ["file_name", *header], self._rows)
        write_png(_join(self._tiles), self.folder / "sheet.png")

    def describe(self) -> str:
        """Where to look."""
        return "results.json, results.csv, sheet.png" if self._rows else ""


class ClassResults(BaseMetric):
    """``results.classes.json``: the best classes of each image of a test set.

    Args:
        folder: Of the file.
        classes: Name of each label.
    """

    default_prefix = "results"

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        super().__init__()
        self.folder, self.classes = folder, classes

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep the best classes of each image."""
        for data in data_samples:
            sample = ClassSample(pred_scores=data["pred_scores"])
            best = find_best(sample, self.classes)
            self.results.append({"file_name": data["img_path"], "classes": best})

    def compute_metrics(self, results: list) -> dict:
        """Write the file; there is no score."""
        text = json.dumps(results, indent=1, ensure_ascii=False)
        # Bytes of a name that are no UTF-8 become json's own escapes.
        content = text.encode("utf-8", "backslashreplace")
        AtomicLocalBackend().put(content, self.folder / "results.classes.json")
        return {}


def find_best(sample: ClassSample, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The most certain classes, at most `MOST`: ``class``, ``label`` and ``score`` of each."""
    scores, labels = sample.pred_scores.float().cpu().topk(min(MOST, len(classes)))
    return [
        {"class": classes[label], "label": label, "score": round(score, 4)}
        for label, score in zip(labels.tolist(), scores.tolist(), strict=True)
    ]


def _make_tile(prediction: Prediction, classes: Sequence[str]) -> np.ndarray:
    picture = to_rgb(prediction.image)
    scale = SIDE / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    square = np.full((SIDE, SIDE, 3), 255, np.uint8)
    square[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    label, words = int(prediction.sample.pred_label), label_words(tuple(classes))
    score = float(prediction.sample.pred_scores[label])
    return caption(square, [(f"{words[label]} {score:.2f}", (0, 0, 0))])


def _join(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of tiles, all of one size."""
    blank = np.full_like(tiles[0], 255)
    columns = min(COLUMNS, len(tiles))
    padded = [*tiles, *[blank] * (-len(tiles) % columns)]
    rows = [np.hstack(padded[i : i + columns]) for i in range(0, len(padded), columns)]
    return np.vstack(rows)
