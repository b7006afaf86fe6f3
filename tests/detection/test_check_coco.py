"""Each fault of COCO annotations is named, and nothing else."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from convnextv2.detection.check import check_coco, read_coco, read_image


@pytest.fixture
def good(tmp_path):
    """Polygons, RLE of both kinds, a crowd, an empty image, a box over the edge by rounding."""
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), np.full((40, 60, 3), 90 * i, np.uint8))
    region = np.zeros((40, 60), np.uint8, order="F")
    region[5:20, 10:30] = 1
    rle = coco_mask.encode(region)
    rle["counts"] = rle["counts"].decode()
    counts = [405, 15] + [25, 15] * 19 + [2400 - 405 - 15 - 40 * 19]
    box = {"bbox": [10, 5, 20, 15], "area": 300, "iscrowd": 0, "category_id": 7}
    square = [[10, 5, 30, 5, 30, 20, 10, 20]]
    annotations = [
        {**box, "id": 1, "image_id": 0, "segmentation": square},
        {**box, "id": 2, "image_id": 0, "segmentation": rle},
        {
            **box,
            "id": 3,
            "image_id": 1,
            "iscrowd": 1,
            "segmentation": {"size": [40, 60], "counts": counts},
        },
        {**box, "id": 4, "image_id": 1, "category_id": 9, "bbox": [50, 30, 10.4, 10.3]},
    ]
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 40, "width": 60} for i in range(3)]
    categories = [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def check(content, tmp_path, classes=("cat", "dog"), evaluated=True):
    return check_coco(content, "a.json", tmp_path, classes, evaluated)


def test_good_annotations_have_no_faults(good, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(good))
    content, findings = read_coco(tmp_path / "a.json")
    assert findings == []
    assert check(content, tmp_path) == []
    assert read_image(tmp_path / "0.jpg", (60, 40)) == []


def annotation(**changes):
    return lambda content: content["annotations"][0].update(changes)


def image(**changes):
    return lambda content: content["images"][0].update(changes)


FAULTS = [
    (annotation(id=0), "fatal", "an annotation has the id 0"),
    (annotation(id=2), "fatal", "2 annotations have the id 2"),
    (annotation(image_id=99), "fatal", "annotation 1 is of image 99, not listed"),
    (annotation(category_id=5), "fatal", "annotation 1 of 0.jpg has the category 5, not listed"),
    (annotation(bbox=[1, 2, 3]), "fatal", "expected four numbers"),
    (annotation(bbox=[1, 2, float("nan"), 3]), "fatal", "expected four numbers"),
    (annotation(bbox=[1, 2, -3, 4]), "warning", "box [1, 2, -3, 4] is empty"),
    (annotation(bbox=[1, 2, 0, 4]), "warning", "box [1, 2, 0, 4] is empty"),
    (annotation(bbox=[70, 2, 5, 4]), "warning", "is outside the image of 60x40"),
    (annotation(bbox=[50, 2, 25, 4]), "warning", "is partly outside the image of 60x40"),
    (annotation(segmentation=[[1, 2, 3, 4, 5]]), "fatal", "a polygon of 5 numbers"),
    (annotation(segmentation=[[1, 2, 3, 4]]), "fatal", "a polygon of 4 numbers"),
    (annotation(segmentation=[[1, 1, 5, 5, 9, 9]]), "warning", "a polygon of no area"),
    (annotation(segmentation=[[1, 1, 90, 5, 9, 9]]), "warning", "a polygon leaves the image"),
    (annotation(segmentation="x"), "fatal", "neither RLE nor a list of polygons"),
    (annotation(segmentation={"size": [60, 40], "counts": [2400]}), "fatal", "the RLE has the"),
    (annotation(segmentation={"size": [40, 60], "counts": [7]}), "fatal", "do not sum up to 2400"),
    (image(file_name="9.jpg"), "fatal", "9.jpg does not exist"),
    (image(id=1), "fatal", "images 0.jpg, 1.jpg have the same id 1"),
    (image(file_name="1.jpg"), "warning", "image 1.jpg is listed 2 times"),
    (image(width=0), "fatal", "image 0.jpg has a side of less than a pixel"),
    (lambda c: c["categories"][1].update(name="wolf"), "fatal", "no category is called 'dog'"),
    (lambda c: c["categories"].reverse(), "fatal", "the categories come as ['dog', 'cat']"),
    (lambda c: c["categories"][1].update(id=7), "fatal", "2 categories have the id 7"),
    (lambda c: c["categories"].append({"id": 3, "name": "cat"}), "fatal", "are called 'cat'"),
    (lambda c: c["annotations"].pop(), "warning", "no annotation of class 'dog'"),
    (lambda c: c["annotations"].clear(), "fatal", "no image has an object"),
]


@pytest.mark.parametrize(("fault", "level", "text"), FAULTS, ids=[text for _, _, text in FAULTS])
def test_every_fault_is_named(good, tmp_path, fault, level, text):
    fault(good)
    findings = check(good, tmp_path)
    assert [f for f in findings if f[0] == level and text in f[1]], findings


def test_classes_that_the_config_leaves_out_are_a_warning(good, tmp_path):
    (found,) = check(good, tmp_path, classes=["cat"])
    assert found == (
        "warning",
        "a.json: 1 annotations of 'dog', no class of the config, are left out",
    )


def test_an_id_of_0_is_no_fault_in_training(good, tmp_path):
    good["annotations"][0]["id"] = 0
    assert check(good, tmp_path, evaluated=False) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "no json"),
        ("[]", "a list, expected an object"),
        ('{"images": []}', "no list of annotations and categories"),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": []}',
            "images[0] lacks file_name",
        ),
    ],
)
def test_files_that_are_not_coco_are_named(tmp_path, content, text):
    (tmp_path / "a.json").write_text(content)
    nothing, ((level, found),) = read_coco(tmp_path / "a.json")
    assert nothing is None
    assert level == "fatal"
    assert text in found


def test_images_are_opened(good, tmp_path):
    assert (
        "60x40 pixels, its annotations say 40x60" in read_image(tmp_path / "0.jpg", (40, 60))[0][1]
    )
    whole = (tmp_path / "0.jpg").read_bytes()
    (tmp_path / "0.jpg").write_bytes(whole[:-40])
    assert "truncated, or no image" in read_image(tmp_path / "0.jpg", (60, 40))[0][1]
    (tmp_path / "0.jpg").write_bytes(b"")
    assert read_image(tmp_path / "0.jpg")[0][0] == "fatal"
