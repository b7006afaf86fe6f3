"""What the checks of every kind of data share."""

import os

import pytest

from convnextv2.data_parts import explain_missing, find_missing_images, spread


@pytest.mark.parametrize(("there", "level"), [(18, "warning"), (17, "fatal")])
def test_a_tenth_of_the_images_may_be_missing(tmp_path, there, level):
    """As many as training skips; more stop it before it begins."""
    for i in range(there):
        (tmp_path / f"{i}.png").write_bytes(b"x")
    os.mkfifo(tmp_path / "19.png")
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    found = find_missing_images(paths, "train")
    assert {finding.level for finding in found} == {level}
    assert str(found[0]) == f"train: {paths[there]} does not exist"
    assert str(found[-1]) == f"train: {paths[-1]} is no regular file"


def test_a_path_that_leads_nowhere_says_why(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.jpg").write_bytes(b"x")
    (tmp_path / "empty.png").touch()
    (tmp_path / "link.png").symlink_to("nowhere.png")
    reasons = {
        "sub/a.jpg": "",
        "sub/a.png": "does not exist; there is a.jpg",
        "sub/A.JPG": "does not exist; there is a.jpg",
        "sub/sub/a.jpg": "does not exist; there is one in the folder above sub",
        "sub\\a.jpg": "does not exist: its backslashes are no separators of folders here; write /",
        "empty.png": "is empty: the file has 0 bytes",
        "link.png": "is a broken link, to nowhere.png",
        "none.png": "does not exist",
    }
    assert {name: explain_missing(f"{tmp_path}/{name}") for name in reasons} == reasons


def test_a_spread_has_both_ends():
    assert spread(5, 9) == [0, 1, 2, 3, 4]
    assert spread(100, 4) == [0, 33, 66, 99]
    assert spread(100, 1) == [0]
