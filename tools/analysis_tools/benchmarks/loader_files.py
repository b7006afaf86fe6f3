"""Files to measure loaders on, as large as those of the public data sets are on average."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CLASSES = ("a", "b")
OBJECTS = 7  # of an image, as COCO has on average
CROWDS = 0.1  # of images, each with a crowd in RLE
LABELS = 20  # of a label mask


def generate(entry: dict, folder: Path, count: int) -> dict:
    """Write images and labels for a data set, and return its entry with them in place of its own.

    Args:
        entry: Of a data set of any task.
        folder: Where to write.
        count: Images.
    """
    from mmengine.registry import DATASETS

    from convnextv2.engine.types import find_class, is_a

    found = find_class(entry, DATASETS)
    if is_a(found, "mmdet.datasets.coco.CocoDataset"):
        _write_objects(folder, count)
        places = {"ann_file": "all.json", "data_prefix": {"img": "images"}, "indices": None}
        return {**entry, "data_root": str(folder), **places, "metainfo": {"classes": CLASSES}}
    if is_a(found, "mmseg.datasets.basesegdataset.BaseSegDataset"):
        _write_label_masks(folder, count)
        prefix = {"img_path": "images", "seg_map_path": "labels"}
        suffixes = {"img_suffix": ".jpg", "seg_map_suffix": ".png"}
        places = {"ann_file": "", "data_prefix": prefix, "indices": None, **suffixes}
        return {**entry, "data_root": str(folder), **places}
    _write_classes(folder, count)
    labelled = is_a(found, "convnextv2.pretrain.supervised.folder.LabelledImages")
    kind = f"convnextv2.{'LabelledImages' if labelled else 'UnlabelledImages'}"
    return {"type": kind, "data_root": str(folder), "pipeline": entry["pipeline"]}


def _write_classes(folder: Path, count: int) -> None:
    """JPEG files of 500 x 375 pixels and about 115 kB, as ImageNet's are on average.

    Half of them below ``a``, the others below ``b``, which may be classes.
    """
    import cv2

    for name in CLASSES:
        (folder / name).mkdir()
    for i, image in enumerate(_make_images(count, (375, 500), 21)):
        path = folder / CLASSES[i % 2] / f"{i}.jpg"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 90])


def _write_objects(folder: Path, count: int) -> None:
    """JPEG files of 640 x 480 pixels and about 155 kB, as COCO's; a json of polygons and RLE."""
    import cv2
    import numpy as np

    from convnextv2.detection.coco import CocoWriter

    rng = np.random.default_rng(1)
    writer = CocoWriter(CLASSES)
    (folder / "images").mkdir()
    for i, image in enumerate(_make_images(count, (480, 640), 12)):
        path = folder / f"images/{i}.jpg"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
        objects = [_make_object(rng) for _ in range(max(1, rng.poisson(OBJECTS)))]
        if rng.random() < CROWDS:
            objects.append(_make_crowd(rng))
        writer.add(path.name, image.shape, objects)
    writer.write(folder / "all.json")


def _make_object(rng: "np.random.Generator") -> dict:
    """A polygon of 10 to 60 corners, mostly small, as COCO's objects."""
    import numpy as np

    corners = int(rng.integers(10, 61))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = np.exp(rng.uniform(np.log(8), np.log(200))) * rng.uniform(0.6, 1, corners)
    star = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
    points = (star + rng.uniform((0, 0), (640, 480))).clip(0, (640, 480)).round(2)
    low, high = points.min(0), points.max(0)
    box = [*low.tolist(), *np.maximum(high - low, 1).tolist()]
    category = int(rng.integers(1, len(CLASSES) + 1))
    return {"category_id": category, "bbox": box, "segmentation": [points.ravel().tolist()]}


def _make_crowd(rng: "np.random.Generator") -> dict:
    import cv2
    import numpy as np

    blocks = (rng.random((12, 16)) < 0.3).astype(np.uint8)
    blocks[5, 5] = 1
    mask = cv2.resize(blocks, (640, 480), interpolation=cv2.INTER_NEAREST).astype(bool)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    ends = columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]
    box = [float(value) for value in (columns[0], rows[0], *ends)]
    return {"category_id": 1, "bbox": box, "segmentation": mask, "iscrowd": 1}


def _write_label_masks(folder: Path, count: int) -> None:
    """JPEG files of 640 x 480 pixels and about 50 kB, as ADE20K's by size, and PNG masks."""
    import cv2
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(1)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for i, image in enumerate(_make_images(count, (480, 640), 4, blocks=(10, 12))):
        cv2.imwrite(str(folder / f"images/{i}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 85])
        labels = np.zeros(image.shape[:2], np.uint8)
        for _ in range(LABELS):
            polygon = _make_object(rng)["segmentation"][0]
            points = np.array(polygon, np.int32).reshape(-1, 2)
            cv2.fillPoly(labels, [points], int(rng.integers(1, LABELS + 1)))
        Image.fromarray(labels).save(folder / f"labels/{i}.png")


def _make_images(
    count: int, shape: tuple[int, int], noise: float, blocks: tuple[int, int] = (40, 50)
) -> Iterator["np.ndarray"]:
    """Coloured shapes with noise, the same for each count."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    height, width = shape
    for _ in range(count):
        colours = rng.integers(0, 256, (*blocks, 3), dtype=np.uint8)
        shapes = cv2.resize(colours, (width, height), interpolation=cv2.INTER_CUBIC)
        yield np.clip(shapes + rng.normal(0, noise, (*shape, 1)), 0, 255).astype(np.uint8)
