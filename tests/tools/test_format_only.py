"""What `test.py --out` writes can be read by others, also where there is no ground truth."""

import json
import shutil

import cv2
import numpy as np
import pytest
from processes import REPO, config, run, run_shell
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def secret(cwd, tmp_path_factory):
    """A copy of the folder, with lists of images alone, too: what a contest hands out."""
    folder = tmp_path_factory.mktemp("secret")
    shutil.copytree(cwd / "shapes", folder / "shapes")
    content = json.loads((folder / "shapes/val.json").read_text())
    content.pop("annotations")
    (folder / "test-dev.json").write_text(json.dumps(content))
    content["categories"].pop()
    (folder / "other.json").write_text(json.dumps(content))
    return folder


def read(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_detections_are_the_same_without_ground_truth(secret, untrained):
    args = config("mask-rcnn"), untrained("mask-rcnn")
    status, output = run(secret, "test.py", *args, "--work-dir", "work_dirs/f", "--out", "with")
    assert status == 0, output
    without = "test_dataloader.dataset.ann_file=../test-dev.json"
    status, output = run_shell(
        secret,
        "bash",
        REPO / "tools/dist_test.sh",
        *args,
        2,
        *("--work-dir", "work_dirs/f", "--out", "without", "--format-only"),
        *("--cfg-options", without),
    )
    assert status == 0, output
    assert "coco/bbox_mAP" not in output
    assert read(secret / "without") == read(secret / "with")
    assert sorted(read(secret / "with")) == ["results.bbox.json", "results.segm.json"]


def test_mask_results_are_measured_by_their_masks(secret, untrained):
    """pycocotools alone, given the file, has the very numbers that the log has."""
    args = config("mask-rcnn"), untrained("mask-rcnn"), "--work-dir", "work_dirs/n", "--out", "n"
    status, output = run(secret, "test.py", *args)
    assert status == 0, output
    (log,) = (p for p in (secret / "work_dirs/n").glob("*/*.json") if p.stem == p.parent.name)
    logged = json.loads(log.read_text().splitlines()[-1])
    truth = COCO(secret / "shapes/val.json")
    for kind in ("bbox", "segm"):
        found = truth.loadRes(str(secret / f"n/results.{kind}.json"))
        keys = {"bbox": {"bbox"}, "segm": {"segmentation"}}[kind]
        assert found.anns[1].keys() >= {"image_id", "category_id", "score", *keys}
        if kind == "segm":
            areas = [mask.sum() for mask in map(found.annToMask, found.anns.values())]
            assert [entry["area"] for entry in found.anns.values()] == areas
        evaluator = COCOeval(truth, found, kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        assert logged[f"coco/{kind}_mAP"] == round(evaluator.stats[0], 3)


@pytest.mark.parametrize("tta", [(), ("--tta",)])
def test_label_maps_are_the_same_without_ground_truth(secret, untrained, tta):
    args = config("upernet"), untrained("upernet"), "--work-dir", "work_dirs/f", *tta
    status, output = run(secret, "test.py", *args, "--out", "maps-with")
    assert status == 0, output
    (secret / "shapes/val_labels").rename(secret / "away")
    try:
        status, output = run(secret, "test.py", *args, "--out", "maps-without", "--format-only")
    finally:
        (secret / "away").rename(secret / "shapes/val_labels")
    assert status == 0, output
    assert "aAcc" not in output
    assert read(secret / "maps-without") == read(secret / "maps-with")
    for content in read(secret / "maps-with").values():
        labels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        assert labels.dtype == np.uint8
        assert labels.ndim == 2
        assert set(np.unique(labels)) <= {1, 2}  # as in the data set's files: 0 is no class


def test_nothing_starts_that_could_not_be_written(secret, untrained, tmp_path):
    def test(name, *args):
        return run(secret, "test.py", config(name), untrained(name), *args)

    status, output = test("upernet", "--format-only")
    assert status == 2, output
    assert "--format-only writes files: say where, --out DIR" in output
    status, output = test(
        *("mask-rcnn", "--format-only", "--out", "none", "--cfg-options"),
        "test_dataloader.dataset.ann_file=../other.json",
    )
    assert status == 1, output
    assert "other.json has 1 of the 2 classes among its categories" in output
    for path in ("a/0.png", "b/0.png"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes((secret / "shapes/val/0.png").read_bytes())
    status, output = test(
        *("upernet", "--format-only", "--out", "none", "--cfg-options"),
        f"test_dataloader.dataset.data_prefix.img_path={tmp_path}",
    )
    assert status == 1, output
    assert "2 images share a name, such as" in output
    assert f"{tmp_path}/b/0.png" in output
