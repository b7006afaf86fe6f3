"""Images that are in training and elsewhere are named once, by what tells most."""

import cv2
import numpy as np
import pytest

from convnextv2.data_parts import Part
from convnextv2.images import LoadImage
from convnextv2.near_duplicates import shrink
from convnextv2.overlap import check_overlap


def part(name, paths):
    made = Part(name, {"type": "None"})
    made.load = LoadImage()
    made.images = list(map(str, paths))
    made.thumbnails = {path: shrink(made.load({"img_path": path})["img"]) for path in made.images}
    return made


@pytest.fixture
def folder(tmp_path):
    """Four images of blocks in ``train`` and four others in ``val``."""
    rng = np.random.default_rng(0)
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        for i in range(4):
            blocks = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            image = cv2.resize(blocks, (96, 96), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(tmp_path / f"{name}/{i}.png"), image)
    return tmp_path


def check(folder):
    paths = [sorted((folder / name).iterdir()) for name in ("train", "val")]
    return list(check_overlap([part("train", paths[0]), part("val", paths[1])]))


def test_parts_that_share_nothing_have_no_fault(folder):
    assert check(folder) == []


def test_a_file_and_its_like_are_named_once(folder):
    (folder / "val/same.png").write_bytes((folder / "train/2.png").read_bytes())
    small = cv2.resize(cv2.imread(str(folder / "train/0.png")), (48, 48))
    cv2.imwrite(str(folder / "val/small.jpg"), small)
    same, small = check(folder)
    assert same.text == f"in training and elsewhere: {folder}/train/2.png is {folder}/val/same.png"
    assert str(small).startswith(f"{folder}/val/small.jpg: nearly the same as {folder}/train/0.png")


def test_a_part_inside_of_training_is_one_finding(folder):
    images = sorted((folder / "train").iterdir())
    (found,) = check_overlap([part("train", images), part("val", images[:3])])
    assert found.text.startswith("val: all 3 images are images of the training part too")
