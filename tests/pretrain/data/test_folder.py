"""Images reach the model as they are in the file, and draws depend on their place alone."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from torch.utils.data import DataLoader

from convnextv2.engine.seeded_dataset import SeededDataset
from convnextv2.engine.seeding import SeededIndex, SeededInfiniteSampler, SeededSampler

PIPELINE = [
    {"type": "convnextv2.LoadImage"},
    {"type": "convnextv2.RandomResizedCrop", "size": 32},
    {"type": "convnextv2.RandomFlips", "vertical": 0.5},
    {"type": "convnextv2.PackFCMAEInputs"},
]


@pytest.fixture
def folder(tmp_path):
    """Five images in a folder with and without sub-folders, and a file that is no image."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(["a.png", "b/c.jpg", "b/d.JPG", "e/f/g.tif", "h.bmp"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (40 + i, 50, 3), dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def make_dataset(folder, pipeline=PIPELINE):
    cfg = {"type": "convnextv2.UnlabelledImages", "data_root": str(folder), "pipeline": pipeline}
    return SeededDataset(cfg)


def test_all_images_below_the_folder_are_found(folder):
    dataset = make_dataset(folder)
    assert len(dataset) == 5
    sample = dataset[SeededIndex(2, 0)]
    assert sample["inputs"].shape == (3, 32, 32)
    assert sample["inputs"].dtype == torch.uint8


def test_a_draw_depends_on_its_seed_alone(folder):
    """Same index and seed: same crop, flips and mask seed, whatever was drawn in between."""
    dataset = make_dataset(folder)
    first = dataset[SeededIndex(1, 7)]
    dataset[SeededIndex(3, 8)]
    again, other = dataset[SeededIndex(1, 7)], dataset[SeededIndex(1, 9)]
    assert torch.equal(first["inputs"], again["inputs"])
    assert first["seed"] == again["seed"]
    assert not torch.equal(first["inputs"], other["inputs"])


@pytest.mark.parametrize("sampler", [SeededSampler, SeededInfiniteSampler])
def test_batches_do_not_depend_on_the_number_of_workers(folder, sampler):
    batches = []
    for workers in (0, 2):
        dataset = make_dataset(folder)
        loader = DataLoader(dataset, 2, sampler=sampler(dataset, seed=3), num_workers=workers)
        batches.append([b for b, _ in zip(loader, range(2), strict=False)])
    for one, two in zip(*batches, strict=True):
        assert torch.equal(one["inputs"], two["inputs"])
        assert torch.equal(one["seed"], two["seed"])


def test_colours_are_rgb_and_reach_the_model_normalised(tmp_path):
    image = np.zeros((40, 40, 3), np.uint8)
    image[..., 2] = 200  # red, in OpenCV's order
    cv2.imwrite(str(tmp_path / "red.png"), image)
    sample = make_dataset(tmp_path)[SeededIndex(0, 0)]
    assert sample["inputs"].amax((1, 2)).tolist() == [200, 0, 0]
    preprocess = MODELS.build(
        {"type": "convnextv2.FCMAEDataPreprocessor", "mean": [100, 1, 2], "std": [50, 1, 4]}
    )
    batch = preprocess({"inputs": [sample["inputs"]], "seed": 1})
    assert batch["inputs"][0, :, 0, 0].tolist() == [2.0, -1.0, -0.5]
    torch.testing.assert_close(preprocess.denormalize(batch["inputs"])[0], sample["inputs"].float())


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist; set"):
        make_dataset(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no images below"):
        make_dataset(tmp_path)


def test_one_channel_of_sixteen_bits_passes_the_pipeline(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.tif"), np.ones((40, 40), np.uint16))
    pipeline = [dict(t, in_channels=1) if "Load" in t["type"] else t for t in PIPELINE]
    assert make_dataset(tmp_path, pipeline)[SeededIndex(0, 0)]["inputs"].shape == (1, 32, 32)
