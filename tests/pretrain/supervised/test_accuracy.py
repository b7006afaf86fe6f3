"""Accuracy is that of a direct count, in any number of processes."""

import numpy as np
import pytest
import torch

from convnextv2.pretrain.supervised import Accuracy

CLASSES = 12


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(80):
        scores = torch.from_numpy(rng.integers(0, 9, CLASSES) / 8)  # many score the same
        label = torch.tensor([int(rng.integers(CLASSES - 2))])  # two classes have no image
        rows.append({"gt_label": label, "pred_scores": scores, "pred_label": scores.argmax()})
    return rows


def count(rows, most):
    """Of each image, whether its class is among the `most` best, the first of equal ones first."""
    right = []
    for row in rows:
        scores = row["pred_scores"].tolist()
        best = sorted(range(CLASSES), key=lambda label: (-scores[label], label))[:most]
        right.append(int(row["gt_label"]) in best)
    return np.array(right)


def test_scores_are_those_of_a_direct_count(found):
    metric = Accuracy()
    for row in found:
        metric.process({}, [row])
    scores = metric.evaluate(len(found))
    right = count(found, 1)
    assert scores["accuracy/top1"] == pytest.approx(100 * right.mean())
    assert scores["accuracy/top5"] == pytest.approx(100 * count(found, 5).mean())
    labels = np.array([int(row["gt_label"]) for row in found])
    each = [right[labels == label].mean() for label in np.unique(labels)]
    assert scores["accuracy/mean_class"] == pytest.approx(100 * np.mean(each))


def test_images_that_fill_up_the_last_batch_of_a_process_are_not_counted(found):
    metric = Accuracy()
    metric.process({}, [*found, *found[:3]])  # as a sampler repeats the first ones
    alone = Accuracy()
    alone.process({}, found)
    assert metric.evaluate(len(found)) == alone.evaluate(len(found))


def test_there_is_no_top5_of_few_classes():
    metric = Accuracy()
    scores = torch.tensor([0.2, 0.8])
    metric.process({}, [{"gt_label": torch.tensor([1]), "pred_scores": scores}])
    assert set(metric.evaluate(1)) == {"accuracy/top1", "accuracy/mean_class"}


def test_a_network_that_has_diverged_is_never_right():
    metric = Accuracy()
    scores = torch.full((CLASSES,), torch.nan)
    metric.process({}, [{"gt_label": torch.tensor([i]), "pred_scores": scores} for i in range(3)])
    assert set(metric.evaluate(3).values()) == {0.0}
