"""The supervised stage as people run it: from pre-training on, to scores and to the next stage."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from processes import REPO, run, run_shell

from convnextv2.backbone import ConvNeXtV2

pytestmark = pytest.mark.slow

ARCH = "dict(_delete_=True, depths=(1, 1, 2, 1), channels=(8, 16, 24, 32))"  # of tiny-fcmae
LINES = (
    "_base_ = 'convnextv2::classification/classifier_convnextv2_custom.py'\n"
    f"data_root = 'colours'\narch = {ARCH}\nimage_size = 64\n"
    "epochs = 1\nbatch_size = 4\nlr = 1e-3\n"
    "train_dataloader = val_dataloader = dict(num_workers=0)\n"
    "custom_hooks = [dict(type='convnextv2.EMAHook', momentum=0.5)]\n"
)


@pytest.fixture(scope="module")
def labelled(cwd):
    """``colours/``: 5 images to train on and 3 to test on of each of two classes."""
    rng = np.random.default_rng(0)
    for part, count in {"train": 5, "val": 3}.items():
        for name, colour in {"red": (0, 0, 220), "blue": (220, 0, 0)}.items():
            folder = cwd / "colours" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = rng.integers(0, 80, (70, 60 + i, 3), dtype=np.uint8)
                cv2.circle(image, (30, 30), 20, colour, -1)
                cv2.imwrite(str(folder / f"{i}.png"), image)
    yield cwd
    shutil.rmtree(cwd / "colours")


def test_pretraining_classifier_segmenter_one_after_the_other(labelled, finished):
    """Checkpoints as they are: each stage begins with what the one before has learned."""
    pretrained = finished("fcmae-by-iter") / "iter_8.pth"
    (labelled / "colours.py").write_text(LINES)
    options = ["--cfg-options", f"weights={pretrained}"]
    status, output = run(labelled, "train.py", "colours.py", *options)
    assert status == 0, output
    assert "the classifier: norm not in the file" in output
    assert "checkpoints hold the moving average" in output
    checkpoint = labelled / "work_dirs/colours/epoch_1.pth"

    content = torch.load(checkpoint, weights_only=False)
    assert content["meta"]["dataset_meta"]["classes"] == ("blue", "red")
    averaged, last = content["state_dict"], content["ema_state_dict"]
    assert not torch.equal(averaged["head.weight"], last["module.head.weight"])
    arch = {"depths": (1, 1, 2, 1), "channels": (8, 16, 24, 32)}
    net = ConvNeXtV2(arch, init_cfg={"type": "Pretrained", "checkpoint": str(checkpoint)})
    net.init_weights()
    name = "stages.2.0.pwconv1.weight"
    assert torch.equal(net.state_dict()[name], averaged[f"backbone.{name}"])

    left = labelled / "work_dirs/colours/config.py"  # whole: the names of the classes are in it
    scores = []
    for command in (("python", "test.py"), ("bash", "dist_test.sh")):
        processes = [] if command[0] == "python" else [2]
        words = [command[0], REPO / "tools" / command[1], left, checkpoint, *processes]
        status, output = run_shell(labelled, *words)
        assert status == 0, output
        scores.append(re.findall(r"accuracy/(\w+): ([\d.]+)", output))
    assert scores[0]
    assert scores[0] == scores[1]

    args = [left, checkpoint, "colours/val", "--out", "found-classes"]
    status, output = run(labelled, "infer.py", *args)
    assert status == 0, output
    results = json.loads((labelled / "found-classes/results.json").read_text())
    assert len(results) == 6
    assert (labelled / "found-classes/sheet.png").exists()
    right = sum(one["file_name"].startswith(one["classes"][0]["class"]) for one in results)
    assert f"{100 * right / 6:.4f}" == dict(scores[0])["top1"]
