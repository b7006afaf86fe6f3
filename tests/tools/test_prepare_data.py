"""Layouts are checked to the file, downloads go on, and what comes out is what the configs read."""

import hashlib
import http.server
import re
import threading
import zipfile
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from processes import REPO, load_tool, run
from pycocotools.coco import COCO


@pytest.fixture(scope="module")
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPO / "tools")
        yield load_tool("prepare_data"), load_tool("download")


@contextmanager
def serve(files, ranges=True, cut=None):
    """An HTTP server of `files`; the first answer to each breaks off after `cut` bytes."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(re.findall(r"\d+", self.headers.get("Range", "bytes=0-"))[0])
            asked.append((self.path, start))
            content = files.get(self.path[1:])
            if content is None:
                self.send_error(404)
                return
            if start and ranges and start >= len(content):
                self.send_error(416)
                return
            partial = ranges and "Range" in self.headers
            content = content[start:] if partial else content
            self.send_response(206 if partial else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            first = sum(path == self.path for path, _ in asked) == 1
            self.wfile.write(content[:cut] if first else content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


CONTENT = bytes(range(256)) * 40
SHA1 = "sha1:" + hashlib.sha1(CONTENT).hexdigest()


@pytest.mark.parametrize(("ranges", "second"), [(True, 1000), (False, 1000)])
def test_a_broken_download_goes_on(tools, tmp_path, ranges, second):
    with serve({"a.bin": CONTENT}, ranges, cut=1000) as (address, asked):
        tools[1].download(f"{address}/a.bin", tmp_path / "new/a.bin", SHA1)
        assert asked == [("/a.bin", 0), ("/a.bin", second)]
        tools[1].download(f"{address}/a.bin", tmp_path / "new/a.bin", SHA1)
        assert len(asked) == 2  # it was there
    assert (tmp_path / "new/a.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_another_run_goes_on_and_a_wrong_file_is_named(tools, tmp_path):
    download = tools[1].download
    with serve({"a.bin": CONTENT}, cut=1000) as (address, asked):
        with pytest.raises(SystemExit, match="broke off after 1000 bytes"):
            download(f"{address}/a.bin", tmp_path / "a.bin", SHA1, attempts=1)
        download(f"{address}/a.bin", tmp_path / "a.bin", SHA1)
        assert asked[-1] == ("/a.bin", 1000)
        (tmp_path / "b.bin.part").write_bytes(CONTENT)  # complete, but not yet renamed
        download(f"{address}/a.bin", tmp_path / "b.bin", SHA1)
        assert (tmp_path / "b.bin").read_bytes() == CONTENT
        (tmp_path / "c.bin.part").write_bytes(b"another file")
        with pytest.raises(SystemExit, match=r"c\.bin\.part has the sha1 .*, expected .*removed"):
            download(f"{address}/a.bin", tmp_path / "c.bin", SHA1)
        assert not list(tmp_path.glob("c.bin*"))
        with pytest.raises(SystemExit, match="the server says HTTP Error 404"):
            download(f"{address}/none.bin", tmp_path / "d.bin", None)


def test_archives_cannot_write_elsewhere(tools, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../../outside.txt", "x")
    tools[1].unpack(tmp_path / "bad.zip", tmp_path / "inside/deep")
    assert not (tmp_path / "outside.txt").exists()
    (tmp_path / "cut.zip").write_bytes((tmp_path / "bad.zip").read_bytes()[:-30])
    with pytest.raises(SystemExit, match=r"cut\.zip cannot be unpacked"):
        tools[1].unpack(tmp_path / "cut.zip", tmp_path)


def test_layouts_are_checked_to_the_file(tools, tmp_path):
    prepare = tools[0]
    source = prepare.Source("", {}, {"train2017": 2, "val2017": 1, "annotations/a.json": 1})
    (tmp_path / "train2017/sub").mkdir(parents=True)
    (tmp_path / "train2017/1.jpg").write_bytes(b"x")
    (tmp_path / "train2017/2.jpg").write_bytes(b"")  # an empty file is no image
    assert prepare.missing_files(source, tmp_path) == [
        "train2017: 1 of 2 images",
        "val2017: 0 of 1 images",
        "annotations/a.json: 0 of 1 file",
    ]
    (tmp_path / "train2017/sub/2.JPEG").write_bytes(b"x")
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017/1.png").write_bytes(b"x")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/a.json").write_text("{}")
    assert prepare.missing_files(source, tmp_path) == []


def test_what_is_missing_is_said(tmp_path):
    status, output = run(tmp_path, "prepare_data.py", "coco", "--check", "--root", "coco")
    assert status == 1
    assert "train2017: 0 of 118287 images" in output
    assert "annotations/instances_val2017.json: 0 of 1 file" in output
    status, output = run(tmp_path, "prepare_data.py", "imagenet", "--root", "in")
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
    status, output = run(tmp_path, "prepare_data.py", "dsb2018", "--root", "dsb")
    assert status == 0, output
    assert "20 masks were left out" in output
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
    assert "is complete" in run(tmp_path, "prepare_data.py", "dsb2018", "--root", "dsb")[1]
    lost = next(name for name, part in seen.items() if part == "val")
    (tmp_path / "dsb/images" / lost).unlink()
    status, output = run(tmp_path, "prepare_data.py", "dsb2018", "--root", "dsb", "--check")
    assert status == 1
    assert f"images, such as {lost}" in output


def test_an_empty_folder_of_originals_is_named(tmp_path):
    (tmp_path / "dsb/stage1_train").mkdir(parents=True)
    status, output = run(tmp_path, "prepare_data.py", "dsb2018", "--root", "dsb")
    assert status == 1
    assert "has no ID/images in it" in output
