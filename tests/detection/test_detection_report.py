"""A detector's confusion matrix equals a plain loop over its rule, of boxes and of masks."""

import numpy as np
import pytest
import torch

from convnextv2.detection import report
from convnextv2.detection.report import DetectionReview, describe

CLASSES = ("ant", "bus", "cat")
HEIGHT, WIDTH = 70, 80


class Images:
    """What mmdet's data sets give of their images."""

    def __init__(self, infos):
        self.infos = infos

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, place):
        return self.infos[place]


def random_boxes(rng, number):
    corners = rng.integers(4, 40, (number, 2))
    return np.hstack([corners, corners + rng.integers(8, 20, (number, 2))]).astype(float)


def filled(box):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x1, y1, x2, y2 = box.round().astype(int)
    mask[y1:y2, x1:x2] = True
    return mask


@pytest.fixture(scope="module")
def case():
    """Data with crowds, and of each image what was found: moved, of another class, too much."""
    rng = np.random.default_rng(0)
    infos, samples = [], []
    for i in range(60):
        boxes, labels = random_boxes(rng, count := int(rng.integers(0, 6))), rng.integers(0, 3, 9)
        crowd = rng.random(count) < 0.15
        infos.append({"img_id": i + 10, "height": HEIGHT, "width": WIDTH, "instances": []})
        for box, label, ignored in zip(boxes, labels, crowd, strict=False):
            x1, y1, x2, y2 = box.tolist()
            polygon = [[x1, y1, x2, y1, x2, y2, x1, y2]]
            entry = {"bbox": box.tolist(), "bbox_label": int(label), "ignore_flag": int(ignored)}
            infos[-1]["instances"].append({**entry, "mask": polygon})
        moved = boxes[rng.random(count) < 0.8] + rng.integers(-2, 3, (1, 4))
        found = np.vstack([moved, moved[:1] + 1, random_boxes(rng, int(rng.integers(0, 3)))])
        instances = {
            "bboxes": torch.from_numpy(found),
            "scores": torch.from_numpy(rng.permutation(50)[: len(found)] / 50),
            "labels": torch.from_numpy(rng.integers(0, 3, len(found))),
            "masks": torch.from_numpy(
                np.array([filled(box) for box in found]).reshape(-1, HEIGHT, WIDTH)
            ),
        }
        about = {"img_id": i + 10, "img_path": f"{i}.png", "ori_shape": (HEIGHT, WIDTH)}
        samples.append({**about, "pred_instances": instances})
    review = DetectionReview(Images(infos), ())
    review.dataset_meta = {"classes": CLASSES}
    review.process(None, samples)
    review.evaluate(len(samples))
    return review, infos, samples


def overlap(box, other, crowd):
    """By counting pixels, of which all corners are whole."""
    a, b = filled(box), filled(np.array(other))
    return (a & b).sum() / (a.sum() if crowd else (a | b).sum())


def test_the_matrix_is_that_of_a_loop(case):
    review, infos, samples = case
    expected = np.zeros((4, 4), int)
    for info, sample in zip(infos, samples, strict=True):
        found, free = sample["pred_instances"], list(info["instances"])
        for i in sorted(range(len(found["scores"])), key=lambda i: -found["scores"][i].item()):
            if found["scores"][i] < report.SCORE_THR:
                continue
            box, label = found["bboxes"][i].numpy(), int(found["labels"][i])
            overlaps = [(overlap(box, t["bbox"], t["ignore_flag"]), t) for t in free]
            real = [(iou, t) for iou, t in overlaps if iou >= 0.5 and not t["ignore_flag"]]
            if real:
                best = max(real, key=lambda pair: pair[0])[1]
                free.remove(best)
                expected[best["bbox_label"], label] += 1
            elif not any(iou >= 0.5 for iou, t in overlaps if t["ignore_flag"]):
                expected[3, label] += 1
        for left in (t for t in free if not t["ignore_flag"]):
            expected[left["bbox_label"], 3] += 1
    assert (expected[:3, :3] > 0).all()
    assert (expected[3, :3] > 0).all()
    assert (expected[:3, 3] > 0).all()
    tables = review.confusion()
    assert tables.keys() == {"bbox", "segm"}
    np.testing.assert_array_equal(tables["bbox"], expected)
    np.testing.assert_array_equal(tables["segm"], expected)  # the masks are the boxes


def test_an_images_score_is_f1_and_its_text_counts_the_mistakes():
    pairs = np.array([(0, 0, 4), (0, 1, 1), (1, 3, 2), (3, 2, 1)])
    score, text = describe(pairs, nothing=3)
    assert score == pytest.approx(2 * 4 / ((4 + 1 + 2) + (4 + 1 + 1)))
    assert text == "4 right, 2 missed, 1 where there is none, 1 of another class"
    assert describe(np.zeros((0, 3), int), 3)[0] == 1


def test_what_was_kept_can_be_drawn(case):
    review, *_ = case
    worst = review.worst_images()
    assert len(worst) == 8
    sample = review.restore(worst[0].kept)
    assert len(sample.gt_instances.masks) == len(sample.gt_instances.labels)
    assert (sample.pred_instances.scores >= report.SCORE_THR).all()


def test_boxes_alone_are_compared_without_masks(case):
    _, infos, samples = case
    review = DetectionReview(Images(infos), ())
    review.dataset_meta = {"classes": CLASSES}
    for sample in samples:
        found = {k: v for k, v in sample["pred_instances"].items() if k != "masks"}
        review.process(None, [{**sample, "pred_instances": found}])
    review.evaluate(len(samples))
    np.testing.assert_array_equal(review.confusion()["bbox"], case[0].confusion()["bbox"])
    assert review.confusion().keys() == {"bbox"}
