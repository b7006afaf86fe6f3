"""What tiles cost: memory and seconds against the size of an image, and AP lost in joining them.

The predictor is a perfect one, so that nothing but tiles is measured: it finds the discs of a
generated image by their colour, or the objects that a COCO file says are in a tile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from convnextv2.engine.cli import whole

from .measuring import process_peak_mb

if TYPE_CHECKING:
    import numpy as np
    from mmengine.structures import BaseDataElement

    from convnextv2.results import Prediction
    from convnextv2.runtime.join import Box
    from convnextv2.runtime.tiles import Tile, TileGrid

PATTERN = 256  # side of what is repeated all over a generated image
DISCS = 3  # in each


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `benchmark.py tiles`."""
    command.add_argument(
        "--sides", nargs="+", type=whole(1), default=[1000, 3000, 10000], help="of square images"
    )
    command.add_argument("--kind", choices=["objects", "labels"], default="objects")
    command.add_argument("--tile", type=whole(32), default=640, help="side of a tile")
    command.add_argument("--overlap", type=whole(0), default=96, help="what neighbours share")
    command.add_argument("--batch-size", type=whole(1), default=1, help="tiles at once")
    command.add_argument(
        "--coco", metavar="FILE", help="score the truth of this file, cut and joined, instead"
    )


def run(args: argparse.Namespace, machine: str) -> None:
    """Measure and show."""
    from rich.console import Console
    from rich.table import Table

    tiles = f"tiles of {args.tile} that share {args.overlap}"
    table = Table()
    columns = ["megapixels", "seconds", "s / megapixel", "peak, MB", "found"]
    if args.coco:
        columns, rows = ["objects", "found", "AP", "mask AP"], [score(args)]
    else:
        rows = [measure(args, side) for side in args.sides]
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    Console().print(f"{args.coco or args.kind}, {tiles}, {machine}", table, sep="\n")


def measure(args: argparse.Namespace, side: int) -> tuple[str, ...]:
    """A row: an image of that side, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.tif")
        generate(path, side)
        queue = context.SimpleQueue()
        settings = args.kind, args.tile, args.overlap, args.batch_size
        process = context.Process(target=look, args=(path, queue, *settings))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"the process ended with status {process.exitcode}")
        seconds, peak, found = queue.get()
    megapixels = side * side / 1e6
    rate = seconds / megapixels
    return f"{megapixels:.0f}", f"{seconds:.1f}", f"{rate:.3f}", f"{peak:.0f}", found


def look(path: Path, queue: Any, kind: str, tile: int, overlap: int, batch_size: int) -> None:
    """Look at an image by tiles; puts seconds of the processor, peak memory in MB, and results."""
    import cv2
    import torch

    from convnextv2.tiled import Tiling, look_at

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    out = path.parent / "out"
    predictor = ColourPredictor(kind)
    start = time.process_time()
    with predictor.task.open_tiled_results(predictor, out, {}, 0.0) as results:
        tiling = Tiling(tile, overlap, False, batch_size)
        look_at(predictor, str(path), path.name, 1, results, tiling)  # type: ignore[arg-type]
    seconds = time.process_time() - start
    queue.put((seconds, process_peak_mb(), results.describe() or "label map"))


def generate(path: Path, side: int) -> None:
    """Write a TIFF in tiles, in which one pattern of discs is repeated."""
    import tifffile

    tile = zlib.compress(make_pattern().tobytes(), 6)
    count = (-(-side // PATTERN)) ** 2
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            (tile for _ in range(count)),
            shape=(side, side, 3),
            dtype="uint8",
            tile=(PATTERN, PATTERN),
            photometric="rgb",
            compression="adobe_deflate",
        )


def make_pattern() -> np.ndarray:
    """Discs of 10 to 20 pixels on noise (h, w, 3), RGB, none of which touches another."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    pattern = rng.integers(0, 60, (PATTERN, PATTERN, 3), dtype=np.uint8)
    for place in range(DISCS):
        x, y = 32 + 64 * (place % 4), 64 + 128 * (place // 4)
        cv2.circle(pattern, (x, y), int(rng.integers(10, 21)), (250, 60, 60), -1)
    return pattern


class ColourPredictor:
    """What finds the discs of `generate` by their colour, in the place of a `Predictor`.

    Args:
        kind: ``objects`` or ``labels``.
    """

    def __init__(self, kind: str) -> None:
        from torch import nn

        from convnextv2.detection.task import TASK as DETECTION
        from convnextv2.images import LoadImage
        from convnextv2.segmentation.task import TASK as SEGMENTATION

        self.task = DETECTION if kind == "objects" else SEGMENTATION
        model: Any = nn.Module()
        model.decode_head = SimpleNamespace(threshold=None)
        self.model = model
        self.load = LoadImage(channel_order="bgr", dtype="uint8")
        self.classes, self.palette = ["background", "disc"], [(0, 0, 0), (255, 196, 0)]
        self.dataset, self.label_offset = None, 0
        self.trained_meta: dict = {}

    def __call__(
        self, images: Iterable[np.ndarray], batch_size: int = 1, trim: object = None
    ) -> Iterator[Prediction]:
        """As of `Predictor`."""
        from convnextv2.results import Prediction

        batch: list[np.ndarray] = []
        for image in images:
            batch.append(image)
            if len(batch) == batch_size:
                yield from (Prediction(image, image, self.find(image)) for image in batch)
                batch.clear()
        yield from (Prediction(image, image, self.find(image)) for image in batch)

    def find(self, image: np.ndarray) -> BaseDataElement:
        """Objects with masks, or logits."""
        import cv2
        import torch
        from mmengine.structures import BaseDataElement, PixelData

        inside = image[..., 2] > 155  # BGR
        if self.task.name == "segmentation":
            logits = torch.from_numpy(inside).float()
            return BaseDataElement(seg_logits=PixelData(data=torch.stack([1 - logits, logits])))
        count, numbers = cv2.connectedComponents(inside.astype("uint8"))
        masks = [numbers == number for number in range(1, count)]
        return BaseDataElement(pred_instances=make_instances(masks, [1] * len(masks)))


def make_instances(masks: list[np.ndarray], labels: list[int]) -> Any:
    """mmdet's instances of masks (h, w), of which none is empty."""
    import numpy as np
    import torch
    from mmengine.structures import InstanceData

    boxes = []
    for mask in masks:
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1])
    found = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.ones(len(masks)),
        labels=torch.tensor(labels, dtype=torch.long),
    )
    found.masks = torch.from_numpy(np.array(masks)) if masks else torch.zeros(0, 1, 1).bool()
    return found


