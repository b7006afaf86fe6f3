"""What is shown of a running pre-training is right, and showing it changes nothing."""

import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from convnextv2.engine.runner import StrictRunner
from convnextv2.pretrain import FCMAE, explained_detail, reconstruct
from convnextv2.pretrain.hooks.progress import mean_bytes

CUSTOM = Path(__file__).parents[3] / "configs/pretrain/fcmae_convnextv2_custom.py"
SMALL = {"depths": [1, 1, 1, 1], "channels": [4, 8, 8, 12]}
HOOKS = [
    {"type": "convnextv2.EstimateHook"},
    {"type": "convnextv2.ThroughputHook"},
    {"type": "convnextv2.ReconstructionHook", "interval": 2, "num_images": 3},
    {"type": "convnextv2.FeatureHook", "interval": 2, "num_images": 3},
]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(8):
        image = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (80, 70))
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), image)
    return tmp_path


def train(folder, name, hooks, unreadable_images=None, **model):
    """Train for four iterations of four images; returns the runner and what the log says."""
    pipeline = [
        {"type": "convnextv2.LoadImage"},
        {"type": "convnextv2.RandomResizedCrop", "size": 64},
        {"type": "convnextv2.PackFCMAEInputs"},
    ]
    runner = StrictRunner(
        {
            "type": "convnextv2.FCMAE",
            "backbone": {"type": "convnextv2.ConvNeXtV2", "arch": SMALL, "drop_path_rate": 0.3},
            "decoder_dim": 8,
            **model,
        },
        str(folder / name),
        train_dataloader={
            "batch_size": 4,
            "num_workers": 0,
            "collate_fn": {"type": "default_collate"},
            "sampler": {"type": "convnextv2.SeededInfiniteSampler", "shuffle": True},
            "dataset": {
                "type": "convnextv2.UnlabelledImages",
                "data_root": str(folder / "images"),
                "pipeline": pipeline,
            },
        },
        optim_wrapper={"optimizer": {"type": "AdamW", "lr": 0.01}},
        train_cfg={"by_epoch": False, "max_iters": 4},
        default_hooks={
            "checkpoint": None,
            "logger": {"type": "LoggerHook", "interval": 2},
            "unreadable_images": unreadable_images,
        },
        custom_hooks=hooks,
        log_processor={"by_epoch": False},
        visualizer={
            "type": "Visualizer",
            "vis_backends": [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend"}],
            "name": f"{folder.name}-{name}",
        },
        randomness={"seed": 0},
        default_scope="mmengine",
        experiment_name=f"{folder.name}-{name}",
    )
    try:
        runner.train()
    finally:
        log = "".join(path.read_text() for path in (folder / name).rglob("*.log"))
        MMLogger._instance_dict.clear()
    return runner, log


def test_pasted_picture_is_the_original_where_visible():
    model = FCMAE({"type": "convnextv2.ConvNeXtV2", "arch": SMALL}, decoder_dim=8).eval()
    inputs = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    ((original, visible, reconstruction, pasted),) = reconstruct(
        model, inputs, model.draw_mask(inputs, torch.tensor([3]))
    )
    mask = model.draw_mask(inputs, torch.tensor([3]))[0].numpy().repeat(32, 0).repeat(32, 1)
    np.testing.assert_array_equal(original, inputs[0].permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(pasted[mask], original[mask])
    np.testing.assert_array_equal(visible[mask], original[mask])
    np.testing.assert_array_equal(pasted[~mask], reconstruction[~mask])
    assert np.allclose(visible[~mask], [123.675, 116.28, 103.53])


def test_explained_detail_is_of_what_differs_within_patches():
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(5, 16, 3)) * 9 + rng.normal(size=(5, 1, 3)) * 50
    flat = patches.mean(axis=1, keepdims=True)
    assert explained_detail(patches, patches + 7) == pytest.approx(1)  # the colour is not asked for
    assert explained_detail(patches, 0 * patches) == 0  # grey
    assert explained_detail(patches, flat + 0 * patches) == 0
    assert explained_detail(patches, flat + (patches - flat) / 2) == pytest.approx(0.75)
    assert explained_detail(patches, flat - (patches - flat)) == pytest.approx(-3)
    assert explained_detail(flat, flat) == 0


def test_pictures_features_and_speed_are_written_and_change_nothing(folder):
    shown, log = train(folder, "shown", HOOKS)
    plain, _ = train(folder, "plain", [])
    for (name, a), b in zip(
        shown.model.state_dict().items(), plain.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name

    (events,) = (folder / "shown").rglob("events.out.tfevents.*")
    written = EventAccumulator(str(events.parent))
    written.Reload()
    assert [event.step for event in written.Images("reconstruction")] == [2, 4]
    picture = cv2.imdecode(
        np.frombuffer(written.Images("reconstruction")[0].encoded_image_string, np.uint8),
        cv2.IMREAD_COLOR,
    )
    assert picture.shape == (3 * 64, 4 * 64, 3)
    (share,) = re.findall(r"of the detail of hidden patches (-?[\d.]+)% .* in 3 images", log)[-1:]
    (*_, event) = written.Scalars("reconstruction/explained")
    assert event.value == pytest.approx(float(share) / 100, abs=1e-3)

    size = sum(path.stat().st_size for path in (folder / "images").iterdir()) / 8
    assert re.search(rf"estimate: 4 iterations .*16 images of {size / 1e3:.0f} kB", log)
    for wanted in (r"images_per_s: \d+\.\d+", r"memory: \d+", r"eta: \d:\d\d:\d\d"):
        assert len(re.findall(wanted, log)) == 2, wanted


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_the_file(folder):
    for path in (folder / "images").iterdir():  # of one type with the endless one
        np.save(path.with_suffix(".npy"), cv2.imread(str(path)).astype(np.float32))
        path.unlink()
    image = np.zeros((64, 64, 3), np.float32)
    image[::2] = 3e38  # finite, but its variance is not
    np.save(folder / "images/endless.npy", image)
    with pytest.raises(FloatingPointError, match=r"(?s)of 1 of 4 images .*endless\.npy$"):
        train(folder, "run", [])


def test_the_custom_config_shows_all_of_it():
    cfg = Config.fromfile(CUSTOM)
    types = [hook["type"] for hook in cfg.default_hooks.values()]
    assert {hook["type"] for hook in HOOKS} <= set(types)
    assert {"type": "TensorboardVisBackend"} in cfg.visualizer.vis_backends


class Files(list):
    """Paths, as a data set has them."""

    def get_data_info(self, place):
        return {"img_path": self[place]}


def test_the_mean_size_is_that_of_the_files_that_are_there(tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(100))
    (tmp_path / "b.png").write_bytes(bytes(300))
    (tmp_path / "dangling.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    names = ["a.png", "missing.png", "b.png", "dangling.png", "pipe.png", "null\0.png"]
    paths = Files(f"{tmp_path}/{name}" for name in names)
    assert mean_bytes(paths) == 200
    with pytest.raises(ValueError, match="none of 1 images is there"):
        mean_bytes(Files([f"{tmp_path}/missing.png"]))


def test_the_estimate_survives_files_that_cannot_be_read(folder):
    for i in range(3):
        (folder / f"images/{i}0.png").write_bytes(b"no image")
        (folder / f"images/{i}1.jpg").symlink_to("nowhere")
    many = {"type": "convnextv2.UnreadableImagesHook", "max_share": 0.9}
    _, log = train(folder, "run", [{"type": "convnextv2.EstimateHook"}], unreadable_images=many)
    assert "estimate: 4 iterations" in log
