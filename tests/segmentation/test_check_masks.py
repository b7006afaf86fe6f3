"""Each fault of label masks is named, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from convnextv2.segmentation.check import (
    check_pairs,
    find_other_suffixes,
    find_softmax_of_one,
    find_unpaired,
)
from convnextv2.segmentation.check_labels import Labels, hides_class, judge_values, read_mask


def write(path, values, mode=None):
    image = Image.fromarray(values) if mode is None else Image.fromarray(values).convert(mode)
    image.save(path)
    return str(path)


def judge(values, labels, classes="abcdefgh"):
    """Levels and texts of what is found in masks of these values."""
    names = [f"{place}.png" for place in values]
    found = judge_values(values, labels, list(classes[: labels.number]), names, names, "train")
    return [(finding.level, str(finding)) for finding in found]


def test_good_masks_have_no_faults(tmp_path):
    pixels = np.array([[0, 1, 2], [255, 1, 1]], np.uint8)
    right = ([], (3, 2), {0: 1, 1: 3, 2: 1, 255: 1})
    assert read_mask(write(tmp_path / "a.png", pixels)) == right
    palette = Image.fromarray(pixels)
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    palette.save(tmp_path / "p.png")  # numbers with colours, as VOC's are
    assert read_mask(str(tmp_path / "p.png")) == right
    assert read_mask(write(tmp_path / "d.png", pixels.astype(np.uint16))) == right
    np.save(tmp_path / "n.npy", pixels[..., None])
    assert read_mask(str(tmp_path / "n.npy")) == right
    assert judge({0: right[2]}, Labels(3)) == []
    # Classes 1 to 2, and 0 for what is not labelled.
    assert judge({0: right[2]}, Labels(2, reduce_zero_label=True)) == []
    # Old labels 0, 1, 2, of which the config wants the last.
    assert judge({0: right[2]}, Labels(1, label_map={0: 255, 1: 255, 2: 0})) == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.zeros((1, 2, 3), np.uint8), "3 channels, expected one"),
        (np.zeros((1, 2, 3), np.uint8), "all channels are equal"),
        (np.array([[[9, 0, 0], [0, 0, 7]]], np.uint8), "the colours (9, 0, 0), (0, 0, 7)"),
        (np.array([[0, 300]], np.uint16), "takes the lower 8 bits, 300 as 44"),
    ],
)
def test_masks_that_hold_no_class_numbers_are_named(tmp_path, values, text):
    (finding,), _, found = read_mask(write(tmp_path / "a.png", values))
    assert finding.level == "fatal"
    assert text in finding.text
    assert found is None


def test_a_mask_saved_as_jpeg_is_named_whatever_it_is_called(tmp_path):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png", format="JPEG")
    (finding,), _, _ = read_mask(str(tmp_path / "a.png"))
    assert "saved as JPEG" in finding.text


@pytest.mark.parametrize(
    ("values", "labels", "level", "text"),
    [
        (
            [{0: 1, 1: 1, 11: 4}],
            Labels(2),
            "fatal",
            "value 11 (4 pixels); the 2 classes are 0 to 1",
        ),
        ([{0: 1, 1: 1, 11: 4}], Labels(2), "fatal", "is it void? `ignore_index=11`"),
        ([{0: 1, 1: 1, 255: 4}], Labels(2, ignored=11), "fatal", "255 is not ignored"),
        ([{1: 1, 2: 1}, {2: 3}], Labels(2), "fatal", "`reduce_zero_label=True`"),
        ([{0: 1, 128: 1}], Labels(2), "fatal", "is 128 class 1?"),
        ([dict.fromkeys(range(40), 1)], Labels(2), "fatal", "numbers of objects"),
        ([{0: 1, 255: 5}] * 2, Labels(2), "fatal", "'b' has no pixel: is 255 the class?"),
        (
            [{0: 1, 255: 5}, *[{0: 1, 1: 2}] * 9],
            Labels(2),
            "warning",
            "hardly another mask has 255",
        ),
        ([{255: 5}, {0: 1, 1: 2}], Labels(2), "warning", "every pixel is ignored"),
        ([{0: 5}], Labels(2), "warning", "class 'b' has no pixel"),
        ([{0: 5, 1: 2}], Labels(2, True), "warning", "reduce_zero_label=False"),
    ],
)
def test_every_fault_of_values_is_named(values, labels, level, text):
    found = judge(dict(enumerate(values)), labels)
    assert [f for f in found if f[0] == level and text in f[1]], found


def test_what_the_config_ignores_is_no_fault():
    assert judge({0: {0: 1, 1: 1, 11: 4}}, Labels(2, ignored=11)) == []
    assert not hides_class({0: {0: 1, 255: 4}, 1: {0: 1, 1: 1, 255: 1}}, Labels(2))


def test_a_value_of_many_masks_is_one_group():
    values = {place: {0: 1, 1: 1, 11: 4} for place in range(7)}
    names = [f"{place}.png" for place in values]
    found = list(judge_values(values, Labels(2), ["a", "b"], names, names, "train"))
    assert len(found) == 7
    assert len({finding.kind for finding in found}) == 1


def test_files_that_cannot_be_read_or_are_missing_are_named(tmp_path):
    whole = write(tmp_path / "a.png", np.zeros((50, 50), np.uint8))
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:60])
    assert read_mask(whole)[0][0].level == "fatal"
    pair = {"img_path": whole, "seg_map_path": str(tmp_path / "none.png")}
    (found,) = check_pairs([pair], "train")
    assert found.level == "fatal"
    assert str(found) == f"train: {tmp_path}/none.png does not exist"
    assert "no images" in str(check_pairs([], "train")[0])
    (found,) = find_unpaired([pair], ".png")
    assert str(found) == f"{whole}: a mask without an image"


def test_images_that_a_suffix_leaves_out_are_named(tmp_path):
    for name in ("0.png", "1.PNG", "2.jpg", "0_mask.png", "notes.txt", "._3.jpg"):
        (tmp_path / name).touch()
    images = [str(tmp_path / "0.png")]
    found = find_other_suffixes(tmp_path, images, ".png", "_mask.png")
    assert [finding.file for finding in found] == [str(tmp_path / n) for n in ("1.PNG", "2.jpg")]


def test_a_softmax_of_one_class_is_fatal():
    loss = {"type": "mmseg.CrossEntropyLoss"}
    heads = {
        "decode_head": {"num_classes": 1, "loss_decode": loss},
        "auxiliary_head": {"num_classes": 1, "loss_decode": [{**loss, "use_sigmoid": True}]},
        "other": {"num_classes": 2, "loss_decode": loss},
    }
    import mmseg.models  # noqa: F401

    (found,) = find_softmax_of_one(heads)
    assert "decode_head has one class under a softmax" in found.text
