"""Where a GeoTIFF says that its pixels are."""

import numpy as np
import pytest
import tifffile

from convnextv2.geo import read_place

SCALE = (33550, "d", 3, (0.5, 0.25, 0.0), True)
TIE = (33922, "d", 6, (10.0, 20.0, 0.0, 1000.0, 2000.0, 0.0), True)


def keys(**entries):
    rows = [(int(key.strip("k")), 0, 1, value) for key, value in entries.items()]
    directory = [1, 1, 0, len(rows), *(number for row in rows for number in row)]
    return (34735, "H", len(directory), tuple(directory), True)


def write(path, *tags):
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), extratags=list(tags))
    return read_place(path)


@pytest.mark.filterwarnings("error")  # of tifffile, about values that it reads too late
def test_scale_and_tie_point(tmp_path):
    place = write(tmp_path / "a.tif", SCALE, TIE, keys(k1025=1, k3072=32612))
    assert place.epsg == 32612
    located = place.locate(np.array([[10.0, 20], [12, 24]]))
    assert np.allclose(located, [[1000, 2000], [1001, 1999]])


def test_a_point_is_the_middle_of_its_pixel(tmp_path):
    place = write(tmp_path / "a.tif", SCALE, TIE, keys(k1025=2, k2048=4326))
    assert place.epsg == 4326
    assert np.allclose(place.locate(np.array([[10.5, 20.5]])), [[1000, 2000]])


def test_a_matrix_may_turn_the_image(tmp_path):
    matrix = (0, 2, 0, 5, 3, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1)
    place = write(tmp_path / "a.tif", (34264, "d", 16, matrix, True))
    assert place.epsg is None
    assert np.allclose(place.locate(np.array([[1.0, 10]])), [[25, 10]])


@pytest.mark.parametrize("tags", [(), (SCALE,), (keys(k3072=32612),)])
def test_other_files_say_nothing(tags, tmp_path):
    assert write(tmp_path / "a.tif", *tags) is None
    (tmp_path / "a.png").write_bytes(b"no TIFF")
    assert read_place(tmp_path / "a.png") is None


def test_tags_are_handed_on(tmp_path):
    place = write(tmp_path / "a.tif", SCALE, TIE, keys(k1025=1, k3072=32612))
    assert write(tmp_path / "b.tif", *place.tags) == place
