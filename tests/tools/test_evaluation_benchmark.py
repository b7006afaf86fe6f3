"""benchmark.py evaluation: the same numbers from every contestant, and what it took them."""

import json

import pytest
from processes import run

from convnextv2.engine.errors import InputError
from convnextv2.tools.analysis_tools.benchmarks.evaluation import KINDS, compare, generate


@pytest.mark.slow
def test_figures_of_a_small_run(tmp_path):
    args = ["--images", 8, "--detections", 12, "--json", "figures.json"]
    status, output = run(tmp_path, "analysis_tools/benchmark.py", "evaluation", *args)
    assert status == 0, output
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert {"pycocotools", "hotcoco", "this project"} <= rows.keys()
    for row in rows.values():
        assert row["both_s"] > 0
        assert row["mb"] > 50
        assert all(0.01 < row["numbers"][kind][0] < 0.99 for kind in KINDS)


def test_numbers_that_differ_are_refused():
    same = {"numbers": {kind: [0.5, 0.25] for kind in KINDS}, "tolerance": 1e-9}
    other = {**same, "numbers": {**same["numbers"], "segm": [0.5, 0.251]}}
    compare({"pycocotools": same, "this project": same})
    with pytest.raises(InputError, match=r"this project: segm 0\.251, pycocotools says 0\.25"):
        compare({"pycocotools": same, "this project": other})
    compare({"pycocotools": same, "this project": {**other, "tolerance": 0.002}})


def test_generated_boxes_are_those_of_their_masks(tmp_path):
    from pycocotools import mask

    generate(tmp_path, images=2, detections=5)
    truth = json.loads((tmp_path / "truth.json").read_text())["annotations"]
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(truth) == 2 * 7
    assert len(found) == 2 * 5
    for entry in [*truth, *found]:
        assert entry["bbox"] == mask.toBbox(entry["segmentation"]).tolist()
