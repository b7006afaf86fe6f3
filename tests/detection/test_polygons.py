"""Polygons hold exactly the pixels of their masks, and lie where the image lies."""

import json

import cv2
import numpy as np
import pytest

from convnextv2.detection.polygons import trace, write_polygons
from convnextv2.geo import Place
from convnextv2.runtime.box_masks import BoxMask
from convnextv2.runtime.join import FoundObject


def fill(polygons, shape, scale=4):
    """The pixels whose middle is in the polygons, holes left out."""
    drawn = np.zeros(shape, int)
    ys, xs = np.mgrid[: shape[0], : shape[1]] + 0.5
    for rings in polygons:
        for ring in rings:
            contour = ring.astype(np.float32)
            for y, x in zip(ys.ravel().tolist(), xs.ravel().tolist(), strict=True):
                drawn[int(y), int(x)] ^= cv2.pointPolygonTest(contour, (x, y), False) > 0
    return drawn


MASKS = {
    "noise": np.random.default_rng(0).random((9, 12)) > 0.5,
    "full": np.ones((3, 4), bool),
    "ring in a ring": np.pad(np.pad(np.pad(np.ones((1, 1)), 1), 1, constant_values=1), 1) > 0,
    "corners": np.eye(4, dtype=bool),
    "nothing": np.zeros((3, 3), bool),
}


@pytest.mark.parametrize("name", MASKS)
def test_polygons_hold_the_masks_pixels(name):
    mask = MASKS[name]
    polygons = trace(mask)
    assert np.array_equal(fill(polygons, mask.shape), mask)
    count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    assert len(polygons) == count - 1
    for rings in polygons:
        assert all(np.array_equal(ring[0], ring[-1]) for ring in rings)


def found(mask=None, box=(2, 3, 6, 8)):
    return FoundObject(box, 0.75, 1, mask, frozenset([0]), 0)


def write(tmp_path, objects, place=None):
    path = tmp_path / "a.geojson"
    write_polygons(path, objects, ["tree", "bush"], [(0, 0, 0), (1, 2, 3)], place)
    return json.loads(path.read_text())


def test_features_have_class_and_score_in_pixels(tmp_path):
    content = write(tmp_path, [found(), found(BoxMask.of(np.ones((2, 3), bool), 10, 20))])
    box, mask = content["features"]
    assert "crs" not in content
    assert box["geometry"]["type"] == "Polygon"
    assert box["geometry"]["coordinates"][0][:3] == [[2, 3], [6, 3], [6, 8]]
    assert sorted(map(tuple, mask["geometry"]["coordinates"][0][1:])) == [
        (10, 20),
        (10, 22),
        (13, 20),
        (13, 22),
    ]
    assert box["properties"]["class"] == "bush"
    assert box["properties"]["score"] == 0.75
    assert box["properties"]["classification"] == {"name": "bush", "color": [1, 2, 3]}
    parts = write(tmp_path, [found(BoxMask.of(np.eye(2, dtype=bool)))])["features"][0]
    assert parts["geometry"]["type"] == "MultiPolygon"
    assert write(tmp_path, [])["features"] == []


def test_coordinates_are_those_of_the_world(tmp_path):
    place = Place((0.5, 0, 1000, 0, -0.5, 2000), 32612, [])
    content = write(tmp_path, [found()], place)
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32612"
    points = content["features"][0]["geometry"]["coordinates"][0]
    assert points[0] == [1001, 1998.5]
    assert points[2] == [1003, 1996]
