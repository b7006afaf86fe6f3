"""Errors come before long work and say what to do; no code in a checkpoint runs."""

import re

import pytest
import torch
from processes import REPO, config, run

from convnextv2.backbone import ConvNeXtV2

pytestmark = pytest.mark.slow


OTHER_ARCH = {"depths": [1, 1, 2, 1], "channels": [12, 16, 24, 32]}


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


@pytest.mark.parametrize(
    "name",
    [
        "detection/mask-rcnn_convnextv2-base_fpn_8xb4-lsj-3x-supervised_coco",
        "segmentation/upernet_convnextv2-base_8xb2-160k-supervised_ade20k-512x512",
    ],
)
def test_supervised_recipe_asks_for_ones_own_weights(cwd, name):
    output = refusal(cwd, "train.py", REPO / f"configs/{name}.py")
    setting = "model.backbone.init_cfg.checkpoint"
    assert f"checkpoints/convnextv2-base_supervised.pth   ({setting})" in output


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
