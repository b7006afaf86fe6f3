"""COCO's numbers from generated detections: seconds and memory of this project's and pycocotools.

Each contestant has a process of its own, so that its memory is its own; they run one after the
other, on the same files.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convnextv2.engine.cli import whole
from convnextv2.engine.errors import InputError

from .measuring import process_peak_mb

if TYPE_CHECKING:
    import numpy as np

REFERENCE = "pycocotools"
OURS = "this project"
KINDS = ("bbox", "segm")
WIDTH, HEIGHT, CLASSES, OBJECTS = 640, 480, 80, 7


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `benchmark.py evaluation`."""
    command.add_argument("--images", type=whole(1), default=5000)
    command.add_argument("--detections", type=whole(1), default=100, help="in each image")
    command.add_argument("--json", metavar="FILE", help="also write the figures there")


def run(args: argparse.Namespace, machine: str) -> None:
    """Measure and show.

    Raises:
        InputError: A contestant fails, or their numbers are not the same.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    with tempfile.TemporaryDirectory() as folder, console.status("generating") as status:
        generate(Path(folder), args.images, args.detections)
        rows = {}
        for name in RUNNERS:
            if find_spec(name.replace("-", "_")) or name == OURS:
                status.update(name)
                rows[name] = measure(name, folder)
            else:
                console.print(f"left out: {name}: not installed")
    compare(rows)
    size = f"{args.images} images, {args.detections} boxes and masks each"
    title = f"evaluation, {size}, {machine}"
    table = Table("", title=title)
    for column in ("reading, s", "scoring, s", "both, s", "peak, MB"):
        table.add_column(column, justify="right")
    base = rows[REFERENCE]
    for name, row in rows.items():
        cells = (
            f"{row[key]:.1f} ({base[key] / row[key]:.1f}x)" if row[key] else ""
            for key in ("reading_s", "scoring_s", "both_s")
        )
        memory = f"{row['mb']:.0f} ({row['mb'] / base['mb']:.2f}x)"
        table.add_row(name, *cells, memory)
    console.print(table)
    console.print(
        f"{OURS!r} is CocoMetric whole, from predictions to tables of classes; the others"
    )
    console.print("are evaluators alone, from lists of COCO's results.", highlight=False)
    console.print(f"Times: in brackets, how much faster than {REFERENCE}.", highlight=False)
    if args.json:
        Path(args.json).write_text(json.dumps({"title": title, "rows": rows}, indent=2))


def measure(name: str, folder: str) -> dict[str, Any]:
    """What a contestant says, from a process of its own: seconds, MB and COCO's numbers."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_answer, args=(name, folder, theirs))
    process.start()
    theirs.close()
    try:
        said = ours.recv()
    except EOFError as error:
        raise InputError(f"{name} has died; was there enough memory?") from error
    finally:
        process.join()
    if isinstance(said, str):
        raise InputError(f"{name}: {said}")
    return said


def compare(rows: dict[str, dict[str, Any]]) -> None:
    """Refuse numbers that are not pycocotools', as far as they are given.

    Raises:
        InputError: Some are not.
    """
    for kind in KINDS:
        expected = rows[REFERENCE]["numbers"][kind]
        for name, row in rows.items():
            for got, wanted in zip(row["numbers"][kind], expected, strict=False):
                if abs(got - wanted) > row["tolerance"]:
                    raise InputError(f"{name}: {kind} {got}, {REFERENCE} says {wanted}")


def _answer(name: str, folder: str, link: Connection) -> None:
    try:
        found = json.loads(Path(folder, "found.json").read_text())
        link.send({**RUNNERS[name](Path(folder, "truth.json"), found), "mb": process_peak_mb()})
    except Exception as error:
        link.send(f"{type(error).__name__}: {str(error)[:300]}")


