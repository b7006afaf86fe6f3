"""Labelled images in tar shards are those of a folder, whatever way their labels are given."""

import io
import json
import tarfile

import cv2
import numpy as np
import pytest
import webdataset
from torch.utils.data import DataLoader

from convnextv2.engine.seeded_dataset import SeededDataset
from convnextv2.engine.seeding import SeededInfiniteSampler, SeededSampler
from convnextv2.pretrain import UnlabelledShards
from convnextv2.pretrain.supervised import LabelledImages, LabelledShards

CLASSES = ("n01", "n02", "n03")
LOAD = [{"type": "convnextv2.LoadImage"}]


@pytest.fixture
def folder(tmp_path):
    """Three classes of two, three and four images, as folders, as labelled shards and as tars."""
    rng = np.random.default_rng(0)
    samples = []
    for label, name in enumerate(CLASSES):
        members = []
        for i in range(label + 2):
            image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            content = cv2.imencode(".png", image)[1].tobytes()
            path = tmp_path / "train" / name / f"{name}_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            members.append((path.name, content))
            samples.append({"__key__": f"{name}/{i}", "png": content, "cls": str(label)})
        write_tar(tmp_path / "classes" / f"{name}.tar", members)
    for number, part in enumerate((samples[:4], samples[4:])):
        (tmp_path / "shards").mkdir(exist_ok=True)
        with webdataset.TarWriter(str(tmp_path / f"shards/{number}.tar")) as writer:
            for sample in part:
                writer.write({**sample, "json": {"a": 1}, "seg.png": sample["png"]})
    return tmp_path


def write_tar(path, members):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)


@pytest.mark.parametrize("kind", ["shards", "classes"])
def test_shards_hold_the_images_and_labels_of_the_folder(folder, kind):
    images = LabelledImages(str(folder / "train"), LOAD)
    shards = LabelledShards(str(folder / kind), LOAD, {"classes": CLASSES})
    assert len(shards) == len(images) == 9
    assert shards.metainfo["classes"] == images.metainfo["classes"] == CLASSES
    for a, b in zip(images, shards, strict=True):
        np.testing.assert_array_equal(a["img"], b["img"])
        assert a["gt_label"] == b["gt_label"]


def test_a_tar_for_each_class_names_the_classes(folder):
    assert LabelledShards(str(folder / "classes"), LOAD).metainfo["classes"] == CLASSES
    few = LabelledShards([str(folder / "classes/n03.tar")], LOAD, {"classes": CLASSES})
    assert {few.get_data_info(i)["gt_label"] for i in range(len(few))} == {2}
    assert len(UnlabelledShards(str(folder / "classes"), LOAD)) == 9


def test_names_come_from_a_json_beside_the_shards(folder):
    assert LabelledShards(str(folder / "shards"), LOAD).metainfo["classes"] == ("0", "1", "2")
    (folder / "shards/classes.json").write_text(json.dumps({"cat": 0, "dog": 1, "wolf": 2}))
    found = LabelledShards(str(folder / "shards"), LOAD).metainfo["classes"]
    assert found == ("cat", "dog", "wolf")


WRONG = {
    "no label": ([("a.png", b"x"), ("a.cls", b"0"), ("b.png", b"x")], "b.png has no label"),
    "two": ([("a.png", b"x"), ("a.jpg", b"x"), ("a.cls", b"0")], "two images of one sample, a"),
    "empty": ([("a.png", b"x"), ("a.cls", b"\n")], "a.cls is no label: it has 1 bytes"),
    "long": ([("a.png", b"x"), ("a.cls", b"0" * 5000)], "a.cls is no label: it has 5000 bytes"),
    "range": ([("a.png", b"x"), ("a.cls", b"3")], "a.png: the label 3 is out of range, 3 classes"),
    "name": ([("a.png", b"x"), ("a.cls", b"n04")], "a.png: the label 'n04' is none of the 3"),
    "no image": ([("a.cls", b"1")], "no images in"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_labels_are_named(folder, name):
    members, message = WRONG[name]
    shard = write_tar(folder / "wrong.tar", members)
    with pytest.raises(ValueError, match=message):
        LabelledShards(shard, LOAD, {"classes": CLASSES})


def make(folder, kind):
    crop = {"type": "convnextv2.RandomResizedCrop", "size": 16}
    pipeline = [*LOAD, crop, {"type": "convnextv2.RandomFlips"}]
    if kind == "train":
        return SeededDataset(LabelledImages(str(folder / kind), pipeline))
    return SeededDataset(LabelledShards(str(folder / kind), pipeline, {"classes": CLASSES}))


def draw(dataset, sampler, workers=0):
    loader = DataLoader(dataset, None, sampler=sampler, num_workers=workers)
    for _, sample in zip(range(12), loader, strict=False):
        yield np.asarray(sample["img"]).tolist(), sample["gt_label"]


@pytest.mark.parametrize("kind", ["shards", "classes"])
def test_draws_are_those_of_the_folder_with_any_number_of_workers(folder, kind):
    images, shards = make(folder, "train"), make(folder, kind)
    expected = list(draw(images, SeededSampler(images, seed=3)))
    assert list(draw(shards, SeededSampler(shards, seed=3), workers=2)) == expected


@pytest.mark.parametrize("kind", ["train", "shards"])
def test_a_resumed_run_draws_what_is_left(folder, kind):
    """As `StrictRunner` resumes: the sampler skips what was drawn, in a new process' data set."""
    dataset = make(folder, kind)
    expected = list(draw(dataset, SeededInfiniteSampler(dataset, seed=3)))
    dataset = make(folder, kind)
    sampler = SeededInfiniteSampler(dataset, seed=3)
    sampler.skip(7)
    assert list(draw(dataset, sampler))[:5] == expected[7:]
    sampler = SeededSampler(dataset, seed=3)
    first = list(draw(dataset, sampler))
    sampler.set_epoch(1)
    second = list(draw(dataset, sampler))
    again = SeededSampler(make(folder, kind), seed=3)
    again.set_epoch(1)
    assert list(draw(make(folder, kind), again)) == second != first
