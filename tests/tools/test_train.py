"""Training and testing as users start them: killed, resumed, in two processes, and in error."""

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from processes import CONFIGS, REPO, run, run_shell

from convnextv2.backbone import AtomicCheckpointHook, ConvNeXtV2
from convnextv2.backbone.checkpoint_hook import AtomicLocalBackend

pytestmark = pytest.mark.slow

OTHER_ARCH = {"depths": [1, 1, 2, 1], "channels": [12, 16, 24, 32]}


def config(name):
    return CONFIGS / f"tiny-{name}.py"


def train(cwd, name, work_dir, *args, options=(), **environment):
    """Run tools/train.py, which must succeed; returns the work dir."""
    if options:
        args = (*args, "--cfg-options", *options)
    status, output = run(
        cwd, "train.py", config(name), "--work-dir", work_dir, *args, **environment
    )
    assert status == 0, output
    return cwd / work_dir


def last_state(work_dir):
    """Everything of the newest checkpoint that the rest of a run would depend on."""
    newest = work_dir / Path((work_dir / "last_checkpoint").read_text()).name
    content = torch.load(newest, map_location="cpu", weights_only=False)
    return newest.name, {k: content[k] for k in ("state_dict", "optimizer", "param_schedulers")}


def assert_same(got, expected, where=""):
    if isinstance(expected, dict):
        assert got.keys() == expected.keys(), where
        for key in expected:
            assert_same(got[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected), where
        for i, pair in enumerate(zip(got, expected, strict=True)):
            assert_same(*pair, f"{where}[{i}]")
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(got, expected), where
    else:
        assert got == expected, where


# --- a run that is killed and resumed ends with the weights of one that was not ---------------


@pytest.fixture(scope="module")
def finished(cwd):
    """name -> work dir of a run of that config that nobody disturbed; each is trained once."""
    done = {}

    def get(name):
        if name not in done:
            done[name] = train(cwd, name, f"work_dirs/finished-{name}")
        return done[name]

    return get


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("name", "kill_at"),
    [("fcmae-by-iter", 5), ("fcmae-by-epoch", 7), ("mask-rcnn", 9), ("upernet", 5)],
)
def test_killed_and_resumed_ends_with_the_same_weights(cwd, finished, name, kill_at, workers):
    options = [f"train_dataloader.num_workers={workers}"]
    args = config(name), "--work-dir", f"work_dirs/killed-{name}-{workers}"
    status, output = run(
        cwd, "train.py", *args, "--cfg-options", *options, PROBE_KILL_AT=str(kill_at)
    )
    assert status == -9, output
    work_dir = cwd / args[2]
    before = len((work_dir / "losses_0.txt").read_text().split())
    assert before == kill_at
    assert len(list(work_dir.glob("*_*.pth"))) == 2
    # A kill can also leave mmengine's note of the newest checkpoint empty, or a checkpoint half
    # written. A published one (mmengine's `published_keys`) is none to go on from.
    (work_dir / "last_checkpoint").write_text("")
    (work_dir / ".iter_99.pth.1.partial").write_bytes(b"half")
    (work_dir / "iter_99-0a1b2c3d.pth").write_bytes(b"published")

    train(cwd, name, args[2], "--resume", options=options)
    after = len((work_dir / "losses_0.txt").read_text().split()) - before
    reference = finished(name)
    total = len((reference / "losses_0.txt").read_text().split())
    assert total - kill_at <= after < total  # it went on, and did not begin anew
    assert_same(last_state(work_dir), last_state(reference))


def test_a_checkpoint_is_there_completely_or_not_at_all(tmp_path):
    backend, path = AtomicLocalBackend(), tmp_path / "iter_1.pth"
    backend.put(b"old", path)
    with pytest.raises(TypeError):
        backend.put("not bytes", path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="max_keep_ckpts must be 2 or more"):
        AtomicCheckpointHook(max_keep_ckpts=1)


