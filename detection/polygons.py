"""Objects as polygons in GeoJSON, which QGIS, GDAL and QuPath open.

Coordinates are those of the image's place in the world, in its own coordinate system, which the
file names; without one they are pixels, y downwards, as QuPath has them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from convnextv2.files import written_whole
from convnextv2.geo import Place
from convnextv2.pictures import Palette
from convnextv2.runtime.join import FoundObject


def write_polygons(
    path: Path,
    objects: Iterable[FoundObject],
    classes: Sequence[str],
    palette: Palette,
    place: Place | None = None,
) -> None:
    """Write a GeoJSON file, a feature for each object, with its class and score.

    Args:
        path: Of the file.
        objects: Of one image; of masks their outlines, otherwise boxes.
        classes: Name of each label.
        palette: An RGB colour for each label.
        place: Of the image.
    """
    head: dict = {"type": "FeatureCollection"}
    if place and place.epsg:
        name = f"urn:ogc:def:crs:EPSG::{place.epsg}"
        head["crs"] = {"type": "name", "properties": {"name": name}}
    with written_whole(path) as partial, open(partial, "w") as file:
        file.write(json.dumps(head)[:-1] + ', "features": [')
        for number, found in enumerate(objects):
            kind = {"name": classes[found.label], "color": list(palette[found.label])}
            feature = {
                "type": "Feature",
                "geometry": to_geometry(found, place),
                "properties": {
                    "class": classes[found.label],
                    "score": round(found.score, 4),
                    # QuPath's own names.
                    "objectType": "detection",
                    "classification": kind,
                },
            }
            file.write(("," if number else "") + "\n" + json.dumps(feature))
        file.write("\n]}\n")


def to_geometry(found: FoundObject, place: Place | None = None) -> dict:
    """GeoJSON's polygon or polygons of an object."""
    if found.mask is None or not found.mask.area:
        x0, y0, x1, y1 = found.box
        polygons = [[np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]])]]
    else:
        x, y, *_ = found.mask.box
        polygons = trace(found.mask.decode(found.mask.box))
        polygons = [[ring + np.array([x, y]) for ring in rings] for rings in polygons]
    located = [
        [(place.locate(ring) if place else ring).tolist() for ring in rings] for rings in polygons
    ]
    if len(located) == 1:
        return {"type": "Polygon", "coordinates": located[0]}
    return {"type": "MultiPolygon", "coordinates": located}


def trace(mask: np.ndarray) -> list[list[np.ndarray]]:
    """The polygons of a mask (h, w), along the edges of its pixels.

    Parts that touch at a corner alone are apart. What is in a polygon is exactly the mask.

    Returns:
        For each part its rings (n, 2) of columns and rows, closed: the outer one and its holes.
    """
    rings = _walk(_list_edges(mask))
    outer = [ring for ring in rings if _measure(ring) > 0]
    holes = [ring for ring in rings if _measure(ring) < 0]
    polygons = [[ring] for ring in outer]
    for hole in holes:
        around = [p for p in polygons if _is_inside(hole, p[0])]
        min(around, key=lambda p: _measure(p[0])).append(hole)
    return polygons


def _list_edges(mask: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Edges between inside and outside, with the inside at their right: start -> ends."""
    padded = np.pad(np.asarray(mask, bool), 1)
    inside = padded[1:-1, 1:-1]
    edges = defaultdict(list)
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),  # above: left to right, in columns and rows
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for neighbour, start, end in sides:
        for y, x in np.argwhere(inside & ~neighbour).tolist():
            edges[x + start[0], y + start[1]].append((x + end[0], y + end[1]))
    return edges


def _walk(edges: dict[tuple[int, int], list[tuple[int, int]]]) -> list[np.ndarray]:
    """Closed rings of edges, without the points on straight lines."""
    rest = dict.fromkeys((start, end) for start, ends in edges.items() for end in ends)
    rings = []
    while rest:
        edge = first = next(iter(rest))
        ring = []
        while True:
            del rest[edge]
            (x0, y0), (x1, y1) = edge
            ring.append((x0, y0))
            ends = edges[x1, y1]
            # Where two pixels touch at a corner: to the right, which stays with one's own.
            to = ends[0] if len(ends) == 1 else (x1 - (y1 - y0), y1 + (x1 - x0))
            edge = (x1, y1), to
            if edge == first:
                break
        points = np.array(ring, float)
        turns = (np.roll(points, -1, 0) - points != points - np.roll(points, 1, 0)).any(1)
        rings.append(np.concatenate([points[turns], points[turns][:1]]))
    return rings


def _measure(ring: np.ndarray) -> float:
    """The area of a ring, above 0 if it is walked with its inside at the right."""
    x, y = ring.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def _is_inside(hole: np.ndarray, ring: np.ndarray) -> bool:
    """Whether a hole is in a ring: the middle of a pixel of it is."""
    import cv2

    # Outside of a hole is at the left of its edges; half a pixel that way is in the hole.
    step = np.sign(hole[1] - hole[0])
    point = hole[0] + step / 2 + np.array([step[1], -step[0]]) / 2
    return cv2.pointPolygonTest(ring.astype(np.float32), tuple(map(float, point)), False) > 0
