"""convert_labels.py: objects come out of every format as they went in, and what cannot is named."""

import base64
import io
import json
import os

import numpy as np
import pytest
import yaml
from label_formats import (
    BOXES,
    SIZE,
    TRIANGLE,
    WRITERS,
    convert,
    read_ledger,
    write_coco,
    write_voc,
    write_yolo,
)
from mmengine.config import Config
from PIL import Image

from convnextv2.detection.check import check_coco, read_coco
from convnextv2.detection.coco import decode_mask, encode_mask
from convnextv2.engine.errors import InputError


@pytest.fixture
def root(tmp_path):
    """A folder with the images."""
    (tmp_path / "images").mkdir()
    for i, name in enumerate(BOXES):
        Image.new("RGB", SIZE, (i, 0, 0)).save(tmp_path / "images" / name)
    return tmp_path


@pytest.mark.parametrize("kind", WRITERS)
def test_boxes_come_out_as_they_went_in(kind, root, capsys):
    """Of each format, image by image, in two parts that together are all."""
    write, more = WRITERS[kind]
    parts = convert(root, kind, write(root), "--images", root / "images", "--val", 0.5, *more)
    found = {**parts["train"], **parts["val"]}
    assert {name: sorted(objects) for name, objects in found.items()} == {
        name: sorted(objects) for name, objects in BOXES.items()
    }
    assert len(parts["train"]) == len(parts["val"]) == 2
    for part, images in parts.items():
        for name in images:
            assert Image.open(root / "out" / "images" / part / name).size == SIZE
    config = (root / "out" / "config.py").read_text()
    assert config in capsys.readouterr().out
    settings = Config.fromstring(config.replace("_base_", "base"), ".py")
    detector = "mask-rcnn" if kind == "instance-masks" else "faster-rcnn"
    assert settings.base == f"convnextv2::detection/{detector}_convnextv2_fpn_custom.py"
    assert settings.train == {"images": "images/train", "annotations": "train.json"}
    assert settings.val == {"images": "images/val", "annotations": "val.json"}
    assert {"cat", "dog"} <= set(settings.classes)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_data_check_has_nothing_to_say(kind, root):
    """Of no format's result: what is written is what the checks ask for."""
    write, more = WRITERS[kind]
    convert(root, kind, write(root), "--images", root / "images", "--val", 0, *more)
    content, findings = read_coco(root / "out" / "train.json")
    classes = sorted({"cat", "dog"} & {entry["name"] for entry in content["categories"]})
    classes.sort(key=[entry["name"] for entry in content["categories"]].index)
    folder = root / "out" / "images" / "train"
    findings += check_coco(content, "train.json", folder, classes, True)
    # One of the boxes is a pixel.
    assert {finding.kind for finding in findings} == {"boxes with a side of less than 2 pixels"}


