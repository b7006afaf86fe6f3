"""Each fault of labelled images is named, and a clean data set has none."""

import io
import shutil
import tarfile

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from convnextv2.data_checks import check_all, refuse_fatal
from convnextv2.engine import tasks
from convnextv2.pretrain.supervised.check import LabelledPart, judge_counts
from convnextv2.pretrain.task import Pretraining

CROP = {"type": "convnextv2.RandomResizedCrop", "size": 16}
PIPELINE = [{"type": "convnextv2.LoadImage"}, CROP, {"type": "convnextv2.PackFCMAEInputs"}]


@pytest.fixture(autouse=True)
def _task(monkeypatch):
    """Labelled images are known to the checks, whatever tasks there are."""
    task = type("Labelled", (Pretraining,), {"parts": (LabelledPart,)})()
    monkeypatch.setattr("convnextv2.data_checks.list_tasks", lambda: (*tasks.list_tasks(), task))


@pytest.fixture
def folder(tmp_path):
    """Three classes of four images to train on and of two to validate on."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        for name in ("cat", "dog", "wolf"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                blocks = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
                image = cv2.resize(blocks, (48, 48), interpolation=cv2.INTER_NEAREST)
                cv2.imwrite(str(tmp_path / part / name / f"{i}.png"), image)
    return tmp_path


def make(folder, train=None, val=None):
    entries = {}
    for part, options in (("train", train), ("val", val)):
        options = options or {"type": "LabelledImages", "data_root": str(folder / part)}
        dataset = {**options, "type": f"convnextv2.{options['type']}", "pipeline": PIPELINE}
        sampler = {"type": "DefaultSampler", "shuffle": False}
        entries[f"{part}_dataloader"] = {"batch_size": 2, "sampler": sampler, "dataset": dataset}
    model = {"type": "convnextv2.FCMAE", "num_classes": 3}
    return Config({**entries, "model": model, "default_scope": "mmengine"})


def check(cfg):
    """What is said of a config's data, each with its level."""
    _, findings = check_all(cfg, lambda files, title, total: files)
    return [(finding.level, str(finding)) for finding in findings]


def test_clean_folders_have_no_fault(folder):
    cfg = make(folder)
    assert check(cfg) == []
    refuse_fatal(cfg)
    (part, _), _ = check_all(cfg, lambda files, title, total: files)
    assert part.count() == {"cat": 4, "dog": 4, "wolf": 4}


def test_images_in_two_classes_and_in_two_parts_are_named(folder):
    shutil.copy(folder / "train/cat/1.png", folder / "train/dog/same.png")
    shutil.copy(folder / "train/cat/2.png", folder / "train/cat/twin.png")
    image = cv2.imread(str(folder / "train/wolf/0.png"))
    cv2.imwrite(str(folder / "val/wolf/like.jpg"), cv2.resize(image, (40, 40)))
    image = cv2.imread(str(folder / "train/dog/3.png"))
    cv2.imwrite(str(folder / "train/wolf/like.jpg"), cv2.resize(image, (40, 40)))
    found = check(make(folder))
    train = folder / "train"
    assert (
        "warning",
        f"{train}/dog/same.png: 'dog', but the same image is 'cat' as {train}/cat/1.png",
    ) in found
    assert ("note", f"{train}/cat/twin.png: the same image as {train}/cat/2.png, in the same") in [
        (level, text.partition(" class 'cat'")[0]) for level, text in found
    ]
    near = f"{folder}/val/wolf/like.jpg: nearly the same as {train}/wolf/0.png of training"
    assert ("warning", near) in found
    near = f"{train}/wolf/like.jpg: 'wolf', but nearly the same is 'dog' as {train}/dog/3.png"
    assert ("warning", near) in found
    assert len(found) == 4


