"""benchmark.py detector and segmentor: whole models in turns, and the parts of a training step."""

import json

import numpy as np
import pytest
import torch
from processes import REPO, run

from convnextv2.tools.analysis_tools.benchmarks.whole_models import label_objects, label_pixels

DETECTOR = "detection/mask-rcnn_convnextv2-atto_fpn_8xb4-lsj-3x-fcmae_coco.py"
SEGMENTOR = "segmentation/upernet_convnextv2-atto_8xb2-160k-fcmae-ft_ade20k-512x512.py"


def test_generated_objects_have_the_boxes_of_their_masks():
    sample = label_objects((96, 160), 3)
    for mask, box in zip(sample.gt_instances.masks.masks, sample.gt_instances.bboxes, strict=True):
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(found, box, atol=3)
    again = label_objects((96, 160), 3)
    assert (again.gt_instances.masks.masks == sample.gt_instances.masks.masks).all()
    other = label_objects((96, 160), 4)
    assert not torch.equal(other.gt_instances.bboxes, sample.gt_instances.bboxes)


def test_generated_pixels_are_of_the_heads_classes():
    labels = label_pixels((70, 100), 0, 5).gt_sem_seg.data
    assert labels.shape == (1, 70, 100)
    assert set(np.unique(labels)) <= set(range(5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "parts"),
    [
        ("detector", DETECTOR, {"backbone", "neck", "heads and losses", "heads"}),
        ("segmentor", SEGMENTOR, {"backbone", "heads and losses", "heads"}),
    ],
)
def test_figures_of_a_small_run(tmp_path, kind, name, parts):
    args = ["--shape", 64, 96, "--repeats", 1, "--only", "this", "--json", "figures.json"]
    config = REPO / "configs" / name
    status, output = run(tmp_path, "analysis_tools/benchmark.py", kind, config, *args)
    assert status == 0, output
    content = json.loads((tmp_path / "figures.json").read_text())
    assert [f["name"] for f in content["figures"]] == ["plain", "this project"]
    for figures in content["figures"]:
        seconds = figures.pop("seconds_by_part")
        assert {part.split(", ")[1] for part in seconds} == parts
        assert all(value > 0 for value in seconds.values())


@pytest.mark.slow
def test_a_config_without_arch_is_refused(tmp_path):
    config = tmp_path / "other.py"
    config.write_text(
        f"_base_ = '{REPO}/configs/{SEGMENTOR}'\nmodel = dict(backbone=dict(arch='x'))"
    )
    status, output = run(tmp_path, "analysis_tools/benchmark.py", "segmentor", config)
    assert status != 0
    assert "no ConvNeXtV2 of atto" in output
