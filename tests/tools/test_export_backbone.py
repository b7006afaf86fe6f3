"""export_backbone.py: the file loads where the training checkpoint does, and explains itself."""

import json

import pytest
import torch
from mmengine.config import Config
from processes import config, run
from safetensors import safe_open

from convnextv2.engine.weights import read_checkpoint
from convnextv2.preprocessing import find_mean_and_std
from convnextv2.tools.model_converters import export_backbone

TOOL = "model_converters/export_backbone.py"


@pytest.mark.slow
def test_the_export_holds_the_trained_backbone_and_its_facts(cwd, finished):
    checkpoint = finished("fcmae-by-iter") / "iter_8.pth"
    status, output = run(cwd, TOOL, config("fcmae-by-iter"), checkpoint, "export.safetensors")
    assert status == 0, output
    trained = {
        k.removeprefix("backbone."): v
        for k, v in read_checkpoint(str(checkpoint)).items()
        if k.startswith("backbone.")
    }
    exported = read_checkpoint(str(cwd / "export.safetensors"))
    assert exported.keys() == trained.keys()
    assert all(torch.equal(exported[k], trained[k]) for k in trained)
    with safe_open(cwd / "export.safetensors", "pt") as file:
        facts = {k: json.loads(v) for k, v in file.metadata().items() if k != "format"}
    assert facts["in_channels"] == 3
    assert len(facts["mean"]) == len(facts["std"]) == 3
    assert facts["training"]["iter"] == "8"
    assert facts["training"]["mask_ratio"] == 0.6

    # A detector that knows the arch takes it by the one variable.
    options = ["model.backbone.init_cfg.type=Pretrained", "train_cfg.max_iters=1"]
    options += ["model.backbone.init_cfg.checkpoint=export.safetensors"]
    args = config("upernet"), "--work-dir", "work_dirs/from-export", "--cfg-options", *options
    status, output = run(cwd, "train.py", *args)
    assert status == 0, output
    assert f"{len(trained)} of {len(trained)} tensors matched" in output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mask-rcnn", "upernet"])
def test_a_detectors_and_a_segmenters_backbone_keep_their_output_norms(untrained, tmp_path, name):
    cfg, target = Config.fromfile(config(name)), tmp_path / "backbone.safetensors"
    checkpoint = untrained(name)
    line = export_backbone.export(cfg, checkpoint, target)
    trained = {
        k.removeprefix("backbone."): v
        for k, v in read_checkpoint(checkpoint).items()
        if k.startswith("backbone.")
    }
    exported = read_checkpoint(str(target))
    assert {"norm0.bias", "norm3.weight"} <= exported.keys() == trained.keys()
    assert all(torch.equal(exported[k], trained[k]) for k in trained)
    assert f"{len(trained)} tensors" in line

    averaged = {f"module.backbone.{k}": v + 1 for k, v in trained.items()}
    content = torch.load(checkpoint) | {"ema_state_dict": averaged}
    torch.save(content, tmp_path / "ema.pth")
    export_backbone.export(cfg, str(tmp_path / "ema.pth"), target)  # the average, which is saved so
    exported = read_checkpoint(str(target))
    assert all(torch.equal(exported[k], trained[k]) for k in trained)
    export_backbone.export(cfg, str(tmp_path / "ema.pth"), target, "ema_state_dict")
    exported = read_checkpoint(str(target))
    assert all(torch.equal(exported[k], trained[k] + 1) for k in trained)


def test_mean_and_std_are_those_that_training_used(tmp_path):
    find = find_mean_and_std
    entry = {"type": "convnextv2.FCMAEDataPreprocessor"}
    assert find(entry) == ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])  # by default
    assert find({**entry, "mean": [7], "std": [0.1]}) == ([7.0], [0.1])
    file = tmp_path / "statistics.json"
    file.write_text(json.dumps({"mean": [1.5, 2.5], "std": [0.25, 4]}))
    assert find({**entry, "mean": [7], "statistics": str(file)}) == ([1.5, 2.5], [0.25, 4.0])
    assert find({"type": "DetDataPreprocessor", "mean": [1], "std": [2]}) == ([1], [2])
    assert find({}) == (None, None)
    entry = {"type": "convnextv2.DetDataPreprocessor", "bgr_to_rgb": True}
    assert find({**entry, "mean": [7], "std": [1], "statistics": str(file)})[0] == [1.5, 2.5]
    measured = {**entry, "in_channels": 2}
    assert find(measured) == (None, None)
    tensors = {"data_preprocessor.mean": torch.tensor([0.1, 2]).view(2, 1, 1)}
    tensors["data_preprocessor.std"] = torch.tensor([3, 0.7]).view(2, 1, 1)
    torch.save({"state_dict": tensors}, tmp_path / "a.pth")
    assert find(measured, str(tmp_path / "a.pth")) == ([0.1, 2.0], [3.0, 0.7])


@pytest.mark.slow
def test_a_checkpoint_of_another_arch_is_refused(cwd, finished, tmp_path):
    checkpoint = finished("fcmae-by-iter") / "iter_8.pth"
    args = config("fcmae-by-iter"), checkpoint, tmp_path / "x.safetensors"
    status, output = run(cwd, TOOL, *args, "--cfg-options", "model.backbone.arch=nano")
    assert status == 1
    assert "Is this the right arch?" in output
    assert "Traceback" not in output
    assert not list(tmp_path.iterdir())
