"""From a few lines to weights and scores, in a folder of the user's own.

Objects with masks and label masks: `test_check_data.py`.
"""

import pytest
from processes import run

pytestmark = pytest.mark.slow

LINES = {
    "boxes": (
        "_base_ = 'convnextv2::detection/faster-rcnn_convnextv2_fpn_custom.py'\n"
        "data_root = 'shapes'\nclasses = ('box', 'disc')\n"
    ),
    "images": (
        "_base_ = 'convnextv2::pretrain/fcmae_convnextv2_custom.py'\n"
        "data_root = 'shapes'\ntrain = dict(images='train')\nval = dict(images='val')\n"
    ),
}
FAST = ["arch=atto", "weights=None", "image_size=64", "batch_size=2"]


@pytest.mark.parametrize(
    ("kind", "length", "weights", "score"),
    [
        ("boxes", "epochs=1", "epoch_1.pth", "coco/bbox_mAP"),
        ("images", "iterations=4", "iter_4.pth", "fcmae/loss"),
    ],
)
def test_from_a_few_lines_to_weights_and_scores(cwd, kind, length, weights, score):
    config = cwd / f"my-{kind}.py"
    config.write_text(LINES[kind])
    options = ["--cfg-options", *FAST, length]
    status, output = run(cwd, "train.py", config, *options)
    assert status == 0, output
    assert f"{score}: " in output
    checkpoint = cwd / f"work_dirs/my-{kind}/{weights}"
    # The config that the run leaves is whole, and no template any more.
    left = cwd / f"work_dirs/my-{kind}/config.py"
    for path, more in ((config, options), (left, [])):
        status, output = run(cwd, "test.py", path, checkpoint, *more)
        assert status == 0, output
        assert f"{score}: " in output


def test_without_validation(cwd):
    config = cwd / "no-val.py"
    config.write_text(f"{LINES['boxes']}val = None\n")
    options = ["--cfg-options", *FAST, "iterations=2"]
    status, output = run(cwd, "train.py", config, *options)
    assert status == 0, output
    assert "val is None: nothing is validated in training" in output
    assert "Iter(val)" not in output
    checkpoint = cwd / "work_dirs/no-val/iter_2.pth"
    args = [config, checkpoint, cwd / "shapes/val", "--out", "found-no-val", *options]
    status, output = run(cwd, "infer.py", *args)
    assert status == 0, output
