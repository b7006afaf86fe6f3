"""convert_labels.py: masks of colours and numbers become label masks, split as asked."""

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image

from convnextv2.engine.errors import InputError
from convnextv2.tools.dataset_converters.formats import to_masks
from convnextv2.tools.dataset_converters.formats.arguments import make_arguments
from convnextv2.tools.dataset_converters.formats.colour_tables import read_colours
from convnextv2.tools.dataset_converters.formats.label_masks import read_numbers_mask
from convnextv2.tools.dataset_converters.formats.records import UnusableError
from convnextv2.tools.dataset_converters.formats.splits import split

COLOURS = {"Sky": (128, 128, 128), "Road": (128, 64, 128), "Void": (0, 0, 0)}
LABELS = np.array([[0, 0, 1, 1], [2, 0, 1, 1], [2, 2, 0, 0]], np.uint8)
TABLES = {
    "label_colors.txt": "128 128 128\tSky\n128 64 128\tRoad\n0 0 0\t\tVoid\n",
    "class_dict.csv": "name,r,g,b\nSky, 128, 128, 128\nRoad, 128, 64, 128\nVoid, 0, 0, 0\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nSky:128,128,128::\nRoad:128,64,128::\n"
    "Void:0,0,0::\n",
    "table.yaml": "Sky: [128, 128, 128]\nRoad: '#804080'\nVoid: [0, 0, 0]\n",
}


@pytest.fixture
def root(tmp_path):
    """Two drives of three images, coloured masks called as CamVid's, and a table."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    palette = np.array(list(COLOURS.values()), np.uint8)
    for drive in ("x", "y"):
        for i in range(3):
            Image.new("RGB", (4, 3), (i, 0, 0)).save(tmp_path / "images" / f"{drive}_{i}.png")
            Image.fromarray(palette[LABELS]).save(tmp_path / "labels" / f"{drive}_{i}_L.png")
    (tmp_path / "label_colors.txt").write_text(TABLES["label_colors.txt"])
    return tmp_path


def convert(root, *arguments):
    line = [*arguments, "--images", root / "images", "--out", root / "out"]
    to_masks.convert(make_arguments("").parse_args([str(word) for word in line]))
    return {
        path.relative_to(root / "out" / "masks").as_posix(): np.array(Image.open(path))
        for path in sorted((root / "out" / "masks").rglob("*.png"))
    }


def reasons(root):
    with open(root / "out" / "left_out.csv", newline="") as file:
        return [row["reason"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_colours(name, tmp_path):
    """CamVid's two, CVAT's, and yaml."""
    (tmp_path / name).write_text(TABLES[name])
    assert read_colours(tmp_path / name) == {c: n for n, c in COLOURS.items()}


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("a.txt", "1 2 3 cat\n1 2 3 dog\n", "one colour"),
        ("a.txt", "1 2 300 cat\n", "0 to 255"),
        ("a.txt", "cat\n", "R G B name"),
        ("a.txt", "", "no classes"),
        ("a.csv", "name,r,g,b\ncat,1,2\n", "name,R,G,B"),
        ("a.yaml", "cat: red\n", "#rrggbb"),
        ("a.yaml", "- cat\n", "expected names"),
        ("a.yaml", "cat: [1, 2\n", "no yaml"),
    ],
)
def test_tables_that_are_none(name, text, word, tmp_path):
    """Each is refused in words."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=word):
        read_colours(tmp_path / name)


def test_colours_become_numbers(root, capsys):
    """In the table's order, beside links to the images; a drive stays together."""
    masks = convert(root, "rgb-masks", root / "labels", "--val", 0.5, "--group-by", "^[^_]+")
    assert len(masks) == 6
    drives = {part: {m[-7] for m in masks if m.startswith(part)} for part in ("train", "val")}
    assert sorted(map(len, drives.values())) == [1, 1]
    for name, mask in masks.items():
        assert (mask == LABELS).all()
        assert (root / "out" / "images" / name).is_symlink()
    shown = capsys.readouterr().out
    assert "train = dict(images='images/train', masks='masks/train')" in shown
    assert "classes = ('Sky', 'Road', 'Void')" in shown
    assert "is 'Void' a class" in shown


def test_ignored_and_unknown_colours_become_255(root):
    """The first as asked, the second by name; the classes close up."""
    mask = Image.open(root / "labels" / "x_0_L.png")
    mask.putpixel((0, 0), (1, 2, 3))
    mask.save(root / "labels" / "x_0_L.png")
    masks = convert(root, "rgb-masks", root / "labels", "--ignore", "Sky", "--val", 0)
    expected = np.array([255, 0, 1], np.uint8)[LABELS]
    assert all((found == expected).all() for found in masks.values())
    (row,) = (root / "out" / "left_out.csv").read_text().splitlines()[1:]
    assert "(1, 2, 3)" in row
    assert "x_0_L.png" in row


