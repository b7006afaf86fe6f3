"""What `test.py --out` writes for detection is what mmdet's own metric would."""

import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric

from convnextv2.detection.results import CocoResults, find_test_ids

CLASSES, IDS = ("box", "disc"), [7, 3]


@pytest.fixture
def samples():
    """Of two images, the second without an object."""
    masks = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)) > 0.6
    found = {
        "bboxes": torch.tensor([[1.5, 2, 9, 8.25], [0, 0, 30, 20], [3, 3, 4, 4]]),
        "scores": torch.tensor([0.9, 0.5, 0.1]),
        "labels": torch.tensor([1, 0, 1]),
        "masks": masks,
    }
    empty = {key: value[:0] for key, value in found.items()}
    shape = {"ori_shape": (20, 30)}
    return [
        {"img_id": 5, **shape, "pred_instances": found},
        {"img_id": 2, **shape, "pred_instances": empty},
    ]


@pytest.fixture
def ann_file(tmp_path):
    """Categories in the order of the classes."""
    content = {
        "images": [{"id": i, "height": 20, "width": 30, "file_name": f"{i}"} for i in (5, 2)],
        "categories": [{"id": i, "name": n} for i, n in zip(IDS, CLASSES, strict=True)],
        "annotations": [],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("change", ["none", "scored", "without"])
def test_files_are_those_of_mmdet(change, samples, ann_file, tmp_path):
    for sample in samples:
        found = sample["pred_instances"]
        if change == "scored":
            found["mask_scores"] = found["scores"] / 2
        if change == "without":
            del found["masks"]
    theirs = CocoMetric(str(ann_file), format_only=True, outfile_prefix=str(tmp_path / "theirs"))
    theirs.dataset_meta = {"classes": CLASSES}
    ours = CocoResults(tmp_path, CLASSES, IDS)
    for metric in (theirs, ours):
        metric.process({}, samples)
        assert not metric.evaluate(2)
    for kind in ("bbox", "segm"):
        path, expected = tmp_path / f"results.{kind}.json", tmp_path / f"theirs.{kind}.json"
        assert path.exists() == expected.exists() == (kind == "bbox" or change != "without")
        if path.exists():
            expected = json.loads(expected.read_text())
            if kind == "segm":  # pycocotools would measure areas by the boxes
                expected = [{k: v for k, v in e.items() if k != "bbox"} for e in expected]
            assert json.loads(path.read_text()) == expected
            assert len(expected) == 3


def test_a_class_without_a_category_is_refused(ann_file):
    from mmdet.datasets import CocoDataset

    def load(classes):
        return CocoDataset(
            ann_file=str(ann_file),
            data_prefix={"img": ""},
            metainfo={"classes": classes},
            test_mode=True,
        )

    assert find_test_ids([load(CLASSES)]) == IDS
    assert find_test_ids([type("Others", (), {"metainfo": {"classes": CLASSES}})()]) == [0, 1]
    with pytest.raises(SystemExit, match="has 2 of the 3 classes"):
        find_test_ids([load(CLASSES), load((*CLASSES, "ring"))])
    assert np.array_equal(load(CLASSES).cat_ids, IDS)