def run_pycocotools(truth: Path, found: list[dict]) -> dict[str, Any]:
    """The evaluator alone."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _evaluate(truth, found, COCO, COCOeval)


def run_faster_coco_eval(truth: Path, found: list[dict]) -> dict[str, Any]:
    """The evaluator alone."""
    from faster_coco_eval import COCO, COCOeval_faster

    return _evaluate(truth, found, COCO, COCOeval_faster)


def run_hotcoco(truth: Path, found: list[dict]) -> dict[str, Any]:
    """The evaluator alone."""
    from hotcoco import COCO, COCOeval

    return _evaluate(truth, found, COCO, COCOeval)


def run_metric(truth: Path, found: list[dict]) -> dict[str, Any]:
    """CocoMetric, from predictions to tables of classes; that it reads is in both."""
    import numpy as np

    from convnextv2.detection.coco_metric import PRECISIONS, CocoMetric

    images: dict[int, list[dict]] = {}
    for entry in found:
        images.setdefault(entry["image_id"], []).append(entry)
    results: list[tuple[dict, dict]] = []
    for image, entries in images.items():
        corners = np.array([entry["bbox"] for entry in entries])
        corners[:, 2:] += corners[:, :2]
        prediction = {
            "img_id": image,
            "bboxes": corners,
            "scores": np.array([entry["score"] for entry in entries]),
            "labels": np.array([entry["category_id"] - 1 for entry in entries]),
            "masks": [entry["segmentation"] for entry in entries],
        }
        results.append(({}, prediction))
    start = time.perf_counter()
    metric = CocoMetric(ann_file=str(truth), metric=list(KINDS))
    metric.dataset_meta = {"classes": [str(i + 1) for i in range(CLASSES)]}
    said = metric.compute_metrics(results)
    seconds = time.perf_counter() - start
    numbers = {kind: [said[f"{kind}_{name}"] for name in PRECISIONS] for kind in KINDS}
    times = {"reading_s": None, "scoring_s": None, "both_s": seconds}
    return {**times, "numbers": numbers, "tolerance": 0.0005001}  # it rounds


def _evaluate(
    truth: Path, found: list[dict], coco: Callable, evaluator: Callable
) -> dict[str, Any]:
    reading = scoring = 0.0
    numbers = {}
    start = time.perf_counter()
    annotated = coco(str(truth))
    reading += time.perf_counter() - start
    for kind in KINDS:
        # With a box, the box's area would tell small masks from large.
        left_out = "bbox" if kind == "segm" else "segmentation"
        entries = [{k: v for k, v in entry.items() if k != left_out} for entry in found]
        start = time.perf_counter()
        results = annotated.loadRes(entries)
        read = time.perf_counter()
        scores = evaluator(annotated, results, kind)
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
        reading, scoring = reading + read - start, scoring + time.perf_counter() - read
        numbers[kind] = [float(n) for n in scores.stats[:12]]
    times = {"reading_s": reading, "scoring_s": scoring, "both_s": reading + scoring}
    return {**times, "numbers": numbers, "tolerance": 1e-9}


RUNNERS: dict[str, Callable[[Path, list[dict]], dict[str, Any]]] = {
    REFERENCE: run_pycocotools,
    "faster-coco-eval": run_faster_coco_eval,
    "hotcoco": run_hotcoco,
    OURS: run_metric,
}


def generate(folder: Path, images: int, detections: int) -> None:
    """Write ``truth.json``, ellipses of 80 classes, and ``found.json``, most of them near those."""
    import numpy as np

    rng = np.random.default_rng(0)
    truth: list[dict] = []
    found: list[dict] = []
    for image in range(1, images + 1):
        centres = rng.uniform(0, 1, (OBJECTS, 2)) * (WIDTH, HEIGHT)
        axes = np.exp(rng.uniform(np.log(6), np.log(120), (OBJECTS, 2)))
        classes = rng.integers(1, CLASSES + 1, OBJECTS)
        for centre, axis, kind in zip(centres, axes, classes, strict=True):
            rle, box, area = _draw(centre, axis)
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": image,
                    "category_id": int(kind),
                    "segmentation": rle,
                    "bbox": box,
                    "area": area,
                    "iscrowd": 0,
                }
            )
        near = rng.integers(0, OBJECTS, detections)
        spread = rng.exponential(0.2, (detections, 1))
        moved = centres[near] + rng.normal(size=(detections, 2)) * spread * axes[near]
        grown = axes[near] * np.exp(rng.normal(size=(detections, 2)) * spread)
        other = rng.integers(1, CLASSES + 1, detections)
        guessed = np.where(rng.random(detections) < 0.5, classes[near], other)
        scores = rng.random(detections) * np.exp(-2 * spread[:, 0])
        for centre, axis, kind, score in zip(moved, grown, guessed, scores, strict=True):
            rle, box, _ = _draw(centre, axis)
            entry = {"image_id": image, "category_id": int(kind), "score": float(score)}
            found.append({**entry, "segmentation": rle, "bbox": box})
    size = {"width": WIDTH, "height": HEIGHT}
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", **size} for i in range(1, images + 1)],
        "categories": [{"id": i, "name": str(i)} for i in range(1, CLASSES + 1)],
        "annotations": truth,
    }
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(found))


def _draw(centre: np.ndarray, axes: np.ndarray) -> tuple[dict, list[float], float]:
    """RLE, box and area of an ellipse, as far as it is in the image."""
    import numpy as np
    from pycocotools import mask

    angles = np.arange(24) * (2 * math.pi / 24)
    points = centre + axes * np.stack([np.cos(angles), np.sin(angles)], 1)
    points = points.clip(0, (WIDTH, HEIGHT))
    (rle,) = mask.frPyObjects([points.ravel().tolist()], HEIGHT, WIDTH)
    box, area = mask.toBbox(rle).tolist(), float(mask.area(rle))
    return {"size": rle["size"], "counts": rle["counts"].decode()}, box, area
