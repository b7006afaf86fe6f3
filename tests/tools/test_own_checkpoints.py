"""What hooks and metrics leave in a checkpoint does not keep anything from reading it again."""

import pytest
from processes import config, run

from convnextv2.engine.weights import read_content

pytestmark = pytest.mark.slow

HOOKS = """
_base_ = [{base!r}]
custom_hooks = [
    dict(type="convnextv2.SeedEveryIterHook"),
    dict(type="LeaveEntries"),
    dict(type="EMAHook", momentum=0.5),
    dict(type="EarlyStoppingHook", monitor={best[0]!r}, patience=9),
    dict(type="ProfilerHook", by_epoch={by_epoch}, profile_times=1),
]
default_hooks = dict(checkpoint=dict(interval=1, save_best={best}, rule="greater"))
train_cfg = dict(val_interval=1)
"""
# Beside the averaged weights such a checkpoint holds those of the last step.
AVERAGED = ["--prefix", "state_dict"]
TASKS = {
    "upernet": (["mIoU", "aAcc", "mAcc"], ["train_cfg.max_iters=3"], "iter_3.pth"),
    "mask-rcnn": (
        ["coco/bbox_mAP", "coco/segm_mAP_50"],
        ["train_cfg.max_epochs=2"],
        "epoch_2.pth",
    ),
}


@pytest.fixture(scope="module", params=TASKS)
def trained(request, cwd):
    """Config of a task with such hooks, the options of a short run, its last checkpoint."""
    best, options, last = TASKS[request.param]
    path = cwd / f"hooked-{request.param}.py"
    by_epoch = request.param == "mask-rcnn"
    path.write_text(HOOKS.format(base=str(config(request.param)), best=best, by_epoch=by_epoch))
    work_dir = cwd / f"work_dirs/hooked-{request.param}"
    args = path, "--work-dir", work_dir, "--cfg-options", *options
    status, output = run(cwd, "train.py", *args)
    assert status == 0, output
    assert output.count("logger (MMLogger) is no plain data and is left out") == 1
    return path, options, work_dir / last


def test_the_entries_are_there(trained):
    *_, checkpoint = trained
    content = read_content(str(checkpoint))
    info = content["message_hub"]["runtime_info"]
    assert info["best"] == 0.5
    assert info["phase"] == 2
    assert info["began"] == "2020-01-02 00:00:00"
    assert info["threshold"] == {"a": [3]}
    assert "logger" not in info
    assert any(key.startswith("best_score") for key in info)
    assert "ema_state_dict" in content


def test_it_is_resumed(cwd, trained):
    path, options, checkpoint = trained
    longer = [f"{option[:-1]}{int(option[-1]) + 1}" for option in options]
    args = path, "--work-dir", checkpoint.parent, "--resume", "--cfg-options", *longer
    status, output = run(cwd, "train.py", *args)
    assert status == 0, output
    assert "resumed epoch: " in output


def test_the_best_is_tested_found_with_and_exported(cwd, trained):
    path, _, checkpoint = trained
    best = next(checkpoint.parent.glob("best_*.pth"))
    commands = {
        "test.py": [path, best, "--work-dir", "work_dirs/hooked-test"],
        "infer.py": [path, best, "shapes/val", "--out", "hooked-found"],
        "model_converters/export_backbone.py": [path, best, "hooked.safetensors", *AVERAGED],
        "model_converters/convert_checkpoint.py": [best, "hooked.pth", *AVERAGED],
    }
    for script, args in commands.items():
        status, output = run(cwd, script, *args)
        assert status == 0, output
