"""Labelled images have the class that their folder or list says, by name, or are refused."""

import json

import cv2
import numpy as np
import pytest

from convnextv2.engine.seeded_dataset import SeededDataset
from convnextv2.engine.seeding import SeededIndex
from convnextv2.pretrain.supervised import LabelledImages
from convnextv2.pretrain.supervised.classes import read_classes

NAMES = ("cat/1.png", "cat/old/2.JPG", "dog/.thumb.png", "dog/1.png", "wolf/3.bmp")


@pytest.fixture
def folder(tmp_path):
    """Four images in three folders, one deeper, a hidden one and files that are no images."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (12, 14, 3), dtype=np.uint8))
    (tmp_path / "train/notes.txt").write_text("no image")
    (tmp_path / "train/.cache").mkdir()
    return tmp_path


def read(dataset, root):
    """The labels by the images' paths below a folder, in their order."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    names = [info["img_path"].removeprefix(f"{root}/") for info in infos]
    return dict(zip(names, [info["gt_label"] for info in infos], strict=True))


def make(folder, **options):
    return LabelledImages(str(folder / "train"), **options)


def write(folder, name, text):
    (folder / "train" / name).write_text(text)
    return name


FOUND = {"cat/1.png": 0, "cat/old/2.JPG": 0, "dog/1.png": 1, "wolf/3.bmp": 2}


def test_folders_are_classes_and_hold_what_is_below_them(folder):
    dataset = make(folder)
    assert read(dataset, folder / "train") == FOUND
    assert dataset.metainfo["classes"] == ("cat", "dog", "wolf")
    assert dataset.get_cat_ids(3) == [2]
    loaded = make(folder, pipeline=[{"type": "convnextv2.LoadImage"}])[1]
    assert (loaded["img"].shape, loaded["gt_label"]) == ((12, 14, 3), 0)


def test_a_part_that_lacks_a_class_keeps_the_numbers_of_training(folder):
    (folder / "val").mkdir()
    (folder / "train/wolf").rename(folder / "val/wolf")
    (folder / "train/wolf").mkdir()
    for classes in (str(folder / "train"), ("cat", "dog", "wolf")):
        dataset = LabelledImages(str(folder / "val"), metainfo={"classes": classes})
        assert read(dataset, folder / "val") == {"wolf/3.bmp": 2}
        assert dataset.metainfo["classes"] == ("cat", "dog", "wolf")
    with pytest.raises(ValueError, match=r"train has the folder 'dog' and 1 more, which is none"):
        make(folder, metainfo={"classes": ("cat",)})


