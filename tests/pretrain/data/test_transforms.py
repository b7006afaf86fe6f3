"""Images reach the model as they are in the file, and draws depend on their place alone."""

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.registry import MODELS
from torch.utils.data import DataLoader

from convnextv2.engine.seeded_dataset import SeededDataset
from convnextv2.engine.seeding import SeededIndex, SeededInfiniteSampler, SeededSampler
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.pretrain import RandomFlips, RandomResizedCrop

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


def test_epochs_differ_and_repeat():
    sampler = SeededSampler(range(10), seed=3)
    first = [(i, i.seed) for i in sampler]
    sampler.set_epoch(1)
    second = [(i, i.seed) for i in sampler]
    sampler.set_epoch(0)
    assert [(i, i.seed) for i in sampler] == first
    assert sorted(second)[0][1] != sorted(first)[0][1]
    assert sorted(i for i, _ in second) == list(range(10))


def test_skipping_goes_to_the_same_draws():
    whole = iter(SeededInfiniteSampler(range(7), seed=3))
    expected = [(i, i.seed) for i, _ in zip(whole, range(20), strict=False)][12:]
    resumed = SeededInfiniteSampler(range(7), seed=3)
    resumed.skip(12)
    assert [(i, i.seed) for i, _ in zip(iter(resumed), range(8), strict=False)] == expected


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


def test_sixteen_bits_and_one_channel_stay_as_they_are(tmp_path):
    image = np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40
    cv2.imwrite(str(tmp_path / "deep.tif"), image)
    loaded = LoadImage(in_channels=1)({"img_path": str(tmp_path / "deep.tif")})["img"]
    assert loaded.dtype == np.uint16
    assert np.array_equal(loaded[..., 0], image)
    with pytest.raises(UnreadableImageError, match=r"deep.tif: 1 channels, expected 4"):
        LoadImage(in_channels=4)({"img_path": str(tmp_path / "deep.tif")})
    pipeline = [dict(t, in_channels=1) if "Load" in t["type"] else t for t in PIPELINE]
    assert make_dataset(tmp_path, pipeline)[SeededIndex(0, 0)]["inputs"].shape == (1, 32, 32)


@pytest.mark.parametrize("planar", ["contig", "separate", None])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4, 13])
def test_tiff_files_of_many_channels(tmp_path, channels, dtype, planar):
    image = (np.random.default_rng(0).random((40, 50, channels)) * 200).astype(dtype)
    stored = image.transpose(2, 0, 1) if planar == "separate" else image
    path = tmp_path / "bands.TIF"
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar)
    loaded = LoadImage(in_channels=channels)({"img_path": str(path)})["img"]
    assert loaded.dtype == dtype
    assert np.array_equal(loaded, image)
    crop = RandomResizedCrop(32)({"img": loaded})["img"]
    assert crop.shape == (32, 32, channels)
    assert crop.dtype == dtype


def test_four_channels_and_sixteen_bits_keep_their_order(tmp_path):
    image = np.random.default_rng(0).integers(0, 2**16, (40, 50, 4)).astype(np.uint16)
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, image[..., [2, 1, 0, 3]])  # OpenCV's order
    assert np.array_equal(LoadImage(in_channels=4)({"img_path": path})["img"], image)
    assert np.array_equal(LoadImage(in_channels=3)({"img_path": path})["img"], image[..., :3])


def test_arrays_are_taken_as_they_are(tmp_path):
    image = np.random.default_rng(0).random((40, 50, 7)).astype(np.float32)
    np.save(tmp_path / "a.npy", image)
    loaded = LoadImage(in_channels=7)({"img_path": str(tmp_path / "a.npy")})["img"]
    assert np.array_equal(loaded, image)
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UnreadableImageError, match=r"object.npy: Object arrays cannot be loaded"):
        LoadImage()({"img_path": str(tmp_path / "object.npy")})


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist; set"):
        make_dataset(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no images below"):
        make_dataset(tmp_path)


def test_crops_keep_to_their_scale_and_ratio():
    """An image whose pixels hold their own coordinates shows which area was cut."""
    np.random.seed(0)
    y, x = np.mgrid[:100, :200].astype(np.float32)
    image = np.stack([y, x], axis=-1)
    crop = RandomResizedCrop(size=(20, 40), scale=(0.2, 0.5), ratio=(0.8, 1.25))
    for _ in range(50):
        out = crop({"img": image})["img"]
        assert out.shape == (20, 40, 2)
        height, width = np.ptp(out[..., 0]) * 20 / 19, np.ptp(out[..., 1]) * 40 / 39
        assert 0.18 < height * width / 20000 < 0.53
        assert 0.75 < width / height / 2 < 1.33


def test_a_long_image_is_cropped_all_the_same():
    image = np.zeros((10, 1000, 3), np.uint8)
    assert RandomResizedCrop(32, scale=(0.9, 1.0))({"img": image})["img"].shape == (32, 32, 3)


def test_flips_mirror_the_right_axis():
    image = np.arange(6).reshape(2, 3, 1)
    assert np.array_equal(RandomFlips(1, 0)({"img": image})["img"], image[:, ::-1])
    assert np.array_equal(RandomFlips(0, 1)({"img": image})["img"], image[::-1])
    assert np.array_equal(RandomFlips(0, 0)({"img": image})["img"], image)
