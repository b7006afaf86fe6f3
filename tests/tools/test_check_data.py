"""From the templates to a training on data of one's own, and what keeps it from starting."""

import json
import shutil

import cv2
import numpy as np
import pytest
from processes import run

pytestmark = pytest.mark.slow

DETECTION = "detection/mask-rcnn_convnextv2_fpn_custom.py"
SEGMENTATION = "segmentation/upernet_convnextv2_custom.py"
# Only to be done in seconds: a small network from scratch, small crops, two iterations.
FAST = ["arch=atto", "weights=None", "image_size=64", "iterations=2", "batch_size=2"]
ALONE = ["train_dataloader.num_workers=0", "val_dataloader.num_workers=0"]


@pytest.fixture
def data(cwd, tmp_path):
    """The generated shapes in a folder of their own, as COCO json and as masks."""
    root = tmp_path / "my_data"
    shutil.copytree(cwd / "shapes", root)
    for split in ("train", "val"):
        for path in (root / split).glob("*.png"):
            shutil.move(path, path.with_name(f"{split}-{path.name}"))
        for path in (root / f"{split}_labels").glob("*.png"):
            shutil.move(path, path.with_name(f"{split}-{path.name}"))
        content = json.loads((root / f"{split}.json").read_text())
        for image in content["images"]:
            image["file_name"] = f"{split}-{image['file_name']}"
        (root / f"{split}.json").write_text(json.dumps(content))
    return root


def write_child(template, folder, lines):
    """A config of the user's own, in a folder of the user's own."""
    path = folder / "mine.py"
    path.write_text(f"_base_ = 'convnextv2::{template}'\n{lines}")
    return path


@pytest.fixture
def detection(data):
    return write_child(DETECTION, data.parent, f"data_root = '{data}'\nclasses = ('box', 'disc')\n")


@pytest.fixture
def segmentation(data):
    lines = (
        f"data_root = '{data}'\n"
        "train = dict(images='train', masks='train_labels')\n"
        "val = dict(images='val', masks='val_labels')\n"
        "classes = ('ground', 'box', 'disc')\n"
    )
    return write_child(SEGMENTATION, data.parent, lines)


def check_data(config, cwd):
    return run(cwd, "dataset_converters/check_data.py", config, "--out", "check")


def test_detection_from_template_to_weights(detection, data):
    cwd = data.parent
    status, output = check_data(detection, cwd)
    assert status == 0, output
    assert "0 fatal, 0 warnings" in output
    for name in ("histograms", "samples"):
        assert cv2.imread(str(cwd / f"check/{name}.png")).std() > 10
    options = ["--cfg-options", *FAST, *ALONE]
    status, output = run(cwd, "train.py", detection, "--work-dir", "work", *options)
    assert status == 0, output
    assert (cwd / "work/iter_2.pth").is_file()
    assert "coco/segm_mAP" in output


def test_segmentation_from_template_to_weights(segmentation, data):
    cwd = data.parent
    status, output = check_data(segmentation, cwd)
    assert status == 0, output
    assert "0 fatal, 0 warnings" in output
    assert "disc" in output
    options = ["--cfg-options", *FAST, *ALONE]
    status, output = run(cwd, "train.py", segmentation, "--work-dir", "work", *options)
    assert status == 0, output
    assert (cwd / "work/iter_2.pth").is_file()
    assert "mIoU" in output


def test_faults_of_a_detection_set_are_named_and_refused(detection, data):
    content = json.loads((data / "train.json").read_text())
    content["annotations"][0]["segmentation"] = [[1, 2, 3]]
    content["annotations"][3]["bbox"] = [500, 2, 3, 4]
    (data / "train.json").write_text(json.dumps(content))
    damaged = data / "train/train-2.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    shutil.copy(data / "val/val-0.png", data / "train/train-4.png")  # same size, other name
    (data / "val/val-1.png").unlink()
    status, output = check_data(detection, data.parent)
    assert status == 1
    for text in (
        "annotation 1 of train-0.png: a polygon of 3 numbers",
        "annotation 4 of train-1.png: box [500, 2, 3, 4] is outside the image",
        f"{damaged}: truncated, or no image",
        f"in training and elsewhere: {data}/train/train-4.png is {data}/val/val-0.png",
        f"{data}/val/val-1.png does not exist",
        "3 fatal, 3 warnings",
    ):
        assert text in output
    rows = json.loads((data.parent / "check/findings.json").read_text())
    assert [row["level"] for row in rows] == ["fatal"] * 3 + ["warning"] * 3
    assert cv2.imread(str(data.parent / "check/samples.png")).std() > 10
    status, output = run(data.parent, "train.py", detection)
    assert status == 1
    assert "The data cannot be trained on" in output
    assert "a polygon of 3 numbers" in output
    assert "python tools/dataset_converters/check_data.py" in output
    assert not (data.parent / "work_dirs").exists()


def test_faults_of_masks_are_named_and_refused(segmentation, data):
    labels = cv2.imread(str(data / "train_labels/train-0.png"), -1)
    labels[0, 0] = 9
    cv2.imwrite(str(data / "train_labels/train-0.png"), labels)
    cv2.imwrite(str(data / "val_labels/val-0.png"), np.zeros((5, 5), np.uint8))
    (data / "train_labels/train-3.png").unlink()
    cv2.imwrite(str(data / "val_labels/left.png"), labels)
    status, output = check_data(segmentation, data.parent)
    assert status == 1
    for text in (
        "train-0.png: holds the value 9 (1 pixels); the 3 classes are 0 to 2",
        f"its mask {data}/val_labels/val-0.png 5x5",
        "train-3.png does not exist",
        "left.png: a mask without an image",
        "3 fatal, 1 warnings",
    ):
        assert text in output
    status, output = run(data.parent, "train.py", segmentation)
    assert status == 1
    assert "train-3.png does not exist" in output


def test_classes_and_data_must_agree(detection, data):
    options = ["--cfg-options", "model.roi_head.bbox_head.num_classes=80"]
    status, output = run(data.parent, "train.py", detection, *options)
    assert status == 1
    assert "roi_head.bbox_head.num_classes is 80, but classes makes it 2" in output
    detection.write_text(detection.read_text().replace("'disc')", "'disk')"))
    status, output = run(data.parent, "train.py", detection)
    assert status == 1
    assert "no category is called 'disk', only 'box', 'disc'" in output
