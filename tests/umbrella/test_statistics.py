"""Mean and std of a data set are numpy's over all its pixels, and the model uses them."""

import json
import sys
from contextlib import redirect_stdout
from datetime import datetime, timezone
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

from convnextv2 import statistics
from convnextv2.engine.config import read_config
from convnextv2.engine.inputs import check_inputs
from convnextv2.pretrain import FCMAEDataPreprocessor
from convnextv2.statistics import PixelStatistics, read_statistics
from convnextv2.tools.dataset_converters import compute_statistics

REPO = Path(__file__).resolve().parents[2]
CONFIG = REPO / "configs/pretrain/fcmae_convnextv2_custom.py"


@pytest.fixture
def compute(monkeypatch, tmp_path):
    """The command, in this process: flags, options -> what it prints of the images of the test."""
    monkeypatch.chdir(tmp_path)

    def run(*options, flags=("--workers", "0")):
        options = "--cfg-options", f"data_root={tmp_path}", *options
        monkeypatch.setattr(sys, "argv", ["compute_statistics.py", str(CONFIG), *flags, *options])
        with redirect_stdout(StringIO()) as printed:
            compute_statistics.main()
        return printed.getvalue()

    return run


def write(folder, images, suffix):
    for i, image in enumerate(images):
        path = folder / f"{i}{suffix}"
        if suffix == ".npy":
            np.save(path, image)
        else:  # OpenCV's order
            cv2.imwrite(str(path), image[..., ::-1] if image.shape[2] == 3 else image)


@pytest.mark.parametrize(
    ("channels", "dtype", "suffix"),
    [(3, np.uint8, ".png"), (1, np.uint16, ".png"), (3, np.uint16, ".png"), (5, "f4", ".npy")],
)
def test_statistics_are_those_of_all_pixels_together(tmp_path, compute, channels, dtype, suffix):
    rng = np.random.default_rng(0)
    top = 200 if dtype == np.uint8 else 60000
    # Of different sizes and brightness: the mean of means would be another.
    images = [
        (rng.random((20 + 9 * i, 30, channels)) * top / (i + 1)).astype(dtype) for i in range(5)
    ]
    write(tmp_path, images, suffix)
    (tmp_path / "text.png").write_text("no image")
    options = [f"bands={channels}", f"dtype={np.dtype(dtype).name}"]
    output = compute(*options)
    assert "1 images were left out" in output
    assert "text.png: truncated, or no image" in output

    pixels = np.concatenate([i.reshape(-1, channels) for i in images]).astype(np.float64)
    facts = json.loads((tmp_path / "statistics.json").read_text())
    np.testing.assert_allclose(facts["mean"], pixels.mean(0), rtol=1e-10)
    np.testing.assert_allclose(facts["std"], pixels.std(0), rtol=1e-10)
    assert facts["images"] == 5
    assert facts["pixels"] == len(pixels)
    assert facts["channels"] == channels
    assert facts["dtype"] == [np.dtype(dtype).name]
    assert datetime.fromisoformat(facts["date"]) <= datetime.now(timezone.utc)
    preprocess = FCMAEDataPreprocessor(statistics=str(tmp_path / "statistics.json"))
    np.testing.assert_allclose(preprocess.mean.flatten(), pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(preprocess.std.flatten(), pixels.std(0), rtol=1e-6)


def test_processes_share_the_images_and_a_part_of_them_is_enough(tmp_path, compute):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 40 * (i + 1), (16, 16, 3), dtype=np.uint8) for i in range(6)]
    write(tmp_path, images, ".png")
    facts = []
    for workers in ("0", "2"):
        compute(flags=("--workers", workers, "--max-images", "4", "--out", "part.json"))
        facts.append(json.loads((tmp_path / "part.json").read_text()))
        assert facts[-1].pop("date")
    assert facts[0] == facts[1]
    assert facts[0]["images"] == 4
    assert not (tmp_path / "statistics.json").exists()


def test_large_images_are_taken_in_parts(monkeypatch):
    image = np.random.default_rng(0).integers(0, 60000, (50, 30, 2), dtype=np.uint16)
    monkeypatch.setattr(statistics, "BLOCK", 400)
    of = PixelStatistics.of(image)
    np.testing.assert_allclose(of.mean, image.mean((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(of.std, image.std((0, 1), dtype=np.float64), rtol=1e-12)
    assert (of.images, of.pixels) == (1, 1500)


def test_a_large_offset_does_not_cancel():
    image = np.random.default_rng(0).normal(1e9, 1, (100, 100, 1))
    parts = PixelStatistics()
    for part in np.split(image, 10):
        parts.merge(PixelStatistics.of(part))
    assert parts.std[0] == pytest.approx(image.std(), rel=1e-6)


def test_training_asks_for_statistics_that_are_not_there(tmp_path):
    options = [f"data_root={tmp_path}"]
    options += ["model.data_preprocessor.statistics=nowhere.json"]
    cfg = read_config(str(CONFIG), options)
    with pytest.raises(SystemExit) as error:
        check_inputs(cfg, ("train_dataloader",))
    message = str(error.value)
    assert "These do not exist:\n  nowhere.json   (model.data_preprocessor.stat" in message
    assert "tools/dataset_converters/compute_statistics.py CONFIG" in message


def test_bad_input_is_named(tmp_path, compute):
    with pytest.raises(FileNotFoundError, match=r"no statistics at .*nowhere\.json; tools"):
        FCMAEDataPreprocessor(statistics=str(tmp_path / "nowhere.json"))
    (tmp_path / "a.json").write_text('{"mean": [1]}')
    with pytest.raises(ValueError, match=r"a\.json is no file of tools/.*/compute_statistics"):
        read_statistics(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"mean": [1], "std": [0]}')
    with pytest.raises(ValueError, match="no std 0"):
        read_statistics(tmp_path / "a.json")
    write(tmp_path, [np.full((8, 8, 3), 7, np.uint8)], ".png")
    with pytest.raises(ValueError, match="a channel is the same everywhere"):
        compute()


def test_images_of_different_types_are_said():
    both = PixelStatistics.of(np.ones((4, 4, 1), np.uint8))
    assert not both.describe_types()
    both.merge(PixelStatistics.of(np.ones((4, 4, 1), np.uint16)))
    assert "of the types uint16, uint8, whose values do not mean the same" in both.describe_types()


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_four_channels_are_counted_in_the_order_of_the_loader(tmp_path, order):
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 4), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    load = {"type": "convnextv2.LoadImage", "in_channels": 4, "channel_order": order}
    entry = {"type": "convnextv2.UnlabelledImages", "data_root": str(tmp_path), "pipeline": [load]}
    found, _ = statistics.measure(DATASETS.build(entry))
    expected = image if order == "bgr" else image[..., [2, 1, 0, 3]]
    np.testing.assert_allclose(found.mean, expected.mean((0, 1)))
