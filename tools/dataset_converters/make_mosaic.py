"""Put images of a COCO data set together to one large image, whose annotations are known.

To test what is made for large images, such as inference by tiles. Of the images, those of the
commonest size are taken, in the order of the file, row by row.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from convnextv2.engine.cli import make_parser, run, whole
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_folder


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/dataset_converters/make_mosaic.py data/dsb2018/val.json "
        "data/dsb2018/images --number 64 --out data/mosaic",
    )
    parser.add_argument("annotations", type=Path, help="COCO json, objects with masks as RLE")
    parser.add_argument("images", type=Path, help="folder of the images")
    parser.add_argument("--number", type=whole(1), default=64, help="of images")
    parser.add_argument("--out", type=Path, required=True, help="folder: mosaic.tif, mosaic.json")
    args = parser.parse_args()
    check_folder(args.out, "--out")
    shape, number = make(args.annotations, args.images, args.number, args.out)
    print(f"{shape[0]} x {shape[1]} pixels, {number} objects: {args.out.absolute()}")


def make(annotations: Path, images: Path, number: int, out: Path) -> tuple[tuple[int, int], int]:
    """Write the mosaic and its annotations; returns its (H, W) and the number of objects.

    Raises:
        InputError: There are not as many images of one size.
    """
    import numpy as np
    import tifffile

    from convnextv2.detection.coco import CocoWriter
    from convnextv2.images import LoadImage

    content = json.loads(annotations.read_text())
    sizes = Counter((image["height"], image["width"]) for image in content["images"])
    (height, width), most = sizes.most_common(1)[0]
    if most < number:
        raise InputError(f"{annotations} has {most} images of one size, fewer than {number}")
    chosen = [i for i in content["images"] if (i["height"], i["width"]) == (height, width)]
    columns = math.ceil(math.sqrt(number))
    shape = math.ceil(number / columns) * height, columns * width
    mosaic = np.zeros((*shape, 3), np.uint8)
    places = {}
    for place, image in enumerate(chosen[:number]):
        y, x = place // columns * height, place % columns * width
        loaded = LoadImage(dtype="uint8")({"img_path": str(images / image["file_name"])})
        mosaic[y : y + height, x : x + width] = loaded["img"]
        places[image["id"]] = x, y
    names = {category["id"]: category["name"] for category in content["categories"]}
    writer = CocoWriter(list(names.values()))
    labels = {category: label for label, category in enumerate(names, 1)}
    writer.add("mosaic.tif", shape, move(content["annotations"], places, labels, shape))
    out.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(out / "mosaic.tif", mosaic, tile=(256, 256), photometric="rgb")
    writer.write(out / "mosaic.json")
    return shape, len(writer.annotations)


def move(
    annotations: list[dict],
    places: dict[int, tuple[int, int]],
    labels: dict[int, int],
    shape: tuple[int, int],
) -> Iterator[dict]:
    """The annotations as they are in the mosaic (H, W).

    Args:
        annotations: COCO's.
        places: Image id -> column and row of its first pixel; others are left out.
        labels: Category id -> new one.
        shape: Of the mosaic.
    """
    from convnextv2.runtime.box_masks import BoxMask

    for entry in annotations:
        if entry["image_id"] not in places:
            continue
        x, y = places[entry["image_id"]]
        left, top, *size = entry["bbox"]
        moved = {**entry, "bbox": [left + x, top + y, *size]}
        moved["category_id"] = labels[entry["category_id"]]
        if entry.get("segmentation"):
            mask = BoxMask.from_coco(entry["segmentation"])
            x0, y0, x1, y1 = mask.box
            mask = mask._replace(box=(x0 + x, y0 + y, x1 + x, y1 + y))
            moved["segmentation"] = mask.to_coco(shape)
        yield moved


if __name__ == "__main__":
    run(main)
