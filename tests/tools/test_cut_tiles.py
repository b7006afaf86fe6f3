"""Cut files hold what the large image holds at their place."""

import json
import re
import sys

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from convnextv2.detection.coco import decode_mask
from convnextv2.tools.dataset_converters import cut_tiles

POLYGON = [10.5, 10, 90, 15.5, 70, 60.25, 30, 50]


@pytest.fixture
def large(tmp_path):
    """An image with a polygon and a box, and a label mask."""
    image = np.random.default_rng(0).integers(0, 255, (100, 150, 3), dtype=np.uint8)
    labels = np.random.default_rng(1).integers(0, 5, (100, 150), dtype=np.uint8)
    for folder, pixels in (("images/deep", image), ("masks/deep", labels)):
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / "a.png"), pixels)
    about = {"image_id": 7, "iscrowd": 0, "area": 1}
    annotations = [
        {**about, "id": 1, "category_id": 5, "bbox": [10, 10, 80, 51], "segmentation": [POLYGON]},
        {**about, "id": 2, "category_id": 3, "bbox": [100, 60, 30, 30]},
    ]
    images = [{"id": 7, "file_name": "deep/a.png", "height": 100, "width": 150}]
    categories = [{"id": 3, "name": "box"}, {"id": 5, "name": "thing"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "all.json").write_text(json.dumps(content))
    return tmp_path, image, labels


def run(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["cut_tiles.py", *map(str, args)])
    cut_tiles.main()


def place(name):
    return map(int, re.search(r"_x(\d+)_y(\d+)", name).groups())


def test_objects_are_cut_with_their_pixels(large, monkeypatch, capsys):
    folder, image, _ = large
    args = folder / "all.json", folder / "images", "--tile", 64, "--overlap", 8
    run(monkeypatch, "objects", *args, "--min-visible", 0, "--out", folder / "cut")
    content = json.loads((folder / "cut/annotations.json").read_text())
    assert [c["name"] for c in content["categories"]] == ["box", "thing"]
    assert len(content["images"]) == 6
    whole = decode_mask(coco_mask.merge(coco_mask.frPyObjects([POLYGON], 100, 150)))
    area = 0
    for entry in content["images"]:
        x, y = place(entry["file_name"])
        part = np.s_[y : y + entry["height"], x : x + entry["width"]]
        assert np.array_equal(
            cv2.imread(str(folder / "cut/images" / entry["file_name"])), image[part]
        )
        for found in content["annotations"]:
            if found["image_id"] == entry["id"] and found["category_id"] == 2:
                assert np.array_equal(decode_mask(found["segmentation"]), whole[part])
                area += found["area"]
    assert area >= whole.sum()
    assert "6 tiles, " in capsys.readouterr().out
    run(monkeypatch, "objects", *args, "--no-empty", "--out", folder / "full")
    assert len(json.loads((folder / "full/annotations.json").read_text())["images"]) < 6


def test_label_masks_are_cut_alike(large, monkeypatch):
    folder, image, labels = large
    args = folder / "images", folder / "masks", "--tile", 64, "--out", folder / "cut"
    run(monkeypatch, "masks", *args)
    found = sorted((folder / "cut/masks").rglob("*.png"))
    assert len(found) == 6
    for path in found:
        x, y = place(path.name)
        part = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        place_in = np.s_[y : y + part.shape[0], x : x + part.shape[1]]
        assert np.array_equal(part, labels[place_in])
        assert np.array_equal(
            cv2.imread(str(folder / "cut/images/deep" / path.name)), image[place_in]
        )


def test_tiles_that_share_everything_are_refused(large, monkeypatch, capsys):
    folder = large[0]
    with pytest.raises(SystemExit):
        run(monkeypatch, "masks", folder, folder, "--tile", 64, "--overlap", 64, "--out", folder)
    assert "--overlap 64 must be below --tile 64" in capsys.readouterr().err
