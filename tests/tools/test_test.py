"""Testing as users start it: metrics, files for others to read, pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from file_server import serve
from processes import REPO, config, run, run_shell, train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "checkpoint"), [("mask-rcnn", "epoch_3"), ("upernet", "iter_6")])
def test_predictions_are_drawn_beside_the_ground_truth(cwd, finished, name, checkpoint):
    args = config(name), finished(name) / f"{checkpoint}.pth", "--out", f"{name}.png"
    status, output = run(
        cwd, "analysis_tools/visualize_predictions.py", *args, "--max-images", 2, "--scale", 3
    )
    assert status == 0, output
    picture = cv2.imread(str(cwd / f"{name}.png"))
    height, width = 3 * 80, 3 * 64
    assert picture.shape == (22 + 2 * (height + 6), 3 * (width + 6) - 6, 3)
    photograph, truth = (picture[22 : 22 + height, x : x + width] for x in (0, width + 6))
    assert (photograph[::3, ::3].repeat(3, 0).repeat(3, 1) == photograph).all()
    changed = (truth != photograph).any(2).mean()
    assert 0.001 < changed < 0.9  # outlines, or one colour over one of the classes


@pytest.fixture(scope="module")
def detector(cwd):
    """A checkpoint that finds a few of the shapes, so that the metrics are not all 0."""
    options = ["train_cfg.max_epochs=25", "train_cfg.val_interval=25"]
    options += ["optim_wrapper.optimizer.lr=0.005", "param_scheduler.1.milestones=[20]"]
    options += ["model.backbone.drop_path_rate=0", "default_hooks.checkpoint.interval=25"]
    options += ["train_dataloader.dataset.pipeline.0.ratio_range=(0.8,1.2)"]
    return train(cwd, "mask-rcnn", "work_dirs/detector", options=options) / "epoch_25.pth"


def metrics_of(work_dir):
    """What the last test in a work dir wrote beside its log."""
    files = sorted(path for path in work_dir.glob("*/*.json") if path.stem == path.parent.name)
    metrics = json.loads(files[-1].read_text().splitlines()[-1])
    return {k: v for k, v in metrics.items() if k not in ("time", "data_time", "step")}


def test_pretraining_has_a_loss_on_held_out_images(cwd, finished):
    args = config("fcmae-by-iter"), finished("fcmae-by-iter") / "iter_8.pth"
    for work_dir in ("work_dirs/loss-1", "work_dirs/loss-2"):
        status, output = run(cwd, "test.py", *args, "--work-dir", work_dir)
        assert status == 0, output
        assert 0.5 < metrics_of(cwd / work_dir)["fcmae/loss"] < 5
    # Crops and masks are those of the images: the same at every test.
    assert metrics_of(cwd / "work_dirs/loss-1") == metrics_of(cwd / "work_dirs/loss-2")
    status, output = run(cwd, "test.py", *args, "--show-dir", "pictures-fcmae")
    assert status == 2
    assert "analysis_tools/visualize_reconstruction.py" in output


def test_detector_metrics_results_and_pictures(cwd, detector):
    coco = pytest.importorskip("pycocotools.coco")
    args = config("mask-rcnn"), detector
    status, output = run(
        cwd,
        "test.py",
        *args,
        "--work-dir",
        "work_dirs/test-1",
        "--out",
        "results-1",
        "--show-dir",
        "pictures-1",
    )
    assert status == 0, output
    metrics = metrics_of(cwd / "work_dirs/test-1")
    assert f"coco/segm_mAP: {metrics['coco/segm_mAP']:.4f}" in output
    assert metrics["coco/bbox_mAP"] > 0
    assert metrics["coco/segm_mAP"] > 0

    truth = coco.COCO(cwd / "shapes/val.json")
    for kind in ("bbox", "segm"):
        results = truth.loadRes(str(cwd / f"results-1/results.{kind}.json"))
        assert set(results.getImgIds()) == {1, 2, 3}
        assert results.anns
    pictures = sorted((cwd / "pictures-1").rglob("*.png"))
    assert [path.name for path in pictures] == ["0.png", "1.png", "2.png"]
    # Side by side.
    assert cv2.imread(str(pictures[0])).shape == (80, 2 * 64, 3)

    status, output = run_shell(
        cwd,
        "bash",
        REPO / "tools/dist_test.sh",
        *args,
        2,
        "--work-dir",
        "work_dirs/test-2",
        "--out",
        "results-2",
    )
    assert status == 0, output
    assert metrics_of(cwd / "work_dirs/test-2") == metrics
    for kind in ("bbox", "segm"):
        one, two = (
            json.loads((cwd / f"results-{n}/results.{kind}.json").read_text()) for n in (1, 2)
        )
        key = lambda result: (result["image_id"], -result["score"], str(result))  # noqa: E731
        assert sorted(one, key=key) == sorted(two, key=key)


def test_segmenter_metrics_label_maps_and_pictures(cwd, finished):
    args = config("upernet"), finished("upernet") / "iter_6.pth"
    status, output = run(
        cwd,
        "test.py",
        *args,
        "--work-dir",
        "work_dirs/test-seg-1",
        "--out",
        "labels-1",
        "--show-dir",
        "pictures-seg",
    )
    assert status == 0, output
    metrics = metrics_of(cwd / "work_dirs/test-seg-1")
    assert f"mIoU: {metrics['mIoU']:.4f}" in output
    assert metrics["mIoU"] > 0
    # mIoU from the files, by its definition; 0 is "none of both" and does not count.
    hits, sums = np.zeros(3), np.zeros(3)
    for path in sorted((cwd / "shapes/val_labels").iterdir()):
        truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        label = cv2.imread(str(cwd / "labels-1" / path.name), cv2.IMREAD_UNCHANGED)
        assert label.shape == truth.shape
        assert set(np.unique(label)) <= {1, 2}
        truth, label = truth[truth > 0], label[truth > 0]
        hits += np.bincount(truth[truth == label], minlength=3)
        sums += np.bincount(truth, minlength=3) + np.bincount(label, minlength=3)
    iou = (hits / (sums - hits).clip(1))[1:]
    assert metrics["mIoU"] == pytest.approx(100 * iou.mean(), abs=0.006)
    pictures = list((cwd / "pictures-seg").rglob("*.png"))
    assert len(pictures) == 3

    status, output = run_shell(
        cwd,
        "bash",
        REPO / "tools/dist_test.sh",
        *args,
        2,
        "--work-dir",
        "work_dirs/test-seg-2",
        "--out",
        "labels-2",
    )
    assert status == 0, output
    assert metrics_of(cwd / "work_dirs/test-seg-2") == metrics
    for path in (cwd / "labels-1").iterdir():
        assert path.read_bytes() == (cwd / "labels-2" / path.name).read_bytes()


def test_segmenter_with_test_time_augmentation(cwd, untrained):
    files = {"x.pth?a=b": Path(untrained("upernet")).read_bytes()}
    for folder, flags in {"plain": [], "tta": ["--tta"]}.items():
        with serve(files) as (address, _):
            args = config("upernet"), f"{address}/x.pth?a=b", *flags, "--out", folder
            out = "--work-dir", f"work_dirs/{folder}"
            status, output = run(cwd, "test.py", *args, *out, TORCH_HOME=str(cwd / "torch"))
        assert status == 0, output
    assert metrics_of(cwd / "work_dirs/tta")["mIoU"] > 0
    changed = [
        (cv2.imread(str(path)) != cv2.imread(str(cwd / "tta" / path.name))).mean()
        for path in (cwd / "plain").glob("*.png")
    ]
    assert len(changed) == 3
    assert max(changed) > 0
    status, output = run(cwd, "test.py", config("mask-rcnn"), "any.pth", "--tta")
    assert status == 2
    assert "the config has no tta_model and tta_pipeline" in output