def score(args: argparse.Namespace) -> tuple[str, ...]:
    """A row: the truth of a COCO file, cut into tiles, joined, and compared with itself."""
    import contextlib
    import io

    from hotcoco import COCO, COCOeval

    from convnextv2.runtime.join import join_pieces
    from convnextv2.runtime.tiles import TileGrid

    truth = COCO(args.coco)
    content = json.loads(Path(args.coco).read_text())
    annotated: dict[int, list[dict]] = {image["id"]: [] for image in content["images"]}
    for entry in content["annotations"]:
        annotated[entry["image_id"]].append(entry)
    results: list[dict] = []
    for image in content["images"]:
        grid = TileGrid((image["height"], image["width"]), args.tile, args.overlap)
        for found in join_pieces(grid, cut_truth(grid, annotated[image["id"]])):
            x0, y0, x1, y1 = found.box
            box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "score": 1.0}
            about = {"image_id": image["id"], "category_id": found.label}
            if found.mask:
                box["segmentation"] = found.mask.to_coco(grid.image_shape)
            results.append({**about, **box})
    scores = []
    for kind in ("bbox", "segm") if "segmentation" in results[0] else ("bbox",):
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator: Any = COCOeval(truth, truth.loadRes(results), kind)
            evaluator.params.maxDets = [1, 10, 10**6]
            evaluator.evaluate()
            evaluator.accumulate()
        precision = evaluator.eval["precision"][..., 0, -1]
        scores.append(f"{100 * precision[precision >= 0].mean():.2f}")
    counts = str(len(content["annotations"])), str(len(results))
    return (*counts, *scores, *["-"] * (2 - len(scores)))


def cut_truth(grid: TileGrid, entries: list[dict]) -> Iterator[Any]:
    """What a perfect predictor finds in each tile of an image."""
    from convnextv2.runtime.box_masks import BoxMask
    from convnextv2.runtime.join import Piece

    for entry in entries:
        x, y, width, height = entry["bbox"]
        rle = entry.get("segmentation")
        whole_mask = BoxMask.from_coco(rle) if isinstance(rle, dict) else None
        for number, tile in enumerate(grid.tiles):
            box, mask = _clip((x, y, x + width, y + height), tile), None
            if box and whole_mask:
                mask = BoxMask.of(whole_mask.decode(tile), tile[0], tile[1])
                box = mask.box if mask.area else None
            if box:
                yield Piece(number, box, 1.0, entry["category_id"], mask)


def _clip(box: Box, tile: Tile) -> Box | None:
    """What of a box is in a tile."""
    x0, y0, x1, y1 = max(box[0], tile[0]), max(box[1], tile[1]), *map(min, box[2:], tile[2:])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