CSV = "file_name,width,label\ncat/1.png,14,wolf\n" + '"dog/1.png",14,"a cat"\n'
LISTS = {
    "names.txt": (
        "cat/1.png wolf\n\ndog/.thumb.png lynx\n ./dog/1.png\tcat\n",
        [1, 0],
        ("cat", "wolf"),
    ),
    "spaces.txt": ("cat/1.png\ta wolf\ndog/1.png\tthe cat\n", [0, 1], ("a wolf", "the cat")),
    "numbers.txt": ("cat/1.png 2\r\ndog/1.png 0\r\n", [2, 0], ("0", "1", "2")),
    "two.csv": ("cat/1.png;2\ndog/1.png;0\n", [2, 0], ("0", "1", "2")),
    "head.csv": (CSV, [1, 0], ("a cat", "wolf")),
    "by_path.json": (json.dumps({"cat/1.png": 1, "dog/1.png": 0}), [1, 0], ("0", "1")),
    "pairs.json": (json.dumps([["cat/1.png", "b"], ["dog/1.png", "a"]]), [1, 0], ("a", "b")),
    "mm.json": (
        json.dumps(
            {
                "metainfo": {"classes": ["wolf", "cat"]},
                "data_list": [
                    {"img_path": "cat/1.png", "gt_label": 1},
                    {"img_path": "dog/1.png", "gt_label": [0]},
                ],
            }
        ),
        [1, 0],
        ("wolf", "cat"),
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_say_the_labels(folder, name):
    text, labels, classes = LISTS[name]
    dataset = make(folder, ann_file=write(folder, name, text))
    found = read(dataset, folder / "train")
    assert found == dict(zip(["cat/1.png", "dog/1.png"], labels, strict=True))
    assert dataset.metainfo["classes"] == classes


def test_numbers_of_a_list_are_those_of_the_folders(folder):
    """As of ImageNet's val.txt: the position in the sorted names of the folders."""
    name = write(folder, "val.txt", "cat/1.png 2\ndog/1.png 1\n")
    dataset = make(folder, ann_file=name, metainfo={"classes": str(folder / "train")})
    assert read(dataset, folder / "train") == {"cat/1.png": 2, "dog/1.png": 1}
    assert dataset.metainfo["classes"] == ("cat", "dog", "wolf")


WRONG = {
    "cat/1.png": r"list\.txt, line 1: 'cat/1\.png' has no label; expected PATH LABEL",
    "cat/1.png dig": r"line 1: the label 'dig' is none of the 3 classes; did you mean dog\?",
    "cat/1.png 0\ndog/1.png 3": r"line 2: the label 3 is out of range, 3 classes are 0 to 2",
    "cat/1.png 1\ndog/1.png 3": r"out of range.*no label is 0: are they counted from 1\?",
    "cat/1.png 0\ndog/1.png -1": r"line 1: the label '0' is none of the 3 classes, 'cat', 'dog'",
    "cat/1.png 0\ndog/1.png dog": r"line 1: the label '0' is none of the 3 classes",
    "cat/1.png 0\n./cat/1.png 0": r"names \S+cat/1\.png 2 times, with the same label",
    "cat/1.png 0\ncat/1.png 1": r"names \S+cat/1\.png 2 times, with different labels",
    "1.png 0\ncat/1.jpg 1": r"fits no file: none of 2 looked for is there, such as \S+train/1\.png",
    "\n": r"list\.txt names no images",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_lists_are_refused_with_the_line(folder, text):
    name = write(folder, "list.txt", text)
    with pytest.raises((ValueError, FileNotFoundError), match=WRONG[text]):
        make(folder, ann_file=name, metainfo={"classes": ("cat", "dog", "wolf")})


ODD = {
    "a.json": ("[1]", "entry 0: 1 is no image with its label"),
    "b.json": ('[["a.png", 1.5]]', r"the label of 'a\.png' is 1\.5; expected one class"),
    "c.json": ('[["a.png", [0, 1]]]', r"is \[0, 1\]; expected one class"),
    "d.json": ("{", "no json"),
    "e.csv": ("a,b,c\n", r"line 1 has 3 columns, 'a,b,c'; expected PATH,LABEL, or a header"),
    "f.csv": ("path,label\na.png\n", "line 2 has 1 columns"),
    "h.csv": ("image_id,label\ncat/1,0\n", "line 1 has 2 columns, 'image_id,label'; expected PATH"),
    "g.txt": ("a.png 99999999", "the label 99999999 is too large for a class' number"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_list_is_refused(folder, name):
    text, message = ODD[name]
    with pytest.raises(ValueError, match=message):
        make(folder, ann_file=write(folder, name, text))


def test_folders_that_hold_no_classes_are_named(folder, tmp_path):
    (folder / "val").mkdir()
    with pytest.raises(ValueError, match=r"holds train, val, which are parts of the data"):
        LabelledImages(str(folder))
    with pytest.raises(FileNotFoundError, match=r"no folders of classes in .*val: expected"):
        LabelledImages(str(folder / "val"))
    (folder / "val/cat").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no images in the folders of .*val"):
        LabelledImages(str(folder / "val"))
    with pytest.raises(FileNotFoundError, match="nowhere does not exist; set"):
        LabelledImages(str(folder / "nowhere"))


def test_classes_come_from_files_and_folders_too(folder):
    (folder / "names.txt").write_text("dog\ncat\n")
    (folder / "names.json").write_text('{"1": "cat", "0": "dog"}')
    (folder / "index.json").write_text('{"cat": 1, "dog": 0}')
    for source in ("names.txt", "names.json", "index.json"):
        assert read_classes(str(folder / source)) == ("dog", "cat")
    assert read_classes(folder / "train") == ("cat", "dog", "wolf")
    (folder / "gap.json").write_text('{"1": "cat", "3": "dog"}')
    wrong = {str(folder / "gap.json"): "0 to 1", "cat": r"write \('cat',\)", ("a", "a"): "twice"}
    for source, message in wrong.items():
        with pytest.raises(ValueError, match=message):
            read_classes(source)


def test_an_unreadable_image_is_replaced_in_training_and_blank_in_validation(folder):
    """Another image brings its own label; in validation the image counts, and nothing is seen."""
    (folder / "train/dog/1.png").write_bytes(b"no image")
    place = list(FOUND).index("dog/1.png")
    dataset = SeededDataset(make(folder, pipeline=[{"type": "convnextv2.LoadImage"}]))
    for seed in range(8):
        sample = dataset[SeededIndex(place, seed)]
        name = sample["img_path"].removeprefix(f"{folder}/train/")
        assert name != "dog/1.png"
        assert sample["gt_label"] == FOUND[name]
        assert "dog/1.png: truncated, or no image" in sample["unreadable"]
    dataset.use_blanks()
    sample = dataset[place]
    assert (sample["gt_label"], sample["img"].any()) == (1, False)
    assert sample["img_path"] == f"{folder}/train/dog/1.png"
    assert "dog/1.png: truncated, or no image" in sample["unreadable"]


def test_a_part_of_the_images_is_the_same_images(folder):
    """As ``indices`` of mmengine's data sets ask for it."""
    found = list(FOUND.items())
    assert list(read(make(folder, indices=2), folder / "train").items()) == found[:2]
    assert list(read(make(folder, indices=-1), folder / "train").items()) == found[-1:]
    assert list(read(make(folder, indices=[3, 0]), folder / "train").items()) == [
        found[3],
        found[0],
    ]
