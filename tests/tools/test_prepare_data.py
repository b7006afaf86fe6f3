"""Layouts are checked to the file, and what comes out is what the configs read."""

import hashlib
import io
import json
import tarfile
import zipfile

import cv2
import numpy as np
import pytest
from file_server import serve
from processes import run
from pycocotools.coco import COCO
from scipy import io as scipy_io

from convnextv2.pretrain.supervised import LabelledImages, LabelledShards
from convnextv2.tools.dataset_converters import prepare_data
from convnextv2.tools.dataset_converters.sources import dsb2018, imagenet, imagenet22k, layouts

TOOL = "dataset_converters/prepare_data.py"


def test_layouts_are_checked_to_the_file(tmp_path):
    parts = [
        layouts.Content("annotations/a.json"),
        layouts.Content("train2017", 3, "annotations/a.json"),
        layouts.Content("val2017", 6, "val_{:03d}"),
    ]

    def missing():
        return layouts.find_missing_files([layouts.Archive("", None, parts)], tmp_path)

    (tmp_path / "train2017/sub").mkdir(parents=True)
    (tmp_path / "train2017/1.jpg").write_bytes(b"x")
    (tmp_path / "train2017/._3.jpg").write_bytes(b"x")
    (tmp_path / "train2017/2.jpg").write_bytes(b"")  # an empty file is no image
    assert missing() == [
        "annotations/a.json: does not exist",
        "train2017: 1 of 3 images",
        "val2017: 0 of 6 images",
    ]
    (tmp_path / "annotations").mkdir()
    content = json.dumps({"images": [{"file_name": f"{i}.jpg"} for i in (1, 2, 3)]})
    (tmp_path / "annotations/a.json").write_text(content[:-1])
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017/val_002.png").write_bytes(b"x")
    assert missing() == [
        "annotations/a.json: truncated, or no json",
        "train2017: 1 of 3 images",
        "val2017: 1 of 6 images, without val_001, val_003, val_004 ...",
    ]
    (tmp_path / "annotations/a.json").write_text(content)
    assert "train2017: 1 of 3 images, without 2, 3" in missing()
    for name in ("train2017/sub/2.JPEG", "train2017/3.jpg", "train2017/one_more.jpg"):
        (tmp_path / name).write_bytes(b"x")
    for i in range(6):
        (tmp_path / f"val2017/val_{i + 1:03d}.png").write_bytes(b"x")
    assert missing() == []


def test_only_what_is_missing_is_downloaded(tmp_path):

    def packed(name):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr(name, "x")
        return content.getvalue()

    with serve({"a.zip": packed("a/1.jpg"), "b.zip": packed("b/1.jpg")}) as (address, asked):
        archives = [
            layouts.Archive(f"{address}/{name}.zip", None, [layouts.Content(name, 1)])
            for name in ("a", "b")
        ]
        (tmp_path / "a").mkdir()
        (tmp_path / "a/mine.jpg").write_bytes(b"x")
        prepare_data.get_archives(archives, tmp_path)
        assert asked == [("/b.zip", 0)]
        assert layouts.find_missing_files(archives, tmp_path) == []
        (tmp_path / "b/1.jpg").unlink()
        prepare_data.get_archives(archives, tmp_path)  # from the archive that is there
        assert len(asked) == 1
        assert (tmp_path / "b/1.jpg").is_file()


def tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_imagenet(root, classes=(("n02", 2), ("n01", 3)), labels=(2, 1, 2)):
    """Archives of two classes, whose numbers are not in the order of their names, and the kit."""
    for wnid, count in classes:
        tar(root / f"{wnid}.tar", {f"{wnid}_{i}.JPEG": b"image" for i in range(count)})
    train = {f"{wnid}.tar": (root / f"{wnid}.tar").read_bytes() for wnid, _ in classes}
    tar(root / "ILSVRC2012_img_train.tar", train)
    tar(
        root / "ILSVRC2012_img_val.tar",
        {f"ILSVRC2012_val_{i + 1:08d}.JPEG": b"image" for i in range(len(labels))},
    )
    rows = [(i + 1, *entry, 0) for i, entry in enumerate(classes)] + [(3, "n00", 5, 2)]
    fields = [("ILSVRC2012_ID", int), ("WNID", object), ("num_train_images", int)]
    synsets = np.array(rows, dtype=[*fields, ("num_children", int)])
    scipy_io.savemat(root / "meta.mat", {"synsets": synsets})
    kit = {
        "meta.mat": (root / "meta.mat").read_bytes(),
        "ILSVRC2012_validation_ground_truth.txt": "\n".join(map(str, labels)).encode(),
    }
    folder = "ILSVRC2012_devkit_t12/data"
    tar(root / "kit", {f"{folder}/{name}": content for name, content in kit.items()}, "w:gz")
    md5 = {
        name: "md5:" + hashlib.md5((root / f"ILSVRC2012_img_{name}.tar").read_bytes()).hexdigest()
        for name in ("train", "val")
    }
    return md5["train"], md5["val"]


