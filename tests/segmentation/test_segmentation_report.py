"""A segmenter's confusion matrix and image scores equal a plain loop over all pixels."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from convnextv2.segmentation.report import SegmentationReview

CLASSES = ("wall", "sky", "tree", "lake")
IGNORED = 2


@pytest.fixture
def reviewed():
    rng = np.random.default_rng(0)
    review = SegmentationReview(SimpleNamespace(ignore_index=IGNORED), ())
    review.dataset_meta = {"classes": CLASSES}
    pairs = []
    for i, shape in enumerate([(30, 40), (17, 9), (5, 5)]):
        truth = rng.choice([0, 1, 3, IGNORED, 255], shape)
        found = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, 4, shape)) % 4
        if i == 2:
            truth[:] = IGNORED
        sample = {
            "img_path": f"{i}.png",
            "gt_sem_seg": {"data": torch.from_numpy(truth)[None]},
            "pred_sem_seg": {"data": torch.from_numpy(found)[None]},
        }
        review.process(None, [sample])
        pairs.append(list(zip(truth.ravel().tolist(), found.ravel().tolist(), strict=True)))
    review.evaluate(3)
    return review, pairs


def test_the_matrix_is_that_of_a_loop(reviewed):
    review, images = reviewed
    expected = [[0] * 4 for _ in CLASSES]
    for truth, found in (pair for pairs in images for pair in pairs):
        if truth not in (IGNORED, 255):
            expected[truth][found] += 1
    assert review.confusion()["pixels"].tolist() == expected


def test_an_images_score_is_its_mean_iou(reviewed):
    review, images = reviewed
    for image, pairs in zip(review.images, images, strict=True):
        pairs = [pair for pair in pairs if pair[0] not in (IGNORED, 255)]
        ious = []
        for label in range(len(CLASSES)):
            both = sum(pair == (label, label) for pair in pairs)
            either = sum(label in pair for pair in pairs)
            ious += [both / either] if either else []
        assert image.score == pytest.approx(np.mean(ious) if ious else 1)


def test_what_was_kept_can_be_drawn(reviewed):
    review, _ = reviewed
    worst = review.worst_images()
    assert [image.path for image in worst] == ["1.png", "0.png"] or worst[0].score <= worst[1].score
    sample = review.restore(worst[0].kept)
    assert sample.gt_sem_seg.data.shape == sample.pred_sem_seg.data.shape
