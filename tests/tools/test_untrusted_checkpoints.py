"""Whatever way a checkpoint comes in, no code in it runs, and the refusal is a sentence."""

import re

import crafted
import pytest
import torch
from file_server import serve
from processes import config, run

pytestmark = pytest.mark.slow

CHECKPOINT = "model.backbone.init_cfg.checkpoint"
INIT = ["model.backbone.init_cfg.type=Pretrained"]
WHOLE_MODEL = ["model.init_cfg.type=Pretrained"]
STRATEGY = "strategy.type=SingleDeviceStrategy"
ENTRANCES = {
    "init_cfg": ("train.py", ["--cfg-options", *INIT, f"{CHECKPOINT}={{file}}"]),
    "init_cfg of the model": (
        "train.py",
        ["--cfg-options", *WHOLE_MODEL, "model.init_cfg.checkpoint={file}"],
    ),
    "init_cfg by address": ("train.py", ["--cfg-options", *INIT, f"{CHECKPOINT}={{address}}"]),
    "load_from": ("train.py", ["--cfg-options", "load_from={file}"]),
    "load_from by address": ("train.py", ["--cfg-options", "load_from={address}"]),
    "resume": ("train.py", ["--resume", "{file}"]),
    "resume with a strategy": ("train.py", ["--resume", "{file}", "--cfg-options", STRATEGY]),
    "load_from with a strategy": ("train.py", ["--cfg-options", "load_from={file}", STRATEGY]),
    "test": ("test.py", ["{file}"]),
    "infer": ("infer.py", ["{file}", "shapes/val", "--out", "found"]),
    "infer by address": ("infer.py", ["{address}", "shapes/val", "--out", "found"]),
    "export": ("model_converters/export_backbone.py", ["{file}", "backbone.safetensors"]),
    "deployment": ("deployment/export_model.py", ["{file}", "--out", "model.onnx"]),
    "predictions": ("analysis_tools/visualize_predictions.py", ["{file}", "--out", "a.png"]),
}


@pytest.fixture(scope="module")
def trained(finished):
    return torch.load(finished("upernet") / "iter_6.pth", weights_only=False)


@pytest.fixture(scope="module")
def hostile(cwd, trained):
    """A whole checkpoint of the model that would write ``touched`` through mmengine's reading."""
    payload = "open('touched', 'w').close()"
    return crafted.write(cwd / "hostile.pth", crafted.through_getattr(payload), trained)


def start(entrance, cwd, file, address="", *options):
    script, args = ENTRANCES[entrance]
    args = [arg.format(file=file, address=address) for arg in args]
    if script in ("train.py", "test.py"):
        args = ["--work-dir", "work_dirs/untrusted", *args]
    return run(cwd, script, config("upernet"), *args, *options, TORCH_HOME=str(cwd / "hub"))


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_code_does_not_run(cwd, hostile, entrance):
    with serve({"hostile.pth": hostile.read_bytes()}) as (address, _):
        status, output = start(entrance, cwd, hostile, f"{address}/hostile.pth")
    assert status == 1, output
    assert re.search(r"hostile\S*\.pth was refused: .*builtins\.getattr", output), output
    assert "add_safe_globals" not in output
    assert not (cwd / "touched").exists()


def test_code_does_not_run_where_files_are_converted(cwd, hostile):
    tool = "model_converters/convert_checkpoint.py"
    status, output = run(cwd, tool, hostile, "converted.pth")
    assert status == 1, output
    assert "hostile.pth was refused" in output
    args = config("fcmae-by-iter"), hostile, "shapes/val", "--out", "a.png"
    status, output = run(cwd, "analysis_tools/visualize_reconstruction.py", *args)
    assert status == 1, output
    assert "hostile.pth was refused" in output
    assert not (cwd / "touched").exists()


@pytest.mark.parametrize("entrance", ["resume", "resume with a strategy", "test"])
def test_a_config_in_a_checkpoint_is_not_executed(cwd, trained, entrance):
    content = {**trained, "meta": {**trained["meta"], "config": "open('touched', 'w').close()"}}
    torch.save(content, cwd / "config.pth")
    status, output = start(entrance, cwd, "config.pth")
    assert status == 0, output
    assert not (cwd / "touched").exists()


def test_a_strategy_refuses_to_resume_what_does_not_fit(cwd, finished):
    other = finished("fcmae-by-iter") / "iter_8.pth"
    status, output = start("resume with a strategy", cwd, other)
    assert status == 1, output
    assert "model and loaded state dict do not match exactly" in output
    assert re.search(r"missing: .*decode_head\.conv_seg\.weight", output)


def test_the_rate_of_a_strategy_follows_the_batch_and_is_logged(cwd):
    options = [
        "--cfg-options",
        STRATEGY,
        "auto_scale_lr.base_batch_size=8",
        "train_cfg.max_iters=1",
    ]
    args = config("fcmae-by-iter"), "--work-dir", "work_dirs/rate", "--auto-scale-lr", *options
    status, output = run(cwd, "train.py", *args)
    assert status == 0, output
    assert "learning rate 0.001 -> 0.0005 for this batch" in output
    assert re.search(r"base_lr: 5\.\d+e-05", output), output  # a tenth of it: warm-up


def test_a_damaged_newest_checkpoint_is_passed_over(cwd, finished):
    work_dir = cwd / "work_dirs/damaged"
    work_dir.mkdir(parents=True)
    for number in (4, 6, 8):
        content = bytearray((finished("fcmae-by-iter") / f"iter_{number}.pth").read_bytes())
        if number == 8:
            content[len(content) // 2] ^= 1
        (work_dir / f"iter_{number}.pth").write_bytes(content if number != 6 else content[:-99])
    args = config("fcmae-by-iter"), "--work-dir", work_dir, "--resume"
    status, output = run(cwd, "train.py", *args)
    assert status == 0, output
    for number, reason in {8: "the checksum of", 6: "truncated or damaged"}.items():
        line = rf"the checkpoint before is taken: .*iter_{number}\.pth was refused: .*{reason}"
        assert re.search(line, output), output
    assert "resumed epoch: 0, iter: 4" in output
