"""What `test.py --out` writes for segmentation is what mmseg's own metric would."""

import cv2
import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from convnextv2.segmentation.results import LabelMaps, check_names


@pytest.mark.parametrize("offset", [0, 1])
def test_files_are_those_of_mmseg(offset, tmp_path):
    samples = [
        {
            "img_path": f"deep/{name}.x.jpg",
            "reduce_zero_label": bool(offset),
            "pred_sem_seg": {"data": torch.randint(0, 9, (1, 20, 30))},
        }
        for name in ("a", "b")
    ]
    theirs = IoUMetric(format_only=True, output_dir=str(tmp_path / "theirs"))
    theirs.dataset_meta = {"classes": tuple("abcdefghi")}
    ours = LabelMaps(tmp_path / "ours", offset)
    for metric in (theirs, ours):
        metric.process({}, samples)
        assert not metric.evaluate(2)
    for name in ("a.x.png", "b.x.png"):
        expected, got = (
            cv2.imread(str(tmp_path / folder / name), cv2.IMREAD_UNCHANGED)
            for folder in ("theirs", "ours")
        )
        assert got.dtype == np.uint8
        assert np.array_equal(got, expected)
    assert len(list((tmp_path / "ours").iterdir())) == 2


def test_images_of_one_name_are_refused():
    check_names(["a/1.jpg", "a/2.jpg"])
    with pytest.raises(SystemExit, match="2 images share a name"):
        check_names(["a/1.jpg", "b/1.png", "a/2.jpg"])
