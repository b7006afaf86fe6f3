"""The whole recipe trains through the runner, and a killed and resumed run ends with the same."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from convnextv2.engine.config import read_config
from convnextv2.engine.plain_pickles import load_plain
from convnextv2.engine.processes import do_without_gpu
from convnextv2.engine.runner import build_runner

CONFIGS = Path(__file__).resolve().parents[3] / "configs/classification"
ARCH = {"depths": (1, 1, 2, 1), "channels": (4, 8, 8, 16)}
SIZE = 32


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (folder / name).mkdir()
        for i in range(4):
            image = rng.integers(0, 128, (40, 50, 3)) + 127 * (name == "light")
            cv2.imwrite(str(folder / name / f"{i}.png"), image.astype(np.uint8))
    return str(folder)


def recipe(images, work_dir, epochs, accumulate=1, name="nano_8xb128-600e-fcmae_in1k"):
    """The recipe of a size, with a smaller network, images and batch; all else as it is."""
    cfg = read_config(str(CONFIGS / f"classifier_convnextv2-{name}.py"))
    cfg.model.backbone.arch, cfg.model.backbone.init_cfg = ARCH, None
    cfg.model.num_classes = 2
    for part in ("train", "val", "test"):
        loader = cfg[f"{part}_dataloader"]
        loader.update(batch_size=2, num_workers=0, persistent_workers=False, pin_memory=False)
        loader.dataset.data_root = images
        for step in loader.dataset.pipeline:
            if "size" in step:
                step.size = SIZE
        if "metainfo" in loader.dataset:
            loader.dataset.metainfo.classes = images
    cfg.optim_wrapper.accumulative_counts = accumulate
    # So that two steps move the weights: the cosine begins at its top, which has no warm-up.
    cfg.optim_wrapper.optimizer.lr = 1.0
    cfg.custom_hooks[0].momentum = 0.1
    cfg.train_cfg.max_epochs = epochs
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f"{work_dir}_{epochs}".replace("/", "_")
    cfg.default_hooks.update(report=None, validation_pictures=None)  # which take most of the time
    cfg.launcher = "none"
    do_without_gpu(cfg)
    return cfg


def train(cfg):
    build_runner(cfg).train()
    return load_plain(f"{cfg.work_dir}/epoch_{cfg.train_cfg.max_epochs}.pth")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_killed_and_resumed_run_ends_with_the_same_weights_and_average(
    images, tmp_path, accumulate
):
    whole = train(recipe(images, tmp_path / "whole", 2, accumulate))
    first = train(recipe(images, tmp_path / "killed", 1, accumulate))
    cfg = recipe(images, tmp_path / "killed", 2, accumulate)
    cfg.resume, cfg.load_from = True, str(tmp_path / "killed/epoch_1.pth")
    resumed = train(cfg)
    for part in ("state_dict", "ema_state_dict"):
        assert whole[part].keys() == resumed[part].keys()
        for key, value in whole[part].items():
            assert torch.equal(value, resumed[part][key]), (part, key)
    moved = [key for key, value in whole["state_dict"].items() if value.is_floating_point()]
    assert any(not torch.equal(whole["state_dict"][k], first["state_dict"][k]) for k in moved)
    last = whole["ema_state_dict"]
    assert any(not torch.equal(whole["state_dict"][k], last[f"module.{k}"]) for k in moved)


@pytest.mark.parametrize(
    "name", ["base_8xb64-30e-in22k_in1k-384", "atto_32xb128-600e-supervised_in1k"]
)
def test_other_views_and_no_mixing_train_too(images, tmp_path, name):
    checkpoint = train(recipe(images, tmp_path, 1, name=name))
    assert all(v.isfinite().all() for v in checkpoint["state_dict"].values())
    assert tuple(checkpoint["meta"]["dataset_meta"]["classes"]) == ("dark", "light")