def test_resume_begins_where_there_is_nothing_to_resume(cwd):
    work_dir = cwd / "work_dirs/fresh"
    work_dir.mkdir(parents=True)
    (work_dir / "last_checkpoint").write_text("")
    train(cwd, "fcmae-by-iter", work_dir, "--resume", options=["train_cfg.max_iters=1"])
    assert (work_dir / "iter_1.pth").is_file()


def test_resume_from_a_checkpoint_by_its_path(cwd, finished):
    reference = finished("fcmae-by-iter")
    checkpoint = reference / "iter_4.pth"
    work_dir = train(cwd, "fcmae-by-iter", "work_dirs/by-path", "--resume", checkpoint)
    assert len((work_dir / "losses_0.txt").read_text().split()) == 4
    assert_same(last_state(work_dir), last_state(reference))


# --- two processes do what one with twice the batch does --------------------------------------

# Drop path is drawn by each process for its own images.
SAME_DRAWS = ["model.backbone.drop_path_rate=0"]


def train_in_two_processes(cwd, work_dir, **environment):
    args = ["--work-dir", work_dir, "--cfg-options", "train_dataloader.batch_size=2", *SAME_DRAWS]
    command = ["bash", REPO / "tools/dist_train.sh", config("fcmae-by-iter"), 2, *args]
    status, output = run_shell(cwd, *command, **environment)
    assert status == 0, output
    return cwd / work_dir


@pytest.fixture(scope="module")
def two(cwd):
    return train_in_two_processes(cwd, "work_dirs/two")


def test_two_processes_train_as_one_with_twice_the_batch(cwd, two):
    one = train(cwd, "fcmae-by-iter", "work_dirs/one", options=SAME_DRAWS)
    halves = [np.loadtxt(two / f"losses_{rank}.txt") for rank in (0, 1)]
    assert not np.allclose(*halves, rtol=1e-6), "the processes saw the same images"
    losses = np.loadtxt(one / "losses_0.txt")
    assert losses.shape == (8,)
    np.testing.assert_allclose(np.mean(halves, axis=0), losses, rtol=1e-5)
    (_, got), (_, expected) = last_state(two), last_state(one)
    for name, tensor in expected["state_dict"].items():
        torch.testing.assert_close(got["state_dict"][name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_processes_are_restarted_when_one_dies(cwd, two):
    restarted = train_in_two_processes(cwd, "work_dirs/restarted", RESTARTS="1", PROBE_KILL_AT="5")
    # 5 iterations, then on from the checkpoint at 4.
    assert len(np.loadtxt(restarted / "losses_1.txt")) == 5 + 4
    assert_same(last_state(restarted), last_state(two))


# --- errors come before long work, and say what to do -----------------------------------------


def refusal(cwd, script, *args):
    """The output of a command that must fail, and not by a signal."""
    status, output = run(cwd, script, *args)
    assert status == 1, output
    return output


def test_all_missing_files_are_named_at_once(cwd):
    output = refusal(
        cwd,
        "train.py",
        config("mask-rcnn"),
        "--work-dir",
        "work_dirs/missing",
        "--cfg-options",
        "train_dataloader.dataset.data_root=nowhere",
        "val_dataloader.dataset.ann_file=no.json",
        "val_dataloader.dataset.data_prefix.img=no_images",
        "val_evaluator.ann_file=shapes/other.json",
        "model.backbone.init_cfg.type=Pretrained",
        "model.backbone.init_cfg.checkpoint=no.pth",
    )
    lines = [line.strip() for line in output.splitlines() if line.startswith("  ")]
    assert lines == [
        "nowhere   (train_dataloader.dataset.data_root)",
        "shapes/no.json   (val_dataloader.dataset.ann_file)",
        "shapes/no_images   (val_dataloader.dataset.data_prefix.img)",
        "shapes/other.json   (val_evaluator.ann_file)",
        "no.pth   (model.backbone.init_cfg.checkpoint)",
    ]
    assert "--cfg-options SETTING=PATH" in output
    assert "Traceback" not in output
    assert not (cwd / "work_dirs/missing").exists()


def test_missing_checkpoint_is_named(cwd):
    output = refusal(cwd, "test.py", config("upernet"), "no.pth")
    assert "no.pth   (load_from, or the checkpoint on the command line)" in output
    output = refusal(cwd, "train.py", config("upernet"), "--resume", "no.pth")
    assert "no.pth   (load_from, or the checkpoint on the command line)" in output


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "model.backbone.arch=giant",
            "unknown arch 'giant'; choose one of atto, femto, pico, nano, tiny, base, large, huge",
        ),
        (
            "optim_wrapper.paramwise_cfg.decay_rat=0.9",
            "unknown paramwise_cfg options ['decay_rat']; known: ['decay_rate', 'decay_type']",
        ),
        (
            "optim_wrapper.paramwise_cfg.decay_type=layerwise",
            "decay_type must be one of ['block_wise', 'layer_wise', 'stage_wise'], got 'layerwise'",
        ),
    ],
)
def test_unknown_values_are_answered_with_the_known_ones(cwd, option, message):
    args = config("fcmae-by-iter"), "--work-dir", "work_dirs/unknown", "--cfg-options", option
    assert message in refusal(cwd, "train.py", *args)
    assert not list((cwd / "work_dirs/unknown").glob("*.pth"))


