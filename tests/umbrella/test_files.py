"""The one listing finds each image once, passes over hidden files and names what it cannot use."""

import io
import json
import logging
import os
import tarfile

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from convnextv2 import files
from convnextv2.files import find_images, is_hidden, printable, read_list
from convnextv2.pictures import expand_images
from convnextv2.pretrain.data.tar_shards import read_index

HIDDEN = ("._a.png", ".DS_Store", ".a.jpg", ".thumbs/a.png", "b/.c/d/e.png")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for name in ("a.png", "b/c.JPG", "b/d/e.tif", "notes.txt", *HIDDEN):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"content")
    return root


def found(root):
    return [os.path.relpath(path, root) for path in find_images(root)]


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(files, "print_log", lambda text, *_: lines.append(text))
    return lines


def test_hidden_files_are_no_images_anywhere(folder, tmp_path):
    assert found(folder) == ["a.png", "b/c.JPG", "b/d/e.tif"]
    assert expand_images([str(folder)]) == find_images(folder)
    names = ["a.png", "./b/c.JPG", "../other/x.png", *HIDDEN]
    (tmp_path / "list.txt").write_text("\n".join(names))
    (tmp_path / "list.json").write_text(json.dumps(names))
    (tmp_path / "coco.json").write_text(json.dumps({"images": [{"file_name": n} for n in names]}))
    for name in ("list.txt", "list.json", "coco.json"):
        assert read_list(tmp_path / name) == names[:3]
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"data"))
    assert len(read_index(tmp_path / "shard.tar")) == 3


def test_a_hidden_folder_that_was_asked_for_is_searched(tmp_path):
    (tmp_path / ".cache/images").mkdir(parents=True)
    (tmp_path / ".cache/images/a.png").write_bytes(b"content")
    assert found(tmp_path / ".cache") == ["images/a.png"]
    assert not is_hidden(f"{tmp_path}/.cache/a.png")


def test_links_lead_to_each_file_once(folder, tmp_path, log):
    before = found(folder)
    (folder / "b/itself").symlink_to(folder)
    (folder / "above").symlink_to("..")
    (folder / "0.png").symlink_to("a.png")
    assert found(folder) == before
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/z.png").write_bytes(b"content")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "y.png").symlink_to(tmp_path / "elsewhere/z.png")
    assert len(found(folder)) == len(before) + 1
    assert not log


def test_what_cannot_be_used_is_named(folder, monkeypatch, log):
    before = found(folder)
    (folder / "dangling.png").symlink_to("nowhere")
    (folder / "circle.png").symlink_to("circle.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "closed").mkdir()
    scan = os.scandir

    def refuse(path):  # as for anybody but root
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(folder) == before
    (text,) = log
    assert text.startswith("4 skipped:")
    for name in ("dangling.png: no regular file", "circle.png: ", "pipe.png: no regular file"):
        assert f"{folder}/{name}" in text
    assert f"{folder}/closed: Permission denied" in text


def test_names_that_are_not_utf8_are_found_listed_and_logged(tmp_path):
    raw = b"latin-\xe9.png"
    image = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with open(os.path.join(os.fsencode(tmp_path), raw), "wb") as file:
        file.write(image)
    (path,) = find_images(tmp_path)
    assert os.fsencode(os.path.basename(path)) == raw
    assert printable(os.path.basename(path)) == r"latin-\xe9.png"
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + raw + b"\n\nb.png\r\n")
    (tmp_path / "list.json").write_bytes(b'["' + raw + b'", "b.png"]')
    for name in ("list.txt", "list.json"):
        assert [os.fsencode(line) for line in read_list(tmp_path / name)] == [raw, b"b.png"]
    os.symlink("nowhere", os.path.join(os.fsencode(tmp_path), b"gone-\xe9.png"))
    logger = MMLogger.get_instance(f"log-{tmp_path.name}", log_file=str(tmp_path / "log.txt"))
    MMLogger._instance_dict.clear()
    logger.log(logging.WARNING, printable(path))
    assert r"latin-\xe9.png" in (tmp_path / "log.txt").read_text()
    assert find_images(tmp_path) == [path]


@pytest.mark.parametrize("content", ['{"images": 3}', '{"images": [{}]}', '{"images": ["a"]}'])
def test_a_list_of_another_form_is_refused(tmp_path, content):
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(ValueError, match=r"list\.json: no file in COCO's format"):
        read_list(tmp_path / "list.json")


def test_paths_given_by_hand(folder):
    (folder / "dangling.png").symlink_to("nowhere")
    given = [str(folder / "dangling.png"), str(folder / "a.png")]
    assert expand_images(given) == given
    with pytest.raises(SystemExit, match=r"none\.png does not exist"):
        expand_images([str(folder / "none.png")])
