"""Images and masks find each other by their names, whatever their types and folders."""

import cv2
import numpy as np
import pytest

from convnextv2.segmentation.folders import ImagesAndMasks


@pytest.fixture
def write(tmp_path):
    def write(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.zeros((4, 4), np.uint8))
        return str(tmp_path)

    return write


def pairs(root, **kwargs):
    prefix = {"img_path": "images", "seg_map_path": "masks"}
    meta = {"classes": ("a", "b")}
    dataset = ImagesAndMasks(
        **{"data_root": root, "data_prefix": prefix, "metainfo": meta, **kwargs}
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [tuple(i[k].removeprefix(root) for k in ("img_path", "seg_map_path")) for i in infos]


def test_pairs_of_any_type_in_sub_folders(write):
    root = write("images/1.jpg", "images/b/1.PNG", "masks/1.png", "masks/b/1.tif", "masks/.x.png")
    assert pairs(root) == [
        ("/images/1.jpg", "/masks/1.png"),
        ("/images/b/1.PNG", "/masks/b/1.tif"),
    ]


def test_a_suffix_of_masks_and_one_that_is_missing(write):
    root = write("images/1.png", "images/2.png", "masks/1_L.png", "masks/2.png")
    assert pairs(root, seg_map_suffix="_L.png") == [
        ("/images/1.png", "/masks/1_L.png"),
        ("/images/2.png", "/masks/2_L.png"),
    ]


def test_images_and_masks_in_one_folder(write):
    root = write("images/1.png", "images/1_L.png")
    found = pairs(
        root,
        seg_map_suffix="_L.png",
        data_prefix={"img_path": "images", "seg_map_path": "images"},
    )
    assert found == [("/images/1.png", "/images/1_L.png")]


def test_names_that_never_fit_are_explained(write):
    root = write("images/1.png", "masks/1_L.png")
    with pytest.raises(FileNotFoundError, match=r"1_L\.png, mask_suffix is '_L\.png'"):
        pairs(root)
    other = {"img_path": "images", "seg_map_path": "other"}
    with pytest.raises(FileNotFoundError, match=r"holds 1 masks of other names"):
        pairs(write("other/9.png"), data_prefix=other)
    with pytest.raises(FileNotFoundError, match=r"no images below .*images"):
        pairs(write("masks/2.png"), img_suffix=".tif")