def test_imagenet_is_unpacked_sorted_and_counted(tmp_path):
    train, val = write_imagenet(tmp_path)

    def archives(train, val):
        return [
            layouts.Archive("ILSVRC2012_img_train.tar", train, [layouts.Content("train", 5)]),
            layouts.Archive("ILSVRC2012_img_val.tar", val, [layouts.Content("val", 3)]),
        ]

    with pytest.raises(ValueError, match=r"img_train\.tar has the md5 .*, expected 0{32}"):
        imagenet.unpack_archives(archives("md5:" + 32 * "0", val), tmp_path)
    assert (tmp_path / "ILSVRC2012_img_train.tar").is_file()  # the user's own is not removed

    # A run that was killed half-way leaves a truncated image.
    (tmp_path / "train/n01").mkdir(parents=True)
    (tmp_path / "train/n01/n01_0.JPEG").write_bytes(b"im")
    imagenet.unpack_archives(archives(train, val), tmp_path)
    images = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.JPEG"))
    assert images == [
        *(f"train/n01/n01_{i}.JPEG" for i in range(3)),
        *(f"train/n02/n02_{i}.JPEG" for i in range(2)),
        *(f"val/ILSVRC2012_val_{i:08d}.JPEG" for i in (1, 2, 3)),
    ]
    assert (tmp_path / "train/n01/n01_0.JPEG").read_bytes() == b"image"
    assert imagenet.find_missing_classes(tmp_path) == ["train: 2 of 1000 classes"]

    assert imagenet.find_unsorted(tmp_path).startswith("val: 3 images are in no folder of their")

    (tmp_path / "kit").rename(tmp_path / "ILSVRC2012_devkit_t12.tar.gz")
    assert imagenet.find_missing_classes(tmp_path) == []
    (tmp_path / "train/n02/n02_1.JPEG").unlink()
    assert imagenet.find_missing_classes(tmp_path) == ["train/n02: 1 of 2 images"]
    imagenet.unpack_archives(archives(train, val), tmp_path)
    assert imagenet.find_missing_classes(tmp_path) == []
    folders = {p.stem[-1]: p.parent.name for p in (tmp_path / "val").rglob("*.JPEG")}
    assert folders == {"1": "n01", "2": "n02", "3": "n01"}
    assert imagenet.find_unsorted(tmp_path) == ""
    classes = {"classes": str(tmp_path / "train")}
    val = LabelledImages(str(tmp_path / "val"), metainfo=classes)
    found = {
        val.get_data_info(i)["img_path"][-6]: val.get_data_info(i)["gt_label"] for i in range(3)
    }
    assert found == {"1": 0, "2": 1, "3": 0}
    assert val.metainfo["classes"] == ("n01", "n02")
    assert layouts.find_missing_files(archives(train, val), tmp_path) == []


def test_the_classes_of_imagenet_22k_stay_tars(tmp_path):
    classes = {"n01": 1, "n02": 2, "n03": 1}
    tars = {}
    for name, count in classes.items():
        tar(tmp_path / "class.tar", {f"{name}_{i}.JPEG": b"image" for i in range(count)})
        tars[f"winter/{name}.tar"] = (tmp_path / "class.tar").read_bytes()
    tar(tmp_path / "winter.tar.gz", tars, "w:gz")
    md5 = "md5:" + hashlib.md5((tmp_path / "winter.tar.gz").read_bytes()).hexdigest()
    releases = tuple(
        imagenet22k.Release(layouts.Archive(name, sum_, []), count)
        for name, sum_, count in (("winter.tar.gz", md5, 3), ("fall.tar", None, 4))
    )
    wrong = imagenet22k.Release(layouts.Archive("winter.tar.gz", "md5:" + 32 * "0", []), 3)
    with pytest.raises(ValueError, match=r"winter\.tar\.gz has the md5 .*, expected 0{32}"):
        imagenet22k.prepare(tmp_path, (wrong,))
    imagenet22k.prepare(tmp_path, releases)
    assert imagenet22k.find_missing(tmp_path, releases) == []
    images = LabelledShards(str(tmp_path / "train"))
    assert images.metainfo["classes"] == tuple(classes)
    assert [images.get_data_info(i)["gt_label"] for i in range(4)] == [0, 1, 1, 2]
    assert images.get_data_info(3)["content"] == b"image"
    (tmp_path / "train/n02.tar").unlink()
    assert imagenet22k.find_missing(tmp_path, releases) == ["train: 2 of 3 classes, CLASS.tar"]
    (tmp_path / "winter.tar.gz").unlink()
    with pytest.raises(SystemExit, match=r"has no winter\.tar\.gz or fall\.tar\. Register"):
        imagenet22k.prepare(tmp_path, releases)


