"""What a training leaves behind: the report, and commands that work as they stand."""

import csv
import re
import shlex

import cv2
import pytest
from processes import REPO, config, run, run_shell

pytestmark = pytest.mark.slow

# Of the validation data: 9 objects, or as many pixels as are labelled.
PICTURES = {
    "mask-rcnn": ["curves", "confusion_bbox", "confusion_segm", "precision_recall_segm"],
    "upernet": ["curves", "confusion_pixels"],
    "fcmae-by-iter": ["curves"],
}


def log_of(work_dir):
    (path,) = work_dir.glob("*/*.log")
    return path.read_text()


@pytest.mark.parametrize("name", PICTURES)
def test_report_of_a_training(cwd, finished, name):
    work_dir = finished(name)
    report = work_dir / "report"
    for picture in PICTURES[name]:
        assert cv2.imread(str(report / f"{picture}.png")).size > 100_000
        assert (report / f"{picture}.csv").is_file()
    losses = [float(row["loss"]) for row in rows_of(report / "curves.csv") if row["loss"]]
    logged = [float(text) for text in re.findall(r"  loss: ([\d.]+)", log_of(work_dir))]
    assert losses == pytest.approx(logged, abs=1e-4)
    if name == "fcmae-by-iter":
        return
    assert len(rows_of(report / "images.csv")) == 3
    assert len(list((report / "worst").glob("*.png"))) == 3
    kinds = {"mask-rcnn": ("bbox", "segm"), "upernet": ("pixels",)}[name]
    for kind in kinds:
        expected = [6, 3] if name == "mask-rcnn" else labelled_pixels(cwd)
        assert [sum(row) for row in confusion_of(work_dir, kind)][:2] == expected


def confusion_of(work_dir, kind):
    rows = rows_of(work_dir / f"report/confusion_{kind}.csv")
    return [[int(value) for value in list(row.values())[1:]] for row in rows]


def labelled_pixels(cwd):
    labels = [cv2.imread(str(path), 0) for path in (cwd / "shapes/val_labels").iterdir()]
    return [sum((label == value).sum() for label in labels) for value in (1, 2)]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_log_begins_with_what_matters(cwd):
    """Some 30 lines on the console before the first iteration, what libraries warn of included."""
    args = config("mask-rcnn"), "--work-dir", "work_dirs/head", "--batch", 3
    options = "--cfg-options", "train_cfg.max_epochs=1", "default_hooks.early_stopping.patience=2"
    status, output = run(cwd, "train.py", *args, *options)
    assert status == 0, output
    before, _, _ = output.partition("Epoch(train)")
    assert before.count("\n") < 35
    for line in ("task          detection, MaskRCNN", "batch         3 images x 1 processes = 3"):
        assert line in before
    assert "System environment" not in output
    log = log_of(cwd / "work_dirs/head")
    assert "System environment" in log
    assert "loading annotations into memory" in log
    assert re.findall("Hooks will be executed", log)


@pytest.mark.parametrize(("name", "metric"), [("mask-rcnn", "coco_segm_mAP"), ("upernet", "mIoU")])
def test_best_checkpoint_pictures_and_the_next_commands(cwd, finished, name, metric):
    work_dir = finished(name)
    (best,) = work_dir.glob("best_*.pth")
    assert best.name.startswith(f"best_{metric}_")
    (data,) = work_dir.glob("*/vis_data")
    assert list(data.glob("events.out.tfevents.*"))
    pictures = sorted(path.name for path in (data / "vis_image").iterdir())
    assert len(pictures) == 6  # of three images, at two validations
    scalars = (data / "scalars.json").read_text()
    classes = ("coco/segm_disc_precision",) if name == "mask-rcnn" else ("IoU_box", "IoU_disc")
    assert all(f'"{key}"' in scalars for key in classes)

    words = {
        line.split()[0]: shlex.split(line)[1:]
        for line in log_of(work_dir).rpartition("what comes next")[2].splitlines()[1:]
    }
    assert {"test", "infer", "export", "resume"} <= words.keys()
    assert str(best.relative_to(cwd)) in words["test"]
    for command in ("test", "infer", "export"):
        script = words[command][1].rpartition("tools/")[2]
        given = [w.replace("FOLDER_OF_IMAGES", "shapes/val") for w in words[command][2:]]
        status, output = run(cwd, script, *given)
        assert status == 0, output


def test_a_test_writes_a_report_too(cwd, finished):
    args = config("upernet"), finished("upernet") / "iter_6.pth", "--report", "report of a test"
    status, output = run(cwd, "test.py", *args, "--work-dir", "work_dirs/test-report")
    assert status == 0, output
    mine, theirs = cwd / "report of a test", finished("upernet") / "report"
    name = "confusion_pixels.csv"
    assert (mine / name).read_text() == (theirs / name).read_text()


def test_curves_of_a_run_that_was_killed(cwd):
    args = config("fcmae-by-iter"), "--work-dir", "work_dirs/killed-report"
    status, output = run(cwd, "train.py", *args, PROBE_KILL_AT="3")
    assert status == -9, output
    work_dir = cwd / "work_dirs/killed-report"
    assert not (work_dir / "report").exists()
    status, output = run(cwd, "analysis_tools/report.py", work_dir)
    assert status == 0, output
    assert len(rows_of(work_dir / "report/curves.csv")) == 3
    status, output = run(cwd, "analysis_tools/report.py", cwd / "shapes")
    assert status == 1
    assert "is no work dir of a training" in output


def test_a_report_that_fails_fails_no_training(cwd):
    """A file is where its folder should be."""
    work_dir = cwd / "work_dirs/no-report"
    work_dir.mkdir(parents=True)
    (work_dir / "report").write_text("in the way")
    status, output = run(cwd, "train.py", config("fcmae-by-iter"), "--work-dir", work_dir)
    assert status == 0, output
    assert "no report: " in output
    assert "Traceback" not in output


def test_batch_auto_and_the_report_of_two_processes(cwd):
    """One batch for both, and a report of the images of both, each of them once."""
    work_dir = cwd / "work_dirs/auto"
    options = "--cfg-options", "train_cfg.max_iters=1", "train_cfg.val_interval=1"
    command = "bash", REPO / "tools/dist_train.sh", config("upernet"), 2
    status, output = run_shell(cwd, *command, "--work-dir", work_dir, "--batch", "auto", *options)
    assert status == 0, output
    assert "--batch auto: 7 images a process fit" in output  # all there are
    assert "learning rate 0.001 -> 0.007 for this batch" in output
    assert len(rows_of(work_dir / "report/images.csv")) == 3
    counted = [sum(row) for row in confusion_of(work_dir, "pixels")]
    assert counted[:2] == labelled_pixels(cwd)
    assert output.count("what comes next") == 1
