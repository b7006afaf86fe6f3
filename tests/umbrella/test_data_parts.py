"""What the checks of every kind of data share."""

import os

import pytest

from convnextv2.data_parts import find_missing_images


@pytest.mark.parametrize(("there", "level"), [(18, "warning"), (17, "fatal")])
def test_a_tenth_of_the_images_may_be_missing(tmp_path, there, level):
    """As many as training skips; more stop it before it begins."""
    for i in range(there):
        (tmp_path / f"{i}.png").touch()
    os.mkfifo(tmp_path / "19.png")
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    found = find_missing_images(paths, "train")
    assert {finding[0] for finding in found} == {level}
    assert found[0] == (level, f"train: {paths[there]} does not exist")
    assert found[-1] == (level, f"train: {paths[-1]} is no regular file")