def test_what_is_missing_is_said(tmp_path):
    status, output = run(tmp_path, TOOL, "coco", "--check", "--root", "coco")
    assert status == 1
    assert "train2017: 0 of 118287 images" in output
    assert "annotations/instances_val2017.json: does not exist" in output
    status, output = run(tmp_path, TOOL, "ade20k", "--check", "--root", "ade")
    assert status == 1
    for kind in ("images", "annotations"):
        assert f"ADEChallengeData2016/{kind}/training: 0 of 20210 images" in output
        assert f"ADEChallengeData2016/{kind}/validation: 0 of 2000 images" in output
    status, output = run(tmp_path, TOOL, "imagenet", "--root", "in")
    assert status == 1
    assert "ILSVRC2012_img_train.tar does not exist. Register at https://image-net.org" in output


def write_original(root, rng):
    """Twenty images as the competition has them; returns masks by image name."""
    truth = {}
    for i in range(20):
        name = hashlib.sha256(bytes([i])).hexdigest()
        large = i == 0
        height, width = (600, 700) if large else (64, 80)
        image = np.full((height, width, 4), 255, np.uint8)
        grey = i % 2
        image[..., :3] = rng.integers(0, 256, (height, width, 1 if grey else 3))
        masks = []
        for j in range(3):
            mask = np.zeros((height, width), np.uint8)
            y, x = (int(v) for v in rng.integers(0, 40, 2))
            mask[y : y + 9 + j, x : x + 12] = 255
            masks.append(mask)
        masks.append(np.zeros_like(mask))  # empty: left out
        if large:  # 700 become 512: column 3 is none of them
            masks.append(np.zeros_like(mask))
            masks[-1][100, 3] = 255
        for kind, arrays in (("images", [image]), ("masks", masks)):
            (root / name / kind).mkdir(parents=True)
            for j, array in enumerate(arrays):
                assert cv2.imwrite(
                    str(root / name / kind / f"{name if kind == 'images' else j}.png"), array
                )
        truth[f"{name}.png"] = masks[:3]
    return truth


def test_nuclei_become_coco(tmp_path):
    truth = write_original(tmp_path / "dsb/stage1_train", np.random.default_rng(0))
    status, output = run(tmp_path, TOOL, "dsb2018", "--root", "dsb")
    assert status == 0, output
    assert "left out: 20 masks that are empty, 1 nuclei too small to be seen" in output
    assert "; the original has 670 together" in output
    seen = {}
    for part in ("train", "val"):
        coco = COCO(tmp_path / f"dsb/{part}.json")
        assert coco.loadCats(coco.getCatIds()) == [{"id": 1, "name": "nucleus"}]
        assert min(coco.getAnnIds()) == 1
        for image in coco.imgs.values():
            pixels = cv2.imread(str(tmp_path / "dsb/images" / image["file_name"]), -1)
            assert pixels.shape[:2] == (image["height"], image["width"])
            assert max(pixels.shape) <= 512
            assert image["file_name"] not in seen
            seen[image["file_name"]] = part
            masks = truth[image["file_name"]]
            found = coco.imgToAnns[image["id"]]
            assert len(found) == len(masks)
            if masks[0].shape == pixels.shape[:2]:
                for annotation, mask in zip(found, masks, strict=True):
                    np.testing.assert_array_equal(coco.annToMask(annotation), mask > 0)
                    assert annotation["area"] == (mask > 0).sum()
                    assert annotation["bbox"] == list(cv2.boundingRect(mask))
    assert set(seen) == set(truth)
    assert set(seen.values()) == {"train", "val"}
    # Done is done, and what is lost is named.
    assert "is complete" in run(tmp_path, TOOL, "dsb2018", "--root", "dsb")[1]
    lost = next(name for name, part in seen.items() if part == "val")
    (tmp_path / "dsb/images" / lost).unlink()
    status, output = run(tmp_path, TOOL, "dsb2018", "--root", "dsb", "--check")
    assert status == 1
    assert f"images, such as {lost}" in output


def test_the_download_of_nuclei_is_unpacked_to_its_end(tmp_path):
    write_original(tmp_path / "source", np.random.default_rng(0))
    files = list((tmp_path / "source").rglob("*.png"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in files:
            archive.write(path, path.relative_to(tmp_path / "source"))
    with serve({"stage1_train.zip": content.getvalue()}) as (address, asked):
        dsb2018.prepare(tmp_path / "dsb", f"{address}/stage1_train.zip")
        assert dsb2018.describe(tmp_path / "dsb").endswith("the original has 670 together")
        before = [(tmp_path / f"dsb/{part}.json").read_text() for part in ("train", "val")]
        # A run that was killed half-way left one image.
        for path in sorted((tmp_path / "dsb").rglob("*"), reverse=True):
            if path.is_file() and path.suffix != ".zip" and path.parts[-3] != files[0].parts[-3]:
                path.unlink()
        dsb2018.prepare(tmp_path / "dsb", f"{address}/stage1_train.zip")
        assert len(asked) == 1
    after = [(tmp_path / f"dsb/{part}.json").read_text() for part in ("train", "val")]
    assert after == before


def test_an_empty_folder_of_originals_is_named(tmp_path):
    (tmp_path / "dsb/stage1_train").mkdir(parents=True)
    status, output = run(tmp_path, TOOL, "dsb2018", "--root", "dsb")
    assert status == 1
    assert "has no ID/images in it" in output