def test_classes_of_one_part_alone_are_refused_unless_they_are_named(folder):
    shutil.rmtree(folder / "val/dog")
    cfg = make(folder)
    text = (
        "val has the classes 'cat', 'wolf', but train 'cat', 'dog', 'wolf': train alone has 'dog'"
    )
    assert ("fatal", text) in check(cfg)
    with pytest.raises(SystemExit, match="train alone has 'dog'"):
        refuse_fatal(cfg)
    cfg.val_dataloader.dataset.metainfo = {"classes": str(folder / "train")}
    assert check(cfg) == [("warning", "val: no image of 1 of 3 classes: 'dog'")]
    refuse_fatal(cfg)
    (folder / "val/fox").mkdir()
    with pytest.raises(SystemExit, match="val has the folder 'fox', which is none of the 3"):
        refuse_fatal(cfg)


def test_files_that_are_not_trained_on_are_named(folder):
    train = folder / "train"
    shutil.move(train / "cat/3.png", train / "lost.png")
    Image.new("RGB", (9, 9)).save(train / "dog/a.gif")
    (train / "dog/link.png").symlink_to("nowhere.png")
    (train / "dog/0.png").write_bytes((train / "dog/0.png").read_bytes()[:200])
    (train / "dog/1.png").write_bytes(b"")
    found = check(make(folder))
    assert {text.removeprefix(f"{train}/").partition(",")[0] for _, text in found} == {
        "lost.png: left out: it is in no class' folder",
        f"train: 1 files .gif, such as {train}/dog/a.gif".partition(",")[0],
        "dog/link.png is a broken link",
        "dog/0.png: truncated",
        f"train: {train}/dog/1.png is empty: the file has 0 bytes",
    }


def test_missing_files_of_a_list_stop_a_training(folder):
    lines = [f"cat/{i}.png 0\ndog/{i}.png 1\n" for i in range(4)]
    (folder / "train/list.txt").write_text("".join(lines) + "wolf/4.png 2\n")
    entry = {"type": "LabelledImages", "data_root": str(folder / "train"), "ann_file": "list.txt"}
    entry["metainfo"] = {"classes": ("cat", "dog", "wolf")}
    cfg = make(folder, entry)
    with pytest.raises(SystemExit, match=r"train: \S+wolf/4\.png does not exist"):
        refuse_fatal(cfg)
    assert "fatal" in dict(check(cfg))


def test_images_in_shards_are_looked_at_too(folder):
    for part in ("train", "val"):
        with tarfile.open(folder / f"{part}.tar", "w") as tar:
            for path in sorted((folder / part).glob("*/*.png")):
                content = path.read_bytes()
                if path.name == "1.png" and part == "val":
                    content = (folder / "train" / path.parent.name / "1.png").read_bytes()
                name = f"{path.parent.name}/{path.stem}"
                for suffix, data in (("png", content), ("cls", path.parent.name.encode())):
                    info = tarfile.TarInfo(f"{name}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    shards = [
        {"type": "LabelledShards", "shards": str(folder / f"{p}.tar")} for p in ("train", "val")
    ]
    found = check(make(folder, *shards))
    assert found == [
        (
            "warning",
            f"{folder}/val.tar/{name}/1.png: nearly the same as {folder}/train.tar/{name}/1.png "
            "of training",
        )
        for name in ("cat", "dog", "wolf")
    ]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 9, "b": 1}, [("warning", "train: one image alone of 1 of 2 classes: 'b'")]),
        ({"a": 2, "b": 0}, [("warning", "train: no image of 1 of 2 classes: 'b'")]),
        ({"a": 20, "b": 2}, [("note", "train: 'a' has 20 images, 10 times as many as 'b' with 2")]),
        ({"a": 100, "b": 2}, [("warning", "train: 'a' has 100 images, 50 times as many as 'b'")]),
        ({"a": 732, "b": 1300}, []),
    ],
)
def test_counts_that_differ_are_named(counts, expected):
    found = [(finding.level, finding.text) for finding in judge_counts(counts, "train")]
    assert len(found) == len(expected)
    for (level, text), (wanted, start) in zip(found, expected, strict=True):
        assert level == wanted
        assert text.startswith(start)
