"""Find objects in images, or label their pixels: pictures to look at and files to read on.

DIR/pictures/ gets every image with what was found drawn into it. Detection writes DIR/results.json,
a list in the form of COCO's results: image_id (the image's number in this run, from 1), file_name,
category_id, category_name, bbox [x, y, width, height], score, and segmentation as RLE where the
model has masks. Category ids are those of the data that the model was trained on; where neither the
checkpoint nor the config's annotation file tells them, category_id is the class's number, from 1,
and category_id_unknown stands beside it. Segmentation writes DIR/labels/, a PNG of one byte a pixel
as the data set's own labels are: where 0 is what nobody labelled, classes begin at 1.
A run that is stopped leaves what it has found so far: labels and pictures of the images that are
done, and DIR/results.jsonl, the same objects, one a line, from which results.json is made at the
end. Files are named after the images, sub-folders and suffix included: a/b.jpg becomes a/b.jpg.png.
Of videos, numbered frames (frames/%06d.png), camera:NUMBER and streams such as rtsp://..., each
frame is an image called NAME/000001; DIR/pictures/NAME.mp4 shows them, and NAME.json beside it
counts corrupt frames. A classifier writes the best classes of each image into DIR/results.json
and results.csv, and sheet.png to look at.
With --tile images are looked at by overlapping tiles and may be of any size: TIFF files are read
by parts. Results are those of the whole images; labels are TIFF files, pictures are made smaller.
A run that is stopped goes on where it was if the same command is given again (docs/tiles.md).
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import (
    add_show_bands,
    add_tile,
    make_config_parser,
    run,
    share,
    whole,
)

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from mmengine.config import Config

    from convnextv2.predictor import Predictor
    from convnextv2.results import Prediction, ResultsWriter
    from convnextv2.tiled import Tiling
    from convnextv2.tiled_results import TiledResults


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__, "python tools/infer.py CONFIG work_dirs/NAME/epoch_36.pth photos/ --out found"
    )
    parser.add_argument("checkpoint", help="path or address of the checkpoint")
    parser.add_argument(
        "images",
        nargs="+",
        help="images, or folders with any sub-folders; or videos, frames/%%06d.png, addresses of "
        "streams, camera:0",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write to")
    parser.add_argument("--score-thr", type=share, default=0.3, help="leave out what scores less")
    parser.add_argument(
        "--batch-size", type=whole(1), default=1, help="images of one size to compute at once"
    )
    parser.add_argument("--device", help="such as cpu or cuda:1; default: the GPU, if there is one")
    add_show_bands(parser)
    add_tile(parser)
    parser.add_argument(
        "--whole-too",
        action="store_true",
        help="with --tile: look for objects larger than a tile in the reduced whole image, too",
    )
    args = parser.parse_args()

    from convnextv2.engine.config import read_config
    from convnextv2.engine.outputs import check_folder
    from convnextv2.engine.settings import need_entries
    from convnextv2.predictor import Predictor

    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "model", "test_dataloader")
    check_folder(args.out, "--out")
    streams = [source for source in args.images if is_video(source)]
    if streams:
        if args.tile is not None or len(streams) < len(args.images):
            parser.error("videos and streams go without --tile and without images beside them")
        predictor = Predictor(cfg, args.checkpoint, args.device)
        how = args.score_thr, args.batch_size, args.show_bands
        sys.exit(infer_videos(predictor, streams, Path(args.out), *how))
    names = name_images(args.images, args.out)
    tiling = choose_tiling(args, cfg, parser) if args.tile is not None else None
    predictor = Predictor(cfg, args.checkpoint, args.device)
    out = Path(args.out)
    if tiling:
        stamp = describe_run(args)
        sys.exit(
            infer_by_tiles(predictor, names, out, args.score_thr, tiling, stamp, args.show_bands)
        )
    sys.exit(infer(predictor, names, out, args.score_thr, args.batch_size, args.show_bands))


def name_images(given: list[str], out: str) -> dict[str, str]:
    """The images of paths and folders, each with a name of its own.

    Returns:
        path -> path below the folder that holds all that was given; each image once. What is
        below `out`, from an earlier run, is left out.

    Raises:
        SystemExit: A path does not exist, or there is no image.
    """
    from convnextv2.pictures import expand_images

    folders = [path if os.path.isdir(path) else os.path.dirname(path) for path in given]
    root = os.path.commonpath([os.path.abspath(folder) for folder in folders])
    names = {os.path.abspath(path): path for path in expand_images(given)}
    written = Path(out).absolute()
    found = {
        path: os.path.relpath(full, root)
        for full, path in names.items()
        if written not in Path(full).parents
    }
    if not found:
        raise SystemExit(f"no images in {', '.join(given)} but those in {out}, which are results")
    return found


def infer(
    predictor: "Predictor",
    names: dict[str, str],
    out: Path,
    score_thr: float,
    batch_size: int,
    bands: tuple[int, ...] | None = None,
) -> int:
    """Predict, draw and write; returns the exit status: 1 if no image could be read."""
    from rich.progress import track

    from convnextv2.background import AHEAD, Background
    from convnextv2.pictures import to_rgb, write_png
    from convnextv2.words import write_legend

    task, palette, classes = predictor.task, predictor.palette, predictor.classes
    numbers = {path: number for number, path in enumerate(names, 1)}
    unreadable: list[Exception] = []
    done = 0

    def draw(prediction: "Prediction", name: str) -> None:
        picture = to_rgb(prediction.image, bands=bands)
        picture = task.draw_found(
            picture, prediction.sample, palette, names=classes, score_thr=score_thr
        )
        write_png(picture, out / "pictures" / f"{name}.png")

    ahead = AHEAD * batch_size
    with task.open_results(predictor, out, score_thr) as results, Background(ahead) as later:
        paths = track(names, description=out.name)
        for prediction in predictor(paths, batch_size, unreadable, ahead=ahead):
            done += 1
            source = str(prediction.source)
            later(draw, prediction, names[source])
            results.add(prediction, numbers[source], names[source])
    if done:
        write_legend(classes, out / "pictures")
    return report(results, done, len(names), out, unreadable)


def is_video(source: str) -> bool:
    """Whether a source is a video file, numbered frames, a camera or the address of a stream."""
    from convnextv2.video import is_numbered

    is_camera = source.startswith("camera:") and source[7:].isdecimal()
    is_file = Path(source).suffix.lower() in VIDEOS
    return is_camera or "://" in source or is_file or is_numbered(source)


def name_videos(sources: list[str]) -> dict[str, str]:
    """source -> its name for files: below the folder that holds all; of a stream its place."""
    from convnextv2.video import is_numbered, name_frames

    paths = {s: name_frames(s) if is_numbered(s) else s for s in sources if "://" not in s}
    paths = {s: path for s, path in paths.items() if not s.startswith("camera:")}
    full = {s: os.path.abspath(path) for s, path in paths.items()}
    root = os.path.commonpath([os.path.dirname(path) for path in full.values()]) if full else ""
    names = {s: os.path.relpath(path, root) for s, path in full.items()}
    return {s: names.get(s, f"stream-{place}") for place, s in enumerate(sources, 1)}


def infer_videos(
    predictor: "Predictor",
    sources: list[str],
    out: Path,
    score_thr: float,
    batch_size: int,
    bands: tuple[int, ...] | None = None,
) -> int:
    """The same, each frame of some videos or streams."""
    from convnextv2.images import UnreadableImageError
    from convnextv2.video import infer_video

    unreadable: list[Exception] = []
    done = 0
    with predictor.task.open_results(predictor, out, score_thr) as results:
        for source, name in name_videos(sources).items():
            how = score_thr, batch_size, bands
            try:
                print(infer_video(predictor, source, name, results, out, *how))
                done += 1
            except UnreadableImageError as error:
                unreadable.append(error)
    return report(results, done, len(sources), out, unreadable, "videos")


def infer_by_tiles(
    predictor: "Predictor",
    names: dict[str, str],
    out: Path,
    score_thr: float,
    tiling: "Tiling",
    stamp: dict,
    bands: tuple[int, ...] | None = None,
) -> int:
    """The same, each image by its tiles."""
    from convnextv2.images import UnreadableImageError
    from convnextv2.tiled import look_at
    from convnextv2.words import write_legend

    unreadable: list[Exception] = []
    done = 0
    with predictor.task.open_tiled_results(predictor, out, stamp, score_thr) as results:
        for number, (source, name) in enumerate(names.items(), 1):
            try:
                look_at(predictor, source, name, number, results, tiling, bands)
                done += 1
            except UnreadableImageError as error:
                unreadable.append(error)
    if done:
        write_legend(predictor.classes, out / "pictures")
    return report(results, done, len(names), out, unreadable)


def report(
    results: "ResultsWriter | TiledResults",
    done: int,
    total: int,
    out: Path,
    unreadable: list[Exception],
    kind: str = "images",
) -> int:
    """Say what was found; returns the exit status."""
    if warning := results.warn():
        print(warning)
    found = ", ".join([f"{done} of {total} {kind}", *filter(None, [results.describe()])])
    print(f"{found}: {out.absolute()}")
    if unreadable:
        lines = "".join(f"\n  {error}" for error in unreadable)
        print(f"{len(unreadable)} of {total} {kind} could not be read:{lines}")
    return 0 if done else 1


def choose_tiling(args: "Namespace", cfg: "Config", parser: "ArgumentParser") -> "Tiling":
    """The tiles of --tile and --overlap."""
    from convnextv2.engine.tasks import find_task
    from convnextv2.tiled import Tiling, choose_tile

    task = find_task(cfg)
    if args.whole_too and task and task.name != "detection":
        parser.error("--whole-too is for objects; labels of a reduced image are no better")
    return Tiling(*choose_tile(cfg, args.tile, args.overlap), args.whole_too, args.batch_size)


def describe_run(args: "Namespace") -> dict:
    """What results depend on besides the images: a run that goes on must have the same."""
    status = os.stat(args.checkpoint) if os.path.isfile(args.checkpoint) else None
    return {
        "config": os.path.abspath(args.config),
        "options": args.cfg_options,
        "checkpoint": [args.checkpoint, *([status.st_size, status.st_mtime_ns] if status else [])],
    }


if __name__ == "__main__":
    run(main)
