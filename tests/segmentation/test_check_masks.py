"""Each fault of label masks is named, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from convnextv2.segmentation.check import check_mask, check_pairs, find_unpaired


def write(path, values, mode=None):
    image = Image.fromarray(values) if mode is None else Image.fromarray(values).convert(mode)
    image.save(path)
    return path


def test_good_masks_have_no_faults(tmp_path):
    labels = np.array([[0, 1, 2], [255, 1, 1]], np.uint8)
    findings, counts = check_mask(write(tmp_path / "a.png", labels), (3, 2), 3)
    assert findings == []
    assert counts.tolist() == [1, 3, 1]
    palette = Image.fromarray(labels)
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    palette.save(tmp_path / "p.png")  # numbers with colours, as VOC's are
    assert check_mask(tmp_path / "p.png", (3, 2), 3)[0] == []
    deep = write(tmp_path / "d.png", labels.astype(np.uint16))
    assert check_mask(deep, (3, 2), 3)[0] == []
    # Classes 1 to 2, and 0 for what is not labelled.
    findings, counts = check_mask(tmp_path / "a.png", (3, 2), 2, reduce_zero_label=True)
    assert findings == []
    assert counts.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("values", "classes", "level", "text"),
    [
        (np.array([[0, 3]], np.uint8), 3, "fatal", "the values 3; the 3 classes are 0 to 2"),
        (np.array([[0, 254]], np.uint8), 3, "fatal", "the values 254"),
        (np.zeros((1, 2, 3), np.uint8), 3, "fatal", "3 channels, expected one"),
        (np.zeros((2, 1), np.uint8), 3, "fatal", "1x2 pixels, its image 2x1"),
        (np.full((1, 2), 255, np.uint8), 3, "warning", "every pixel is ignored"),
    ],
)
def test_every_fault_is_named(tmp_path, values, classes, level, text):
    (finding,), _ = check_mask(write(tmp_path / "a.png", values), (2, 1), classes)
    assert finding[0] == level
    assert text in finding[1]


def test_files_that_cannot_be_read_or_are_missing_are_named(tmp_path):
    path = write(tmp_path / "a.png", np.zeros((50, 50), np.uint8))
    path.write_bytes(path.read_bytes()[:60])
    assert check_mask(path, (50, 50), 2)[0][0][0] == "fatal"
    pair = {"img_path": str(path), "seg_map_path": str(tmp_path / "none.png")}
    assert check_pairs([pair], "train") == [("fatal", f"train: {tmp_path}/none.png does not exist")]
    assert "no images" in check_pairs([], "train")[0][1]
    (found,) = find_unpaired([pair], ".png")
    assert found == ("warning", f"{path}: a mask without an image")
