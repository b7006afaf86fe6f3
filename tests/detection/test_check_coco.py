"""Each fault of COCO annotations is named, and nothing else."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from convnextv2.detection.check import check_coco
from convnextv2.detection.check_json import read_coco


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
    square = [[35, 5, 55, 5, 55, 20, 35, 20]]
    annotations = [
        {**box, "id": 1, "image_id": 0, "bbox": [35, 5, 20, 15], "segmentation": square},
        {**box, "id": 2, "image_id": 0, "segmentation": rle},
        {
            **box,
            "id": 3,
            "image_id": 1,
            "iscrowd": 1,
            "segmentation": {"size": [40, 60], "counts": counts},
        },
        {
            **box,
            "id": 4,
            "image_id": 1,
            "category_id": 9,
            "bbox": [50, 30, 10.4, 10.3],
            "area": 107,
        },
    ]
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 40, "width": 60} for i in range(3)]
    categories = [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def check(content, tmp_path, classes=("cat", "dog"), evaluated=True, masks=False):
    """Levels and lines of what is found, as of a file that is read."""
    (tmp_path / "a.json").write_text(json.dumps(content))
    kept, findings = read_coco(tmp_path / "a.json")
    findings += check_coco(kept, "a.json", tmp_path, classes, evaluated, masks)
    return [(finding.level, str(finding)) for finding in findings]


def test_good_annotations_have_no_faults(good, tmp_path):
    assert check(good, tmp_path) == []


def annotation(**changes):
    return lambda content: content["annotations"][0].update(changes)


def image(**changes):
    return lambda content: content["images"][0].update(changes)


FAULTS = [
    (annotation(id=0), "fatal", "an annotation has the id 0"),
    (annotation(id=2), "fatal", "2 annotations have the id 2"),
    (annotation(image_id=99), "fatal", "annotation 1 is of image 99, not listed"),
    (annotation(category_id=5), "fatal", "annotation 1 of 0.jpg has the category 5, not listed"),
    (annotation(bbox=[1, 2, 3]), "fatal", "expected four finite numbers"),
    (annotation(bbox=[1, 2, float("nan"), 3]), "fatal", "expected four finite numbers"),
    (annotation(bbox=None), "fatal", "annotation 1 of 0.jpg: bbox is null"),
    (lambda c: c["annotations"][0].pop("area"), "fatal", "annotation 1 of 0.jpg lacks 'area'"),
    (annotation(area="300"), "fatal", "area is '300'"),
    (annotation(area=0), "warning", "area 0: it will be left out"),
    (annotation(area=3000), "warning", "area 3000 is more than that of its box"),
    (annotation(area=0.02), "warning", "area 0.02 is next to nothing"),
    (annotation(id="a"), "fatal", "id 'a' is no whole number"),
    (annotation(image_id=0.0), "fatal", "image_id 0.0 is no whole number"),
    (annotation(category_id=-1), "fatal", "category_id -1 is no whole number"),
    (annotation(iscrowd=2), "fatal", "iscrowd is 2"),
    (annotation(ignore=1), "note", "'ignore' is set"),
    (lambda c: c["annotations"][0].pop("iscrowd"), "note", "lacks 'iscrowd'"),
    (annotation(bbox=[36, 6, 0.5, 9]), "warning", "has a side of less than a pixel"),
    (annotation(bbox=[36, 6, 1.5, 9], area=13), "warning", "a side of less than 2 pixels"),
    (annotation(bbox=[36, 6, 3, 9], area=27), "note", "a side of less than 4 pixels"),
    (annotation(bbox=[10, 5, 20, 15]), "warning", "the same box as annotation 1"),
    (annotation(bbox=[5, 20, 20, 15]), "warning", "is not that of its own mask, [35, 5, 20, 15]"),
    (annotation(bbox=[35, 5, 55, 20]), "fatal", "has the corners x1, y1, x2, y2 of its own mask"),
    (annotation(bbox=[45, 12.5, 20, 15]), "fatal", "begins in the centre of its own mask"),
    (annotation(bbox=[1, 2, -3, 4]), "warning", "box [1, 2, -3, 4] is empty"),
    (annotation(bbox=[1, 2, 0, 4]), "warning", "box [1, 2, 0, 4] is empty"),
    (annotation(bbox=[70, 2, 5, 4]), "warning", "is outside the image of 60x40"),
    (annotation(bbox=[50, 2, 25, 4]), "warning", "is partly outside the image of 60x40"),
    (annotation(segmentation=[[1, 2, 3, 4, 5]]), "fatal", "a polygon of 5 numbers"),
    (annotation(segmentation=[[1, 2, 3, 4]]), "fatal", "a polygon of 4 numbers"),
    (annotation(segmentation=[[1, 1, 5, 5, 9, 9]]), "warning", "a polygon of no area"),
    (annotation(segmentation=[[1, 1, 90, 5, 9, 9]]), "warning", "a polygon leaves the image"),
    (annotation(segmentation=[[9, 9, 9.4, 9, 9.4, 9.4]]), "warning", "its mask has no pixel"),
    (annotation(segmentation=[[[1, 1], [5, 5], [9, 9]]]), "fatal", "of points, not of numbers"),
    (annotation(segmentation=[1, 1, 5, 1, 5, 5]), "fatal", "one polygon; write it in a list"),
    (annotation(segmentation={"size": [40, 60], "counts": "f0"}), "fatal", "its counts are of"),
    (annotation(segmentation={"size": [40, 60], "counts": "é"}), "fatal", "cannot be decoded"),
    (annotation(segmentation={"size": [40, 60], "counts": [2400]}), "warning", "mask is empty"),
    (annotation(segmentation="x"), "fatal", "neither RLE nor a list of polygons"),
    (annotation(segmentation={"size": [60, 40], "counts": [2400]}), "fatal", "the RLE has the"),
    (annotation(segmentation={"size": [40, 60], "counts": [7]}), "fatal", "do not sum up to 2400"),
    (image(file_name="9.jpg"), "fatal", "9.jpg does not exist"),
    (image(id=1), "fatal", "images 0.jpg, 1.jpg have the same id 1"),
    (image(file_name="1.jpg"), "warning", "image 1.jpg is listed 2 times"),
    (image(width=0), "fatal", "image 0.jpg has a side of less than a pixel"),
    (image(width="60"), "fatal", "image 0.jpg has the size '60'x40"),
    (image(file_name=None), "fatal", "file_name is None"),
    (image(file_name="0.png"), "fatal", "0.png does not exist; there is 0.jpg"),
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


def test_masks_that_are_wanted_must_be_there(good, tmp_path):
    found = check(good, tmp_path, masks=True)
    assert found == [
        ("fatal", "a.json: annotation 4 of 1.jpg: no segmentation, but the config wants masks")
    ]


def test_entries_without_sense_are_named_and_the_others_still_checked(good, tmp_path):
    good["annotations"][0] = "x"
    del good["images"][2]["height"]
    good["annotations"][3]["bbox"] = [500, 2, 5, 5]
    texts = "\n".join(text for _, text in check(good, tmp_path))
    assert "annotations[0] is 'x', expected an object" in texts
    assert "image 2.jpg lacks height" in texts
    assert "annotation 4 of 1.jpg: box [500, 2, 5, 5] is outside" in texts


def test_classes_that_the_config_leaves_out_are_a_warning(good, tmp_path):
    (found,) = check(good, tmp_path, classes=["cat"])
    assert found == (
        "warning",
        "a.json: 1 annotations of 'dog', no class of the config, are left out",
    )


def test_an_id_of_0_is_no_fault_in_training(good, tmp_path):
    good["annotations"][0]["id"] = 0
    ((level, _),) = check(good, tmp_path, evaluated=False)
    assert level == "note"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "no json"),
        ("[]", "a list, expected an object"),
        ('{"images": []}', "no list of annotations and categories"),
        ("", "0 bytes"),
    ],
)
def test_files_that_are_not_coco_are_named(tmp_path, content, text):
    (tmp_path / "a.json").write_text(content)
    nothing, (found,) = read_coco(tmp_path / "a.json")
    assert nothing is None
    assert found.level == "fatal"
    assert text in str(found)
