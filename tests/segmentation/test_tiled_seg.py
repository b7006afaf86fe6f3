"""Tiles of large images in training: pixels and labels are those of the whole image."""

import cv2
import numpy as np
import pytest
import tifffile

from convnextv2.engine.errors import InputError
from convnextv2.segmentation.tiled_dataset import TiledSegDataset

PIPELINE = [
    {"type": "convnextv2.LoadImage", "channel_order": "bgr", "dtype": "uint8"},
    {"type": "convnextv2.LoadLabelMask"},
    {"type": "mmseg.PackSegInputs"},
]


@pytest.fixture
def data(tmp_path):
    """Folder, pixels and labels of an image, as a TIFF and as a PNG."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (100, 140, 3), dtype=np.uint8)
    labels = rng.integers(0, 4, (100, 140), dtype=np.uint8)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    tifffile.imwrite(tmp_path / "images/a.tif", pixels, tile=(32, 32), photometric="rgb")
    cv2.imwrite(str(tmp_path / "images/b.png"), pixels[..., ::-1])
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"masks/{name}.png"), labels)
    return tmp_path, pixels, labels


def build(folder, **settings):
    dataset = {
        "type": "convnextv2.ImagesAndMasks",
        "data_root": str(folder),
        "data_prefix": {"img_path": "images", "seg_map_path": "masks"},
        "metainfo": {"classes": ("a", "b", "c")},
        "reduce_zero_label": True,
        "pipeline": [],
    }
    return TiledSegDataset(dataset, tile_size=64, overlap=16, pipeline=PIPELINE, **settings)


def test_tiles_hold_what_the_image_holds_there(data):
    folder, pixels, labels = data
    tiles = build(folder)
    assert len(tiles) == 2 * 2 * 3
    labels = np.where(labels == 0, 255, labels - 1)
    for i in range(len(tiles)):
        x0, y0, x1, y1 = tiles.get_data_info(i)["tile"]
        sample = tiles[i]
        image = sample["inputs"].permute(1, 2, 0).numpy()[..., ::-1]
        assert np.array_equal(image, pixels[y0:y1, x0:x1])
        found = sample["data_samples"].gt_sem_seg.data[0].numpy()
        assert np.array_equal(found, labels[y0:y1, x0:x1])


def test_tiles_are_scaled_and_cropped_as_images_are(data, monkeypatch):
    plain = build(data[0])
    crop = {"type": "convnextv2.RandomLabelledCrop", "scale": (64, 64), "ratio_range": (1, 1)}
    steps = [PIPELINE[1], {**crop, "crop_size": (32, 48)}, PIPELINE[0], PIPELINE[2]]
    monkeypatch.setattr("test_tiled_seg.PIPELINE", steps)
    tiles = build(data[0])
    for i in range(len(tiles)):
        np.random.seed(i)
        sample = tiles[i]
        assert sample["inputs"].shape == (3, 32, 48)
        np.random.seed(i)
        np.random.random_sample()
        y, x = (np.random.randint(0, margin + 1) for margin in (32, 16))
        whole = plain[i]
        assert np.array_equal(sample["inputs"], whole["inputs"][:, y : y + 32, x : x + 48])
        labels = (s["data_samples"].gt_sem_seg.data[0] for s in (sample, whole))
        found, expected = labels
        assert np.array_equal(found, expected[y : y + 32, x : x + 48])


def test_a_mask_of_another_size_is_named(data):
    folder, _, labels = data
    cv2.imwrite(str(folder / "masks/a.png"), labels[:50])
    with pytest.raises(InputError, match=r"a\.png has 50 x 140 pixels, its image 100 x 140"):
        build(folder)[0]


def test_label_masks_have_no_empty_tiles(data):
    with pytest.raises(InputError, match="empty_share is of objects"):
        build(data[0], empty_share=0.1)
