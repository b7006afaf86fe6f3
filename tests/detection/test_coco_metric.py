"""COCO's numbers as the configs compute them are those of pycocotools, in any number of processes.

The generated images have all that evaluators have been seen to disagree on.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import METRICS, init_default_scope
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from convnextv2.detection import coco_metric

REPO = Path(__file__).resolve().parents[2]
CONFIG = REPO / "configs/detection/mask-rcnn_convnextv2-tiny_fpn_8xb4-lsj-3x-fcmae_coco.py"
HEIGHT, WIDTH = 240, 320
CATEGORIES = {3: "bus", 1: "ant", 7: "cat", 90: "dog", 12: "elk"}  # ids neither sorted nor dense
IMAGES = 521


def rle(box, shape):
    """A rectangle, a triangle or an octagon in a box."""
    x, y, w, h = box
    outline = {
        "box": [x, y, x + w, y, x + w, y + h, x, y + h],
        "triangle": [x, y, x + w, y, x, y + h],
        "octagon": [
            *(x + w / 3, y, x + 2 * w / 3, y, x + w, y + h / 3, x + w, y + 2 * h / 3),
            *(x + 2 * w / 3, y + h, x + w / 3, y + h, x, y + 2 * h / 3, x, y + h / 3),
        ],
    }[shape]
    (segmentation,) = coco_mask.frPyObjects([outline], HEIGHT, WIDTH)
    return {**segmentation, "counts": segmentation["counts"].decode()}


def random_box(rng):
    side = rng.choice([12, 24, 50, 90, 130, 180]) * rng.uniform(0.7, 1.3, 2)
    side = np.minimum(side, [WIDTH - 10, HEIGHT - 10])
    return [*(rng.random(2) * ([WIDTH, HEIGHT] - side)), *side]


@pytest.fixture(scope="module")
def truth_and_found(tmp_path_factory):
    """A COCO json with all that is awkward, and for each image what a model would return."""
    rng = np.random.default_rng(0)
    images, annotations, found = [], [], []
    for image_id in rng.permutation(np.arange(1, 3000))[:IMAGES].tolist():
        images.append({"id": image_id, "height": HEIGHT, "width": WIDTH})
        real = []
        crowded = rng.random() < 0.02
        for _ in range(130 if crowded else rng.integers(1, 7) if rng.random() < 0.85 else 0):
            shape = str(rng.choice(["box", "triangle", "octagon"]))
            category = 7 if crowded else int(rng.choice(list(CATEGORIES)))
            box = [18 * v for v in rng.random(4)] if crowded else random_box(rng)
            if crowded:
                box = [*(rng.random(2) * [WIDTH - 40, HEIGHT - 40]), *rng.uniform(14, 40, 2)]
            real.append((category, box, shape))
            segmentation = rle(box, shape)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": coco_mask.toBbox(segmentation).tolist(),
                    "area": float(coco_mask.area(segmentation)),
                    "iscrowd": int(rng.random() < 0.1),
                    "segmentation": segmentation,
                }
            )
        found.append((image_id, detect(rng, real)))
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in CATEGORIES.items()],
    }
    path = tmp_path_factory.mktemp("coco") / "truth.json"
    path.write_text(json.dumps(content))
    return path, found


def detect(rng, real):
    """What is there, moved a little, some of it twice, some as another class; and what is not."""
    found = []
    for category, box, shape in real:
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            noise = rng.normal(0, 0.08, 4) * np.array(box)[[2, 3, 2, 3]]
            if rng.random() < 0.15:
                category = int(rng.choice(list(CATEGORIES)))
            moved = np.maximum(box + noise, [0, 0, 4, 4])
            found.append((category, moved, shape, rng.uniform(0.2, 1)))
    for _ in range(rng.integers(0, 4) if rng.random() < 0.9 else 0):
        found.append((int(rng.choice(list(CATEGORIES))), random_box(rng), "box", rng.random()))
    if rng.random() < 0.03:  # more than COCO counts
        for _ in range(150):
            found.append((7, random_box(rng), "octagon", 0.3 * rng.random()))
    order = rng.permutation(len(found))
    boxes = np.array([found[i][1] for i in order], np.float32).reshape(-1, 4)
    corners = torch.from_numpy(boxes)
    corners[:, 2:] += corners[:, :2]
    return {
        "labels": torch.tensor([list(CATEGORIES).index(found[i][0]) for i in order]).long(),
        # Two digits: many are as good as each other.
        "scores": torch.tensor([round(found[i][3], 2) for i in order]).float(),
        "bboxes": corners,
        "masks": [rle(found[i][1], found[i][2]) for i in order],
    }


def samples(found):
    return [
        {"img_id": image_id, "ori_shape": (HEIGHT, WIDTH), "pred_instances": instances}
        for image_id, instances in found
    ]


def make_metric(truth, **changes):
    cfg = Config.fromfile(CONFIG)
    init_default_scope("mmdet")
    metric = METRICS.build({**cfg.val_evaluator, "ann_file": str(truth), **changes})
    metric.dataset_meta = {"classes": list(CATEGORIES.values())}
    return metric


@pytest.fixture
def remembered(monkeypatch):
    """The evaluators that a metric made, whose numbers it rounds."""
    made = []
    make = coco_metric.hotcoco.COCOeval
    monkeypatch.setattr(
        coco_metric.hotcoco, "COCOeval", lambda *args: made.append(make(*args)) or made[-1]
    )
    return made


def twelve_numbers(truth, found, kind):
    """By pycocotools as it comes, from results made here."""
    results = []
    for image_id, instances in found:
        for i, label in enumerate(instances["labels"].tolist()):
            x1, y1, x2, y2 = instances["bboxes"][i].tolist()
            what = {"bbox": [x1, y1, x2 - x1, y2 - y1]}
            if kind == "segm":
                what = {"segmentation": instances["masks"][i]}
            score = instances["scores"][i].item()
            category = list(CATEGORIES)[label]
            results.append({"image_id": image_id, "category_id": category, "score": score, **what})
    truth = COCO(truth)
    evaluator = COCOeval(truth, truth.loadRes(results), kind)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator.stats


def test_the_images_are_as_awkward_as_they_should_be(truth_and_found):
    path, found = truth_and_found
    annotations = json.loads(path.read_text())["annotations"]
    areas = np.array([a["area"] for a in annotations])
    assert min((areas < 32**2).sum(), (areas > 96**2).sum()) > 100
    assert ((areas > 32**2) & (areas < 96**2)).sum() > 100
    assert sum(a["iscrowd"] for a in annotations) > 100
    assert IMAGES - len({a["image_id"] for a in annotations}) > 30
    counts = np.array([len(instances["labels"]) for _, instances in found])
    assert (counts > 100).sum() > 10
    assert (counts == 0).sum() > 10
    scores = torch.cat([instances["scores"] for _, instances in found])
    assert len(scores) > 10 * len(scores.unique())


def test_all_twelve_numbers_are_those_of_pycocotools(truth_and_found, remembered):
    path, found = truth_and_found
    metric = make_metric(path)
    metric.process({}, samples(found))
    logged = metric.evaluate(IMAGES)
    assert len(remembered) == 2
    for evaluator, kind in zip(remembered, ("bbox", "segm"), strict=True):
        expected = twelve_numbers(path, found, kind)
        assert len(set(expected.round(4))) >= 11  # all differ, but for AR that are nearly so
        assert (expected > 0.05).all()
        np.testing.assert_allclose(evaluator.stats[:12], expected, rtol=0, atol=1e-9)
        names = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
        for name, value in zip(names, expected, strict=False):
            assert logged[f"coco/{kind}_{name}"] == round(value, 3)


def test_nothing_found_scores_zero(truth_and_found):
    path, found = truth_and_found
    nothing = {"labels": torch.zeros(0).long(), "scores": torch.zeros(0), "masks": []}
    metric = make_metric(path, metric="bbox", classwise=True)
    empty = [(i, {**nothing, "bboxes": torch.zeros(0, 4)}) for i, _ in found]
    metric.process({}, samples(empty))
    numbers = metric.evaluate(IMAGES)
    assert set(numbers.values()) == {0.0}
    assert {f"coco/bbox_{name}_precision" for name in CATEGORIES.values()} < numbers.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "proposal"}, "metric proposal: not among bbox, segm"),
        ({"metric_items": ["mAP", "AP"]}, "metric_items AP: not among mAP, mAP_50"),
        ({"use_mp_eval": True}, "use_mp_eval"),
    ],
)
def test_what_is_not_computed_is_refused(truth_and_found, change, message):
    with pytest.raises(ValueError, match=message):
        make_metric(truth_and_found[0], **change)
