"""Find objects in images, or label their pixels: pictures to look at and files to read on.

DIR/pictures/ gets every image with what was found drawn into it. Detection writes DIR/results.json,
a list in the form of COCO's results: image_id (the image's number in this run, from 1), file_name,
category_id (from 1, in the order of the classes), category_name, bbox [x, y, width, height], score,
and segmentation as RLE where the model has masks. Segmentation writes DIR/labels/, a PNG of one
byte a pixel as the data set's own labels are: where 0 is what nobody labelled, classes begin at 1.
Files are named after the images, sub-folders and suffix included: a/b.jpg becomes a/b.jpg.png.
"""

import argparse
import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example:\n  python tools/infer.py CONFIG work_dirs/NAME/epoch_36.pth photos/ "
        "--out found",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="path of the config")
    parser.add_argument("checkpoint", help="path or address of the checkpoint")
    parser.add_argument("images", nargs="+", help="images, or folders with any sub-folders")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write to")
    parser.add_argument("--score-thr", type=float, default=0.3, help="leave out what scores less")
    parser.add_argument(
        "--batch-size", type=int, default=1, help="images of one size to compute at once"
    )
    parser.add_argument("--device", help="such as cpu or cuda:1; default: the GPU, if there is one")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", help="as in test.py")
    args = parser.parse_args()
    if not 0 <= args.score_thr <= 1:
        parser.error(f"--score-thr is a probability, 0 to 1, not {args.score_thr}")
    if args.batch_size < 1:
        parser.error(f"--batch-size must be at least 1, not {args.batch_size}")

    from convnextv2.engine.config import read_config
    from convnextv2.environment import LibraryError
    from convnextv2.predictor import Predictor

    names = name_images(args.images, args.out)
    try:
        Path(args.out).mkdir(parents=True, exist_ok=True)
        cfg = read_config(args.config, args.cfg_options)
        predictor = Predictor(cfg, args.checkpoint, args.device)
    except (OSError, ValueError, LibraryError) as error:
        raise SystemExit(str(error)) from error
    sys.exit(infer(predictor, names, Path(args.out), args.score_thr, args.batch_size))


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


def infer(predictor, names: dict[str, str], out: Path, score_thr: float, batch_size: int) -> int:
    """Predict, draw and write; returns the exit status: 1 if no image could be read."""
    from rich.progress import track

    from convnextv2.files import AtomicLocalBackend

    numbers = {path: number for number, path in enumerate(names, 1)}
    results, unreadable, done = [], [], 0
    detects = False
    for prediction in predictor(track(names, description=out.name), batch_size, unreadable):
        path = prediction.source
        if "pred_sem_seg" in prediction.sample:
            write_labels(predictor, prediction, names[path], out)
        else:
            detects = True
            found = write_objects(predictor, prediction, names[path], out, score_thr)
            results += [{"image_id": numbers[path], **entry} for entry in found]
        done += 1
    if detects:
        lines = ",\n".join(map(json.dumps, results))  # one object a line
        AtomicLocalBackend().put(f"[\n{lines}\n]\n".encode(), out / "results.json")
    objects = f", {len(results)} objects of score {score_thr} or more" if detects else ""
    print(f"{done} of {len(names)} images{objects}: {out.absolute()}")
    if unreadable:
        lines = "".join(f"\n  {error}" for error in unreadable)
        print(f"{len(unreadable)} of {len(names)} images could not be read:{lines}")
    return 0 if done else 1


def write_objects(predictor, prediction, name: str, out: Path, score_thr: float) -> list[dict]:
    """Draw the instances of one image and return them as results."""
    from convnextv2.detection.coco import encode_mask
    from convnextv2.pictures import outline, write_png

    found = prediction.sample.pred_instances
    found = found[found.scores >= score_thr]
    drawn = outline(to_rgb(prediction.image), found, predictor.palette, names=predictor.classes)
    write_png(drawn, out / "pictures" / f"{name}.png")
    results = []
    for i, label in enumerate(found.labels.tolist()):
        x1, y1, x2, y2 = found.bboxes[i].tolist()
        entry = {
            "file_name": name,
            "category_id": label + 1,
            "category_name": predictor.classes[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": found.scores[i].item(),
        }
        if "masks" in found:
            entry["segmentation"] = encode_mask(found.masks[i].numpy())
        results.append(entry)
    return results


def write_labels(predictor, prediction, name: str, out: Path) -> None:
    """Draw the label map of one image and write it."""
    import numpy as np

    from convnextv2.pictures import paint, write_png

    labels = prediction.sample.pred_sem_seg.data[0].numpy().astype(np.uint8)
    drawn = paint(to_rgb(prediction.image), labels, predictor.palette, names=predictor.classes)
    write_png(drawn, out / "pictures" / f"{name}.png")
    write_png(labels + np.uint8(predictor.label_offset), out / "labels" / f"{name}.png")


def to_rgb(image):
    """A picture of a loaded image: BGR turned, other than three channels as grey, 8 bits."""
    import numpy as np

    image = image[..., ::-1] if image.shape[2:] == (3,) else image.reshape(*image.shape[:2], -1)
    image = image if image.shape[2] == 3 else image[..., :1].repeat(3, axis=2)
    factor = 255 / image.max() if image.max() > 255 else 1
    return np.ascontiguousarray((image * factor).clip(0, 255).round().astype(np.uint8))


if __name__ == "__main__":
    main()
