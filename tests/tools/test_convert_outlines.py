"""convert_labels.py --masks: outlines become label masks, pixel for pixel."""

import json

import numpy as np
import pytest
from label_formats import SIZE, read_ledger
from PIL import Image

from convnextv2.tools.dataset_converters.formats import outlines
from convnextv2.tools.dataset_converters.formats.arguments import make_arguments


def square(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


# A small road on a large field, listed before it; a box alone; another class.
OBJECTS = [
    ("road", square(12, 10, 4)),
    ("field", square(8, 6, 20)),
    ("field", square(40, 30, 3)),
    ("house", square(50, 2, 5)),
]


@pytest.fixture
def expected():
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[6:26, 8:28] = labels[30:33, 40:43] = 1
    labels[10:14, 12:16] = 2
    return labels


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.new("RGB", SIZE).save(tmp_path / f"images/{name}.png")
    return tmp_path


def convert(root, *arguments):
    line = [*arguments, "--images", root / "images", "--out", root / "out", "--masks"]
    line += ["--part", "train", "--classes", "field", "road"]
    outlines.convert(make_arguments("").parse_args([str(word) for word in line]))
    return np.array(Image.open(root / "out/masks/train/a.png"))


def test_polygons_of_labelme_become_labels(root, expected):
    shapes = [
        {"label": name, "shape_type": "polygon", "points": np.reshape(points, (4, 2)).tolist()}
        for name, points in OBJECTS
    ]
    shapes.append({"label": "road", "shape_type": "rectangle", "points": [[1, 2], [3, 5]]})
    (root / "labels").mkdir()
    content = {"imagePath": "a.png", "imageWidth": SIZE[0], "imageHeight": SIZE[1]}
    (root / "labels/a.json").write_text(json.dumps({**content, "shapes": shapes}))
    expected[2:5, 1:3] = 255
    np.testing.assert_array_equal(convert(root, "labelme", root / "labels"), expected)
    assert sorted(read_ledger(root)) == [
        ("boxes without an outline: what is in them became 255", "a.png"),
        ("objects of 'house', not in --classes", "a.png"),
    ]
    assert (root / "out/classes.txt").read_text().split() == ["background", "field", "road"]
    config = (root / "out/config.py").read_text()
    assert "train = dict(images='images/train', masks='masks/train')" in config
    assert "upernet_convnextv2_custom.py" in config


def test_polygons_and_rle_of_coco_become_labels(root, expected):
    counts = np.zeros(SIZE[::-1], np.uint8)
    counts[10:14, 12:16] = 1
    flat = counts.T.ravel()
    runs = np.diff(np.flatnonzero(np.diff(flat, prepend=2, append=2))).tolist()
    shapes = {
        name: {"size": list(SIZE[::-1]), "counts": runs} if name == "road" else [points]
        for name, points in OBJECTS[:2]
    }
    ids = {"field": 7, "road": 3}
    annotations = [
        {"id": i, "image_id": 1, "category_id": ids[name], "segmentation": shape, "iscrowd": 0}
        for i, (name, shape) in enumerate([*shapes.items(), ("field", [OBJECTS[2][1]])], 1)
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
        "annotations": annotations,
    }
    (root / "a.json").write_text(json.dumps(content))
    np.testing.assert_array_equal(convert(root, "coco", root / "a.json"), expected)
    assert not np.array(Image.open(root / "out/masks/train/b.png")).any()
