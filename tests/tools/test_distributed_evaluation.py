"""Two processes that share a data set of 7 images evaluate exactly what one evaluates."""

import json

import cv2
import numpy as np
import pytest
from processes import REPO, config, run, run_shell

from convnextv2.detection.coco import encode_mask
from convnextv2.predictor import Predictor

pytestmark = pytest.mark.slow
# Of the fixture `findable`.
FINDABLE = (
    "test_dataloader.dataset.ann_file=../findable.json",
    "test_dataloader.dataset.data_prefix.img=train",
    "test_evaluator.ann_file=findable.json",
)


def evaluate(cwd, name, checkpoint, *options, flags=()):
    """The logged numbers and the written predictions of one process and of two."""
    outcomes = []
    for processes in (1, 2):
        label = f"shared-{name}-{len(flags)}-{processes}"
        args = config(name), checkpoint
        more = *flags, "--work-dir", f"work_dirs/{label}", "--out", label, "--cfg-options", *options
        if processes == 1:
            status, output = run(cwd, "test.py", *args, *more)
        else:
            script = REPO / "tools/dist_test.sh"
            status, output = run_shell(cwd, "bash", script, *args, processes, *more)
        assert status == 0, output
        logs = (cwd / f"work_dirs/{label}").glob("*/*.json")
        (log,) = (path for path in logs if path.stem == path.parent.name)
        numbers = json.loads(log.read_text().splitlines()[-1])
        for key in ("time", "data_time", "step"):
            numbers.pop(key, None)
        files = {path.name: path.read_bytes() for path in (cwd / label).iterdir()}
        outcomes.append((numbers, files))
    return outcomes


@pytest.fixture
def findable(cwd, untrained):
    """Annotations that an untrained model can find: some of what it finds."""
    content = json.loads((cwd / "shapes/train.json").read_text())
    content["annotations"].clear()
    paths = [cwd / "shapes/train" / image["file_name"] for image in content["images"]]
    predictor = Predictor(config("mask-rcnn"), untrained("mask-rcnn"), "cpu")
    for image, prediction in zip(content["images"], predictor(paths), strict=True):
        found = prediction.sample.pred_instances[::7]
        for mask, box, label in zip(found.masks, found.bboxes, found.labels, strict=True):
            x1, y1, x2, y2 = box.tolist()
            entry = {"image_id": image["id"], "category_id": label.item() + 1, "iscrowd": 0}
            entry |= {"id": len(content["annotations"]) + 1, "area": mask.sum().item()}
            entry |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": encode_mask(mask.numpy())}
            content["annotations"].append(entry)
    (cwd / "findable.json").write_text(json.dumps(content))


@pytest.mark.usefixtures("findable")
def test_detection_is_the_same_and_no_image_counts_twice(cwd, untrained):
    one, two = evaluate(
        cwd,
        "mask-rcnn",
        untrained("mask-rcnn"),
        *FINDABLE,
        "test_evaluator.metric_items=['mAP','mAP_50','mAP_75','AR@1','AR@10','AR@100']",
        "test_evaluator.classwise=False",
    )
    assert len(one[0]) == 12
    assert all(0 < value <= 1 for value in one[0].values()), one[0]
    assert two[0] == one[0]
    # The very file: the sampler gives the last process the first image once more, to have as
    # many as the other, and its results are dropped.
    assert two[1] == one[1]
    images = [result["image_id"] for result in json.loads(two[1]["results.bbox.json"])]
    assert set(images) == set(range(1, 8))
    assert images == sorted(images)


@pytest.mark.usefixtures("findable")
def test_by_tiles_it_is_the_same(cwd, untrained):
    one, two = evaluate(
        cwd,
        "mask-rcnn",
        untrained("mask-rcnn"),
        *FINDABLE,
        flags=("--tile", 40, "--overlap", 16),
    )
    assert len(json.loads(one[1]["results.segm.json"])) > 7
    assert two == one


def test_segmentation_is_the_same_and_no_image_counts_twice(cwd, untrained):
    one, two = evaluate(
        cwd,
        "upernet",
        untrained("upernet"),
        "test_dataloader.dataset.data_prefix.img_path=train",
        "test_dataloader.dataset.data_prefix.seg_map_path=train_labels",
    )
    assert two == one
    assert len(one[1]) == 7

    def mean_iou(names):
        hits, sums = np.zeros(3), np.zeros(3)
        for name in names:
            truth = cv2.imread(str(cwd / "shapes/train_labels" / name), cv2.IMREAD_UNCHANGED)
            label = cv2.imread(str(cwd / "shared-upernet-0-2" / name), cv2.IMREAD_UNCHANGED)
            truth, label = truth[truth > 0], label[truth > 0]
            hits += np.bincount(truth[truth == label], minlength=3)
            sums += np.bincount(truth, minlength=3) + np.bincount(label, minlength=3)
        return 100 * (hits / (sums - hits).clip(1))[1:].mean()

    assert two[0]["mIoU"] == pytest.approx(mean_iou(two[1]), abs=0.0051)
    assert abs(mean_iou([*two[1], "0.png"]) - two[0]["mIoU"]) > 0.02  # what would give it away
