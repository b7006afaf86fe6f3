"""mIoU, mAcc and aAcc as the configs compute them equal a plain loop over all pixels."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import METRICS, TRANSFORMS, init_default_scope

REPO = Path(__file__).resolve().parents[2]
ADE = REPO / "configs/segmentation/upernet_convnextv2-tiny_8xb2-160k-fcmae-ft_ade20k-512x512.py"
DEMO = REPO / "configs/segmentation/upernet_convnextv2-atto_demo-nuclei.py"

CLASSES = ("wall", "sky", "tree", "road", "lake", "none")
LAKE, NONE = 4, 5  # the first is predicted and never there, the second neither


@pytest.fixture(scope="module", params=[ADE, DEMO], ids=["ade20k", "demo"])
def case(request, tmp_path_factory):
    """A metric as a config has it, files with labels, and predictions.

    In the files of ADE20K 0 is what nobody labelled and the classes begin at 1; the demo's begin
    at 0. 255 is ignored in both.
    """
    cfg = Config.fromfile(request.param)
    init_default_scope(cfg.default_scope)
    (load,) = (
        s for s in cfg.test_dataloader.dataset.pipeline if s.type == "convnextv2.LoadLabelMask"
    )
    first = 1 if load.get("reduce_zero_label") else 0
    rng = np.random.default_rng(first)
    folder = tmp_path_factory.mktemp("labels")
    truths, predictions = [], []
    for i, shape in enumerate([(30, 40), (41, 17), (9, 9), (20, 20)]):
        truth = rng.choice([first, first + 1, first + 2, first + 3], shape, p=[0.5, 0.3, 0.1, 0.1])
        right = rng.random(shape) < 0.6
        prediction = np.where(right, truth - first, rng.integers(0, NONE, shape))
        truth[rng.random(shape) < 0.1] = 255
        if first:
            truth[rng.random(shape) < 0.1] = 0
        if i == 2:
            truth[:] = 255  # nothing to compare with in the whole image
        cv2.imwrite(str(folder / f"{i}.png"), truth.astype(np.uint8))
        truths.append(truth)
        predictions.append(prediction)
    metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = {"classes": CLASSES}
    load = TRANSFORMS.build(load)
    for i, prediction in enumerate(predictions):
        path = str(folder / f"{i}.png")
        results = {"seg_map_path": path, "reduce_zero_label": bool(first), "seg_fields": []}
        results["label_map"] = None
        truth = load(results)["gt_seg_map"]
        sample = {
            "gt_sem_seg": {"data": torch.from_numpy(truth[None].astype(np.int64))},
            "pred_sem_seg": {"data": torch.from_numpy(prediction[None])},
        }
        metric.process({}, [sample])
    return metric, truths, predictions, first


def count(truths, predictions, first):
    """Pixels of each class, one after the other: right, in the truth, predicted."""
    right, there, said = ([0] * len(CLASSES) for _ in range(3))
    for truth, prediction in zip(truths, predictions, strict=True):
        for value, label in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
            if value == 255 or (first == 1 and value == 0):
                continue  # whatever is predicted there
            there[value - first] += 1
            said[label] += 1
            right[label] += label == value - first
    return right, there, said


def mean(values):
    return sum(values) / len(values)


def test_the_scores_are_those_of_the_definition(case):
    metric, truths, predictions, first = case
    right, there, said = count(truths, predictions, first)
    assert there[LAKE] == there[NONE] == said[NONE] == 0 < said[LAKE]
    # A class that is neither there nor predicted has no IoU; one that is only predicted has 0,
    # and counts. The accuracy leaves out both.
    union = [a + b - c for a, b, c in zip(there, said, right, strict=True)]
    iou = [c / u if u else math.nan for c, u in zip(right, union, strict=True)]
    assert iou[LAKE] == 0
    assert math.isnan(iou[NONE])
    mean_iou = mean([value for value in iou if not math.isnan(value)])
    mean_accuracy = mean([c / t for c, t in zip(right, there, strict=True) if t])
    accuracy = sum(right) / sum(there)

    sums = [sum(areas) for areas in zip(*metric.results, strict=True)]
    for area, expected in zip(sums, (right, union, said, there), strict=True):
        assert area.tolist() == expected
    scores = metric.total_area_to_metrics(*sums)
    np.testing.assert_allclose(scores["IoU"], iou, rtol=1e-6)
    logged = metric.evaluate(len(truths))
    there = {f"IoU_{name}": 100 * value for name, value in zip(CLASSES, iou, strict=True)}
    del there["IoU_none"]  # json has no such number
    assert logged.keys() == {"aAcc", "mIoU", "mAcc", *there}
    for name, value in there.items():
        assert logged[name] == pytest.approx(value, abs=0.0051)
    assert logged["mIoU"] == pytest.approx(100 * mean_iou, abs=0.0051)  # two digits are logged
    assert logged["mAcc"] == pytest.approx(100 * mean_accuracy, abs=0.0051)
    assert logged["aAcc"] == pytest.approx(100 * accuracy, abs=0.0051)
    # The other ways to treat absent classes would have been noticed.
    for other in (mean(iou[:LAKE]), mean([*iou[:NONE], 0])):
        assert abs(other - mean_iou) > 0.01
    assert abs(accuracy - mean_accuracy) > 0.005
