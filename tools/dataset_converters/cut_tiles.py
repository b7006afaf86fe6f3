"""Cut large images and their annotations into tiles, files of their own.

For tools that read whole files; this project's training needs no such files (docs/tiles.md).
DIR/images gets the tiles, named after the image and their place in it; objects come with
DIR/annotations.json, label masks with DIR/masks. Tiles are equal within a pixel.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_debug, make_parser, run, share, whole
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_folder

if TYPE_CHECKING:
    import numpy as np

    from convnextv2.runtime.tiles import Tile


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/dataset_converters/cut_tiles.py objects train.json train/ --tile 640 "
        "--overlap 96 --out data/cut",
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    objects = kinds.add_parser("objects", help="with a COCO json")
    objects.add_argument("annotations", type=Path, help="COCO json: boxes, polygons, RLE")
    objects.add_argument("images", type=Path, help="folder of the images")
    objects.add_argument(
        "--min-visible", type=share, default=0.4, help="share of an object that a tile must hold"
    )
    objects.add_argument("--no-empty", action="store_true", help="leave out tiles without objects")
    masks = kinds.add_parser("masks", help="with label masks")
    masks.add_argument("images", type=Path, help="folder of the images")
    masks.add_argument("masks", type=Path, help="folder of the masks, named as the images")
    masks.add_argument("--mask-suffix", help="in the place of an image's suffix, such as _L.png")
    for command in (objects, masks):
        command.add_argument("--tile", type=whole(32), required=True, help="longest side")
        command.add_argument("--overlap", type=whole(0), default=0, help="what neighbours share")
        command.add_argument("--bands", type=whole(1), default=3, help="channels of the images")
        command.add_argument("--out", type=Path, required=True, help="folder to write")
        add_debug(command)
    args = parser.parse_args()
    if args.overlap >= args.tile:
        parser.error(f"--overlap {args.overlap} must be below --tile {args.tile}")
    check_folder(args.out, "--out")
    count = (cut_objects if args.kind == "objects" else cut_masks)(args)
    print(f"{count}: {args.out.absolute()}")


def cut_objects(args: argparse.Namespace) -> str:
    """Cut images with a COCO json; says how many tiles and objects there are."""
    from convnextv2.detection.coco import CocoWriter, draw_polygons
    from convnextv2.detection.tiles import crop_annotations

    content = json.loads(args.annotations.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    labels = {category: number for number, category in enumerate(names, 1)}
    entries = defaultdict(list)
    for entry in content["annotations"]:
        entries[entry["image_id"]].append({**entry, "category_id": labels[entry["category_id"]]})
    writer = CocoWriter(list(names.values()))
    for image in content["images"]:
        size = image["height"], image["width"]
        objects = entries[image["id"]]
        for entry in objects:
            if isinstance(entry.get("segmentation"), list):
                polygons = entry["segmentation"]
                entry["segmentation"] = draw_polygons(polygons, size).to_coco(size)
        for name, tile, pixels in cut(args, args.images / image["file_name"], image["file_name"]):
            inside = crop_annotations(objects, tile, args.min_visible)
            if inside or not args.no_empty:
                write(args.out / "images" / name, pixels)
                writer.add(name, pixels.shape, inside)
    writer.write(args.out / "annotations.json")
    return f"{len(writer.images)} tiles, {len(writer.annotations)} objects"


def cut_masks(args: argparse.Namespace) -> str:
    """Cut images with label masks; says how many tiles there are."""
    from convnextv2.images import read_regular
    from convnextv2.pictures import write_png
    from convnextv2.segmentation.folders import ImagesAndMasks
    from convnextv2.segmentation.loading import read_labels

    folders = {"img_path": str(args.images), "seg_map_path": str(args.masks)}
    data = ImagesAndMasks(args.mask_suffix, data_prefix=folders, pipeline=[])
    count = 0
    for place in range(len(data)):
        info = data.get_data_info(place)
        try:
            labels = read_labels(read_regular(info["seg_map_path"]))
        except (OSError, ValueError, SyntaxError) as error:  # the last of broken PNGs
            raise InputError(f"{info['seg_map_path']}: {error}") from error
        source = Path(info["img_path"])
        name = source.relative_to(args.images).as_posix()
        for file, (x0, y0, x1, y1), pixels in cut(args, source, name):
            part = labels[y0:y1, x0:x1]
            if part.shape != pixels.shape[:2]:
                raise InputError(f"{info['seg_map_path']}: another size than {source}")
            write(args.out / "images" / file, pixels)
            write_png(part, (args.out / "masks" / file).with_suffix(".png"))
            count += 1
    return f"{count} tiles"


def cut(
    args: argparse.Namespace, source: Path, name: str
) -> Iterator[tuple[str, Tile, np.ndarray]]:
    """File name, place and pixels (h, w, C), RGB, of each tile of an image."""
    from convnextv2.images import LoadImage
    from convnextv2.runtime.tiles import tile_boxes
    from convnextv2.windows import open_windows

    with open_windows(source, LoadImage(args.bands)) as windows:
        for tile in tile_boxes(windows.shape, args.tile, args.overlap):
            pixels = windows.read(tile)
            suffix = ".png" if args.bands in (1, 3) and pixels.dtype != "float32" else ".tif"
            stem = name.removesuffix(Path(name).suffix)
            yield f"{stem}_x{tile[0]:05d}_y{tile[1]:05d}{suffix}", tile, pixels


def write(path: Path, pixels: np.ndarray) -> None:
    """Write a tile (h, w, C), RGB, and the folders above it."""
    import cv2
    import tifffile

    from convnextv2.files import AtomicLocalBackend, written_whole

    if path.suffix == ".tif":
        with written_whole(path, wait=False) as partial:
            tifffile.imwrite(partial, pixels, photometric="minisblack", planarconfig="contig")
        return
    turned = pixels[..., ::-1] if pixels.shape[2] == 3 else pixels
    AtomicLocalBackend().put(cv2.imencode(".png", turned)[1].tobytes(), path)


if __name__ == "__main__":
    run(main)