def test_initial_weights_that_fit_in_part_are_refused_unless_wanted(cwd):
    other = ConvNeXtV2(OTHER_ARCH, output_norm=False)
    torch.save(other.state_dict(), cwd / "other.pth")
    options = [
        "model.backbone.init_cfg.type=Pretrained",
        "model.backbone.init_cfg.checkpoint=other.pth",
        "train_cfg.max_iters=1",
    ]
    args = config("fcmae-by-iter"), "--work-dir", "work_dirs/partial", "--cfg-options", *options
    output = refusal(cwd, "train.py", *args)
    summary = r"other\.pth.*: (\d+) of (\d+) tensors .*matched"
    matched, wanted = map(int, re.search(summary, output).groups())
    assert 0 < matched < wanted
    assert "strict=False" in output
    # Refused before the first iteration, accepted when asked for.
    assert not (cwd / "work_dirs/partial/losses_0.txt").exists()
    status, output = run(cwd, "train.py", *args, "model.backbone.init_cfg.strict=False")
    assert status == 0, output
    assert re.search(summary, output)


@pytest.mark.parametrize("how", ["resume", "test"])
def test_a_checkpoint_of_another_model_is_refused(cwd, finished, how):
    checkpoint = finished("fcmae-by-iter") / "iter_8.pth"
    args = [checkpoint] if how == "test" else ["--resume", checkpoint]
    script = "test.py" if how == "test" else "train.py"
    output = refusal(cwd, script, config("upernet"), *args, "--work-dir", "work_dirs/other")
    assert "model and loaded state dict do not match exactly" in output
    assert "decode_head.conv_seg.weight" in output


