"""The same boxes in every format that convert_labels.py reads, and what it makes of them."""

import csv
import json

import numpy as np
import yaml
from PIL import Image

from convnextv2.tools.dataset_converters.formats import to_coco
from convnextv2.tools.dataset_converters.formats.arguments import make_arguments

SIZE = (64, 48)
# Of each image: class and box as x, y, width, height.
BOXES = {
    "a.jpg": [("dog", [0, 0, 10, 12]), ("cat", [20, 5, 44, 43])],
    "b.jpg": [("cat", [1, 2, 30, 7])],
    "c.jpg": [],
    "d.jpg": [("dog", [63, 47, 1, 1])],
}
TRIANGLE = [10.0, 10.0, 30.0, 10.0, 10.0, 26.0]


def convert(root, *arguments, out="out"):
    line = [*arguments, "--out", root / out]
    to_coco.convert(make_arguments("").parse_args([str(word) for word in line]))
    return {part: read(root / out / f"{part}.json") for part in ("train", "val")}


def read(path):
    """COCO's content, boxes with class names by the image's."""
    if not path.is_file():
        return {}
    content = json.loads(path.read_text())
    names = {c["id"]: c["name"] for c in content["categories"]}
    found = {image["file_name"]: [] for image in content["images"]}
    files = {image["id"]: image["file_name"] for image in content["images"]}
    for entry in content["annotations"]:
        found[files[entry["image_id"]]].append((names[entry["category_id"]], entry["bbox"]))
    return found


def read_ledger(root, out="out"):
    with open(root / out / "left_out.csv", newline="") as file:
        return [(row["reason"], row["where"]) for row in csv.DictReader(file)]


def write_voc(root, first_pixel=1):
    (root / "labels").mkdir()
    for name, objects in BOXES.items():
        entries = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x + first_pixel}</xmin>"
            f"<ymin>{y + first_pixel}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox>"
            "</object>"
            for label, (x, y, w, h) in objects
        )
        size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}</filename>{size}{entries}</annotation>"
        (root / "labels" / f"{name[0]}.xml").write_text(text)
    return root / "labels"


def write_yolo(root):
    (root / "labels").mkdir()
    for name, objects in BOXES.items():
        lines = [
            f"{['cat', 'dog'].index(label)} "
            f"{(x + w / 2) / SIZE[0]:.9f} {(y + h / 2) / SIZE[1]:.9f} "
            f"{w / SIZE[0]:.9f} {h / SIZE[1]:.9f}\n"
            for label, (x, y, w, h) in objects
        ]
        (root / "labels" / f"{name[0]}.txt").write_text("".join(lines))
    table = {"path": "../elsewhere", "train": "../images", "names": {0: "cat", 1: "dog"}}
    (root / "data.yaml").write_text(yaml.safe_dump(table))
    return root / "data.yaml"


def write_labelme(root):
    (root / "labels").mkdir()
    for name, objects in BOXES.items():
        shapes = [
            {"label": label, "points": [[x + w, y], [x, y + h]], "shape_type": "rectangle"}
            for label, (x, y, w, h) in objects
        ]
        content = {"imagePath": f"..\\images\\{name}", "shapes": shapes, "imageData": None}
        content |= {"imageWidth": SIZE[0], "imageHeight": SIZE[1]}
        (root / "labels" / f"{name[0]}.json").write_text(json.dumps(content))
    return root / "labels"


def write_coco(root, **changes):
    """As Label Studio does it: ids from 0, odd paths, other numbers; no area and no iscrowd."""
    images = [
        {"id": float(i), "file_name": f"../../label-studio/data/upload/1/0a1b2c3d-{name}"}
        for i, name in enumerate(BOXES)
    ]
    annotations = [
        {"id": 0, "image_id": str(i), "category_id": ["cat", "dog"].index(label), "bbox": box}
        for i, objects in enumerate(BOXES.values())
        for label, box in objects
    ]
    categories = [{"id": 1.0, "name": "dog"}, {"id": 0, "name": "cat"}]
    content = {"images": images, "annotations": annotations, "categories": categories, **changes}
    (root / "result.json").write_text(json.dumps(content))
    return root / "result.json"


def write_instances(root):
    (root / "labels").mkdir()
    for name, objects in BOXES.items():
        labels = np.full(SIZE[::-1], 0 if objects else 2, np.uint16)  # 2: a class, undivided
        for i, (label, (x, y, w, h)) in enumerate(objects):
            labels[y : y + h, x : x + w] = ["cat", "dog"].index(label) * 1000 + 1000 + i
        Image.fromarray(labels).save(root / "labels" / f"{name[0]}_ids.png")
    return root / "labels"


WRITERS = {
    "voc": (write_voc, []),
    "yolo": (write_yolo, []),
    "labelme": (write_labelme, []),
    "coco": (write_coco, []),
    "instance-masks": (
        write_instances,
        ["--divisor", 1000, "--classes", "none", "cat", "dog"],
    ),
}
