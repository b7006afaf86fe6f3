"""Label masks are read as mmseg does, or, where it would make other labels of them, refused."""

import numpy as np
import pytest
import tifffile
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from convnextv2.engine.errors import InputError
from convnextv2.segmentation.loading import LoadLabelMask

LABELS = np.arange(256, dtype=np.uint8).reshape(8, 32)


def load(path, kind=LoadLabelMask, **facts):
    results = {"seg_map_path": str(path), "seg_fields": [], "reduce_zero_label": False, **facts}
    results = kind()(results)
    assert results["seg_fields"] == ["gt_seg_map"]
    return results["gt_seg_map"]


def write(path, labels):
    if path.suffix == ".npy":
        np.save(path, labels)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, labels)
    else:
        Image.fromarray(labels).save(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_form_gives_the_same_labels(tmp_path, suffix, dtype):
    path = tmp_path / f"a{suffix}"
    write(path, LABELS.astype(dtype))
    got = load(path)
    assert got.dtype == np.uint8
    assert np.array_equal(got, LABELS)


@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize("label_map", [None, {3: 7, 7: 255, 0: 1}])
def test_labels_become_what_they_become_in_mmseg(tmp_path, reduce, label_map):
    picture = Image.fromarray(LABELS, mode="P")
    picture.putpalette([7] * 768)
    picture.save(tmp_path / "a.png")
    facts = {"reduce_zero_label": reduce, "label_map": label_map}
    expected = load(tmp_path / "a.png", LoadAnnotations, **facts)
    got = load(tmp_path / "a.png", **facts)
    assert got.dtype == expected.dtype
    assert np.array_equal(got, expected)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (LABELS.astype(np.uint16) + 1, "has the value 256; labels are whole numbers from 0 to 255"),
        (LABELS.astype(np.float32) + 0.5, r"has the value 0\.5"),
        (LABELS.astype(np.int32) - 1, "has the value -1"),
        (np.zeros((8, 8, 3), np.uint8), "a label mask of 8 x 8 x 3 values, expected one for each"),
    ],
)
def test_what_is_no_label_is_refused_with_the_file(tmp_path, labels, reason):
    """mmseg takes 256 as 0 without a word."""
    write(tmp_path / "a.npy", labels)
    with pytest.raises(InputError, match=rf"a\.npy: .*{reason}"):
        load(tmp_path / "a.npy")


def test_a_file_that_is_no_mask_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"a\.png: cannot identify image file"):
        load(tmp_path / "a.png")