class Foreign:
    """Something that writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("how", ["init_cfg", "resume", "test"])
def test_code_in_a_checkpoint_does_not_run(cwd, finished, how):
    touched = cwd / "touched"
    content = torch.load(finished("upernet") / "iter_6.pth", weights_only=False)
    content["meta"]["extra"] = Foreign(str(touched))
    torch.save(content, cwd / "foreign.pth")
    del content["meta"]["extra"]
    # Tensors and text only, but text that mmengine used to execute.
    content["meta"]["config"] = f"file = open({str(touched)!r}, 'w')"
    torch.save(content, cwd / "config.pth")

    def start(checkpoint):
        args = [config("upernet"), "--work-dir", f"work_dirs/code-{how}-{checkpoint}"]
        if how == "test":
            return run(cwd, "test.py", *args, checkpoint)
        if how == "resume":
            return run(cwd, "train.py", *args, "--resume", checkpoint)
        init_cfg = ["type=Pretrained", f"checkpoint={checkpoint}"]
        init_cfg = [f"model.backbone.init_cfg.{option}" for option in init_cfg]
        return run(cwd, "train.py", *args, "--cfg-options", *init_cfg, "train_cfg.max_iters=1")

    status, output = start("foreign.pth")
    assert status == 1, output
    assert "foreign.pth was refused" in output
    assert not touched.exists()
    status, output = start("config.pth")
    assert status == 0, output
    assert not touched.exists()
    # The file does what the test is afraid of.
    torch.load(cwd / "foreign.pth", weights_only=False)
    assert touched.exists()
    touched.unlink()


# --- drawing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "checkpoint"), [("mask-rcnn", "epoch_3"), ("upernet", "iter_6")])
def test_predictions_are_drawn_beside_the_ground_truth(cwd, finished, name, checkpoint):
    args = config(name), finished(name) / f"{checkpoint}.pth", "--out", f"{name}.png"
    status, output = run(cwd, "visualize_predictions.py", *args, "--max-images", 2, "--scale", 3)
    assert status == 0, output
    picture = cv2.imread(str(cwd / f"{name}.png"))
    height, width = 3 * 80, 3 * 64
    assert picture.shape == (22 + 2 * (height + 6), 3 * (width + 6) - 6, 3)
    photograph, truth = (picture[22 : 22 + height, x : x + width] for x in (0, width + 6))
    assert (photograph[::3, ::3].repeat(3, 0).repeat(3, 1) == photograph).all()
    changed = (truth != photograph).any(2).mean()
    assert 0.001 < changed < 0.9  # outlines, or one colour over one of the classes


# --- mim, and the answer to --help ------------------------------------------------------------


def test_mim_trains_by_bare_name_again_and_again(cwd):
    pytest.importorskip("mim")
    try:
        metadata.version("convnextv2-dense")
    except metadata.PackageNotFoundError:
        pytest.skip("convnextv2-dense is not installed")
    # Inside the checkout, where mim looks for configs by name; git ignores it.
    work_dir = REPO / "work_dirs" / "test-mim"
    shutil.rmtree(work_dir, ignore_errors=True)
    # Not `python -m mim`: it would take the checkout's egg-info for the installed package.
    command = ["mim", "train", "convnextv2-dense"]
    command += ["fcmae_convnextv2-atto_demo-trees.py", "--gpus", "0", "--work-dir", work_dir]
    command += ["--cfg-options", f"train_dataloader.dataset.data_root={cwd / 'shapes/train'}"]
    command += ["train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False"]
    command += ["train_dataloader.batch_size=2", "train_cfg.max_iters=1"]
    try:
        for _ in range(2):
            status, output = run_shell(REPO, *command)
            assert status == 0, output
            assert (work_dir / "iter_1.pth").is_file()
            (work_dir / "iter_1.pth").unlink()
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)
        if not any(work_dir.parent.iterdir()):
            work_dir.parent.rmdir()


@pytest.mark.parametrize("script", ["train.py", "test.py"])
def test_help_answers_without_heavy_imports(script):
    command = [sys.executable, "-X", "importtime", REPO / "tools" / script, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "example:" in result.stdout
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "numpy", "mmengine", "mmcv", "convnextv2"}


# --- testing ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector(cwd):
    """A checkpoint that finds a few of the shapes, so that the metrics are not all 0."""
    options = ["train_cfg.max_epochs=25", "train_cfg.val_interval=25"]
    options += ["optim_wrapper.optimizer.lr=0.005", "param_scheduler.1.milestones=[20]"]
    options += ["model.backbone.drop_path_rate=0", "default_hooks.checkpoint.interval=25"]
    options += ["train_dataloader.dataset.pipeline.3.ratio_range=(0.8,1.2)"]
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
    assert "visualize_reconstruction.py" in output


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


def test_segmenter_with_test_time_augmentation(cwd, finished):
    args = config("upernet"), finished("upernet") / "iter_6.pth", "--work-dir", "work_dirs/tta"
    status, output = run(cwd, "test.py", *args, "--tta")
    assert status == 0, output
    assert metrics_of(cwd / "work_dirs/tta")["mIoU"] > 0
    status, output = run(cwd, "test.py", config("mask-rcnn"), "any.pth", "--tta")
    assert status == 2
    assert "the config has no tta_model and tta_pipeline" in output
