"""What a classifier finds, as files and in the report."""

import csv
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from convnextv2.pretrain.supervised.report import ClassificationReview
from convnextv2.pretrain.supervised.results import ClassesWriter, ClassResults
from convnextv2.pretrain.supervised.samples import ClassSample
from convnextv2.pretrain.supervised.task import TASK
from convnextv2.results import Prediction

NAMES = ["cat", "dog", "hen", "owl", "pig", "rat", "yak"]
SCORES = [0.05, 0.3, 0.02, 0.4, 0.1, 0.09, 0.04]
BEST = ["owl", "dog", "pig", "rat", "cat"]


@pytest.fixture
def sample():
    scores = torch.tensor(SCORES)
    return ClassSample(
        pred_scores=scores, pred_label=scores.argmax(keepdim=True), gt_label=torch.tensor([1])
    )


def test_five_best_classes_of_each_image_are_written(tmp_path, sample):
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 2] = 200  # red, as BGR
    with ClassesWriter(SimpleNamespace(classes=NAMES), tmp_path) as writer:
        for number in (1, 2):
            writer.add(Prediction("a.jpg", image, sample), number, f"sub/{number}.jpg")
    results = json.loads((tmp_path / "results.json").read_text())
    assert [entry["file_name"] for entry in results] == ["sub/1.jpg", "sub/2.jpg"]
    assert [one["class"] for one in results[0]["classes"]] == BEST
    assert [one["score"] for one in results[0]["classes"]] == sorted(SCORES)[::-1][:5]
    rows = list(csv.reader((tmp_path / "results.csv").open()))
    assert rows[0][:3] == ["file_name", "class_1", "score_1"]
    assert rows[2] == [
        "sub/2.jpg",
        *(str(v) for pair in zip(BEST, sorted(SCORES)[::-1][:5], strict=True) for v in pair),
    ]
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert (sheet[:20, :20] == (0, 0, 200)).all()  # red pictures, of two columns
    assert sheet.shape[1] == 400


def test_a_test_set_becomes_one_json(tmp_path, sample):
    metric = ClassResults(tmp_path, NAMES)
    metric.process({}, [{"img_path": "x/1.jpg", "pred_scores": sample.pred_scores}])
    metric.evaluate(1)
    (entry,) = json.loads((tmp_path / "results.classes.json").read_text())
    assert entry["file_name"] == "x/1.jpg"
    assert [one["label"] for one in entry["classes"]] == [NAMES.index(name) for name in BEST]


def test_pictures_name_what_was_found_and_what_is_true(sample):
    picture = np.full((30, 40, 3), 128, np.uint8)
    palette = [(255, 0, 0)] * len(NAMES)
    plain = TASK.draw_found(picture, sample, palette)
    assert (plain == picture).all()
    named = TASK.draw_found(picture, sample, palette, names=NAMES, score_thr=0.2)
    assert named.shape == (150 + 6 * 18 + 4, 200, 3)  # enlarged; five lines and the true one
    assert (named[150:] < 255).any()
    # Frames of a video are of one size, however many classes score enough.
    fewer = TASK.draw_found(picture, sample, palette, names=NAMES, score_thr=0.9)
    assert fewer.shape == named.shape
    assert (fewer != named).any()


def test_names_that_are_no_text_are_written_all_the_same(tmp_path, sample):
    odd = "caf\udce9.jpg"  # bytes of another encoding, as os.listdir gives them
    with ClassesWriter(SimpleNamespace(classes=NAMES), tmp_path) as writer:
        writer.add(Prediction(odd, np.zeros((40, 60, 3), np.uint8), sample), 1, odd)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 2
    metric = ClassResults(tmp_path, NAMES)
    metric.process({}, [{"img_path": odd, "pred_scores": sample.pred_scores}])
    metric.evaluate(1)
    assert len(json.loads((tmp_path / "results.classes.json").read_text())) == 1


def test_review_counts_who_was_taken_for_whom(sample):
    review = ClassificationReview(SimpleNamespace(), [])
    review.dataset_meta = {"classes": NAMES}
    right = sample.clone()
    right.gt_label = torch.tensor([3])
    for number, one in enumerate((sample, right)):
        review.process({}, [{**dict(one.all_items()), "img_path": f"{number}.jpg"}])
    review.evaluate(2)
    table = review.confusion()["images"]
    assert table.sum() == 2
    assert table[1, 3] == table[3, 3] == 1
    (worst,) = review.worst_images()
    assert worst.path == "0.jpg"
    assert worst.score == pytest.approx(0.3)
    assert "'dog', taken for 'owl'" in worst.text
    assert review.restore(worst.kept).pred_label.tolist() == [3]