def test_palettes_are_read_by_their_numbers(root):
    """Whatever their colours; values that are no class's become 255."""
    for path in (root / "labels").iterdir():
        mask = Image.fromarray(np.array([7, 21, 255], np.uint8)[LABELS], mode="P")
        mask.putpalette([9, 9, 9] * 256)
        mask.save(path)
    arguments = ["palette-masks", root / "labels", "--val", 0]
    with pytest.raises(InputError, match="hold 7, 21, 255"):
        convert(root, *arguments)
    masks = convert(root, *arguments, "--classes", "a", "b", "--values", 7, 21)
    expected = np.array([0, 1, 255], np.uint8)[LABELS]
    assert len(masks) == 6
    assert all((found == expected).all() for found in masks.values())


@pytest.mark.parametrize("name", ["8.png", "16.png", "32.tif", "16.tif", "32.npy", "float.npy"])
def test_numbers_of_every_type_are_read(name, tmp_path):
    """Beyond 255 and 65535 too, where the file can hold them."""
    kinds = {"8": (np.uint8, 200), "16": (np.uint16, 60_000), "32": (np.int32, 1_000_000)}
    dtype, largest = kinds.get(name.split(".")[0], (np.float32, 1_000_000))
    labels = np.array([[0, 1], [2, largest]], dtype)
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, labels)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, labels)
    else:
        Image.fromarray(labels).save(path)
    assert (read_numbers_mask(path) == labels).all()


def test_what_holds_no_numbers_is_refused(tmp_path):
    """Colours, fractions, and files that changed their numbers when they were saved."""
    Image.new("RGB", (2, 2)).save(tmp_path / "colours.png")
    np.save(tmp_path / "fractions.npy", np.full((2, 2), 0.5))
    Image.new("L", (2, 2)).save(tmp_path / "changed.jpg")
    words = {"colours.png": "colours", "fractions.npy": "fractions", "changed.jpg": "JPEG"}
    for name, word in words.items():
        with pytest.raises(UnusableError, match=word):
            read_numbers_mask(tmp_path / name)


def test_masks_that_cannot_be_taken_are_named(root):
    """JPEGs, other sizes, no colour of the table, damaged, alone; the others are written."""
    labels = root / "labels"
    Image.open(labels / "x_0_L.png").save(labels / "x_0_L.jpg")
    (labels / "x_0_L.png").unlink()
    Image.new("RGB", (5, 5)).save(labels / "x_1_L.png")
    Image.new("RGB", (4, 3), (9, 9, 9)).save(labels / "x_2_L.png")
    (labels / "y_0_L.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (4, 3)).save(labels / "z_9_L.png")
    (labels / "y_1_L.png").unlink()
    assert list(convert(root, "rgb-masks", labels, "--val", 0)) == ["train/y_2.png"]
    assert sorted(reasons(root)) == [
        "an image of another size than its annotation says",
        "images without a mask",
        "masks saved as JPEG, which changes their colours",
        "masks that cannot be read",
        "masks without a pixel of a class",
        "masks without an image",
    ]


def test_images_of_one_name_have_one_mask(root):
    """Of the two, the second is named and left out."""
    Image.open(root / "images" / "x_0.png").save(root / "images" / "x_0.jpg")
    assert len(convert(root, "rgb-masks", root / "labels", "--val", 0)) == 6
    assert reasons(root) == ["images without a mask"]


def test_a_split_is_the_same_each_time():
    """By the seed, near the share, and never empty."""
    names = [f"{i}.jpg" for i in range(100)]
    parts = split(names, "0.2", 0, None)
    assert list(parts.values()).count("val") == 20
    assert split(names[::-1], "0.2", 0, None) == parts
    assert split(names, "0.2", 1, None) != parts
    for share in ("0.01", "0.99"):
        assert sorted(split(["a", "b"], share, 0, None).values()) == ["train", "val"]
    assert set(split(names, "0", 0, None).values()) == {"train"}


def test_groups_are_not_divided():
    """By a part of the name, or by the folder."""
    names = [f"{i % 5}/patient{i % 7}_{i}.jpg" for i in range(70)]
    for group_by, key in (("patient(\\d)_", lambda n: n[9]), ("folder", lambda n: n[0])):
        parts = split(names, "0.3", 0, group_by)
        groups = {part: {key(n) for n in names if parts[n] == part} for part in ("train", "val")}
        assert groups["train"]
        assert groups["val"]
        assert not groups["train"] & groups["val"]


def test_a_list_names_the_validation_part(tmp_path):
    """With or without folder and suffix; names may hold dots."""
    (tmp_path / "val.txt").write_text("frame.0001\nb/x.jpg 1\n")
    names = ["a/frame.0001.jpg", "a/frame.0002.jpg", "b/x.jpg"]
    parts = split(names, str(tmp_path / "val.txt"), 0, None)
    assert [parts[name] for name in names] == ["val", "train", "val"]


@pytest.mark.parametrize(
    ("val", "group_by", "word"),
    [
        ("1.5", None, "a share"),
        ("nowhere.txt", None, "nor a file"),
        ("0.2", "(", "no regular expression"),
        ("0.2", "z", "finds nothing in"),
        ("0.2", "folder", "one group"),
    ],
)
def test_a_split_that_cannot_be(val, group_by, word):
    """Each is refused in words."""
    with pytest.raises(InputError, match=word):
        split(["1.jpg", "2.jpg"], val, 0, group_by)