def test_ids_begin_at_one_and_nothing_is_missing(root):
    """What mmdet and pycocotools want of a json."""
    convert(root, "coco", write_coco(root), "--images", root / "images", "--val", 0)
    content = json.loads((root / "out" / "train.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    assert [entry["id"] for entry in content["annotations"]] == [1, 2, 3, 4]
    assert [entry["area"] for entry in content["annotations"]] == [120, 44 * 43, 210, 1]
    assert {entry["iscrowd"] for entry in content["annotations"]} == {0}
    assert content["images"][0] == {"id": 1, "file_name": "a.jpg", "height": 48, "width": 64}


def test_edges_from_zero_are_told_from_pixels_from_one(root):
    """A box of labelImg or CVAT may begin at 0, which Pascal VOC's cannot."""
    source = write_voc(root, first_pixel=0)
    with pytest.raises(InputError, match="--first-pixel 0"):
        convert(root, "voc", source, "--images", root / "images")
    parts = convert(
        root, "voc", source, "--images", root / "images", "--first-pixel", 0, "--val", 0
    )
    assert parts["train"] == BOXES


def test_polygons_come_out_as_they_went_in(root):
    """Of YOLO, LabelMe and COCO; the box is around them, the area theirs."""
    (root / "labels").mkdir()
    shape = {"label": "cat", "points": np.reshape(TRIANGLE, (3, 2)).tolist()}
    content = {"imagePath": "a.jpg", "shapes": [{**shape, "shape_type": "polygon"}]}
    (root / "labels" / "a.json").write_text(json.dumps(content))
    fractions = [value / SIZE[i % 2] for i, value in enumerate(TRIANGLE)]
    (root / "labels" / "a.txt").write_text(" ".join(map(str, [0, *fractions])))
    objects = [{"image_id": 0, "category_id": 0, "bbox": None, "segmentation": [TRIANGLE]}]
    sources = {
        "labelme": root / "labels",
        "yolo": root / "labels",
        "coco": write_coco(root, annotations=objects),
    }
    for kind, source in sources.items():
        more = ["--classes", "cat"] if kind == "yolo" else []
        convert(root, kind, source, "--images", root / "images", "--val", 0, *more, out=kind)
        entry = json.loads((root / kind / "train.json").read_text())["annotations"][0]
        assert entry["segmentation"] == [TRIANGLE]
        assert entry["bbox"] == [10, 10, 20, 16]
        assert entry["area"] == 160


def test_masks_of_labelme_and_rle_come_out_as_they_went_in(root):
    """A packed png at its place; compressed and plain counts."""
    mask = np.zeros(SIZE[::-1], bool)
    mask[5:15, 20:40] = True
    mask[7, 22] = False
    png = io.BytesIO()
    Image.fromarray(mask[5:15, 20:40]).save(png, format="PNG")
    shape = {"label": "cat", "shape_type": "mask", "points": [[20, 5], [39, 14]]}
    shape |= {"mask": base64.b64encode(png.getvalue()).decode()}
    (root / "labels").mkdir()
    content = {"imagePath": "a.jpg", "shapes": [shape]}
    (root / "labels" / "a.json").write_text(json.dumps(content))
    counts = [
        len(run) for run in np.split(mask.T.ravel(), np.flatnonzero(np.diff(mask.T.ravel())) + 1)
    ]
    plain = {"size": [SIZE[1], SIZE[0]], "counts": counts}
    objects = [
        {"image_id": i, "category_id": 0, "segmentation": rle, "iscrowd": 1}
        for i, rle in enumerate((plain, encode_mask(mask)))
    ]
    source = write_coco(root, annotations=objects)
    convert(root, "labelme", root / "labels", "--images", root / "images", "--val", 0, out="l")
    convert(root, "coco", source, "--images", root / "images", "--val", 0, "--no-crowds")
    entries = json.loads((root / "l" / "train.json").read_text())["annotations"]
    entries += json.loads((root / "out" / "train.json").read_text())["annotations"]
    assert len(entries) == 3
    for entry in entries:
        assert (decode_mask(entry["segmentation"]) == mask).all()
        assert (entry["bbox"], entry["area"], entry["iscrowd"]) == ([20, 5, 20, 10], 199, 0)


def test_what_is_left_out_is_named(root, capsys):
    """Coordinates that are none, outside, empty; other images; classes that nobody knows."""
    source = write_coco(root)
    content = json.loads(source.read_text())
    bad = {
        "coordinates that are not finite": {"bbox": [0, 0, float("nan"), 5]},
        "coordinates that are no numbers": {"bbox": [0, 0, "wide", 5]},
        "coordinates that are no numbers, but text": {"bbox": "1234"},
        "coordinates that are no numbers, too large": {"bbox": [0, 0, 10**400, 5]},
        "not 4 coordinates": {"bbox": [0, 0, 5]},
        "an object outside its image": {"bbox": [70, 0, 5, 5]},
        "a box without area": {"bbox": [7, 7, 0, 5]},
        "objects with neither box nor mask": {"bbox": None},
        "objects of a category that is not listed": {"category_id": 7},
        "objects of an image that is not listed": {"image_id": 99},
        "a polygon that is none": {"segmentation": [[1, 2, 3, 4]]},
        "an RLE of another size than its image": {"segmentation": {"size": [1, 1], "counts": [1]}},
        "an RLE of another size than its image, or none": {"segmentation": {"size": 5}},
        "an RLE that cannot be decoded": {"segmentation": {"size": [48, 64], "counts": "!"}},
        "objects cut at the edge of their image": {"bbox": [-5, 0, 10, 5]},
    }
    good = {"image_id": 0, "category_id": 0, "bbox": [0, 0, 5, 5]}
    content["annotations"] = [good, *({**good, **change} for change in bad.values())]
    content["images"] += [
        {"id": 9, "file_name": "/etc/passwd"},
        {"id": 10, "file_name": "../../\ud800secret.jpg"},
    ]
    source.write_text(json.dumps(content))
    parts = convert(root, "coco", source, "--images", root / "images", "--val", 0)
    assert parts["train"]["a.jpg"] == [("cat", [0, 0, 5, 5])] * 2  # the last was cut
    reasons = [reason for reason, _ in read_ledger(root)]
    assert sorted(reasons) == sorted(
        [*(reason.split(",")[0] for reason in bad), *["no such image"] * 2]
    )
    assert "1 x an object outside its image:" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", '{"images": 3}', "", "{"])
def test_a_json_that_is_none_is_refused(text, root):
    """Nested however deeply."""
    (root / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json: (no json|no list|a list)"):
        convert(root, "coco", root / "a.json", "--images", root / "images")


def test_names_that_cannot_be_written_are_refused(root):
    """Half a letter, a line's end; and a name that is there twice."""
    for name in ("\ud800", "a\nb", "dog"):
        categories = [{"id": 0, "name": name}, {"id": 1, "name": "dog"}]
        source = write_coco(root, categories=categories)
        with pytest.raises(InputError, match=r"control characters|are called"):
            convert(root, "coco", source, "--images", root / "images")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><annotation>&c;</annotation>",
            "an xml",
        ),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><annotation/>", "an xml that defines"),
        ("<annotation>", "no xml"),
        ("", "no xml"),
        ("<annotation><filename>../../b.gif</filename></annotation>", "no such image"),
    ],
)
def test_hostile_xml_is_named_and_the_others_are_read(text, reason, root):
    """Nothing is expanded, no other file read, and no traceback."""
    source = write_voc(root)
    (source / "z.xml").write_text(text)
    parts = convert(root, "voc", source, "--images", root / "images", "--val", 0)
    assert parts["train"] == BOXES
    ((found, where),) = read_ledger(root)
    assert found.startswith(reason)
    assert "z.xml" in where


def test_lines_of_yolo_that_are_none_are_named(root):
    """By file and line; pixels in the place of fractions are not taken."""
    source = write_yolo(root)
    text = "0 10 10 5 5\n9 .5 .5 .1 .1\n0 .5 .5\n0 .5 x .1 .1\n0.5 .5 .5 .1 .1\n0 .5 .5 .25 .25\n"
    (root / "labels" / "a.txt").write_text(text)
    parts = convert(root, "yolo", source, "--images", root / "images", "--val", 0)
    assert parts["train"]["a.jpg"] == [("cat", [24, 18, 16, 12])]
    assert [where.split(":")[0][-6:] for _, where in read_ledger(root)] == [
        "line 1",
        "line 2",
        "line 5",
        "line 3",
        "line 4",
    ]


def test_a_yaml_does_not_lead_out_of_its_folder(root):
    """Nor grows by references."""
    (root / "inner").mkdir()
    (root / "inner" / "data.yaml").write_text("train: ../images\nnames: [cat]\n")
    with pytest.raises(InputError, match="no folder or list below"):
        convert(root, "yolo", root / "inner", "--images", root / "images")
    (root / "inner" / "data.yaml").write_text("a: &a [x, x]\nnames: [*a, *a]\n")
    with pytest.raises(InputError, match="references"):
        convert(root, "yolo", root / "inner", "--images", root / "images")


def test_parts_of_a_yaml_are_kept(root):
    """Also where folders of images and txt lie side by side."""
    for part, name in (("train", "a.jpg"), ("valid", "b.jpg")):
        for kind in ("images", "labels"):
            (root / "set" / part / kind).mkdir(parents=True)
        os.replace(root / "images" / name, root / "set" / part / "images" / name)
        (root / "set" / part / "labels" / f"{name[0]}.txt").write_text("0 .5 .5 .5 .5\n")
    table = {"train": "../train/images", "val": "../valid/images", "names": ["cat"]}
    (root / "set" / "data.yaml").write_text(yaml.safe_dump(table))
    parts = convert(root, "yolo", root / "set")
    box = [("cat", [16, 12, 32, 24])]
    assert parts == {"train": {"train/images/a.jpg": box}, "val": {"valid/images/b.jpg": box}}


def test_an_image_that_exif_turns_is_left_out(root):
    """Training turns it, its boxes would stay."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(root / "images" / "a.jpg", exif=exif)
    parts = convert(root, "voc", write_voc(root), "--images", root / "images", "--val", 0)
    assert "a.jpg" not in parts["train"]
    assert "EXIF" in read_ledger(root)[0][0]


def test_images_are_linked_or_copied(root):
    """And what is there already is not mixed with."""
    source = write_voc(root)
    convert(root, "voc", source, "--images", root / "images", "--val", 0)
    assert (root / "out" / "images" / "train" / "a.jpg").is_symlink()
    with pytest.raises(InputError, match="exists: remove it"):
        convert(root, "voc", source, "--images", root / "images", "--val", 0)
    convert(root, "voc", source, "--images", root / "images", "--val", 0, "--copy", out="copy")
    copy = root / "copy" / "images" / "train" / "a.jpg"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (root / "images" / "a.jpg").read_bytes()


def test_one_part_is_added_to_another_with_its_classes(root):
    """The numbers of the classes are those of the first run."""
    source = write_coco(root)
    more = ["--images", root / "images", "--part"]
    convert(root, "coco", source, *more, "train", "--classes", "cat", "dog")
    assert "\nval = None\n" in (root / "out" / "config.py").read_text()
    convert(root, "coco", source, *more, "val")
    assert "\nval = None\n" not in (root / "out" / "config.py").read_text()
    contents = [json.loads((root / "out" / f"{p}.json").read_text()) for p in ("train", "val")]
    assert contents[0]["categories"] == contents[1]["categories"]
    assert contents[1]["categories"][0]["name"] == "cat"
