"""Tiles in the exported models' runtime: the same arithmetic, by numpy alone, in bounded memory."""

import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from test_runtime import ABOUT, BLOCKED, RUNTIME

from convnextv2 import runtime
from convnextv2.runtime import rle

# Rectangles of one colour each, of which a network without faults finds what is in a tile.
PLANTED = """
class Planted:
    about = {about}
    def __call__(self, images):
        rows = []
        for number, image in enumerate(images):
            for colour in numpy.unique(image[0]):
                if not colour:
                    continue
                ys, xs = numpy.nonzero(image[0] == colour)
                box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
                rows.append((number, box, 1 - colour / 300, int(colour) % 2))
        names = "images", "bboxes", "scores", "labels"
        columns = zip(*rows) if rows else ([], numpy.zeros((0, 4)), [], [])
        found = {{n: numpy.array(c) for n, c in zip(names, columns)}}
        masks = numpy.ones((len(rows), 28, 28), numpy.float32)
        return {{**found, "masks": masks, "bboxes": found["bboxes"].astype(numpy.float32)}}
scene = numpy.zeros((150, 260, 3), numpy.uint8)
scene[10:140, 20:32] = 10    # longer than a tile
scene[10:140, 32:50] = 20    # beside it
scene[60:70, 50:250] = 30
scene[80:90, 100:120] = 40
"""
ALONE = """
from convnextv2_runtime import Predictor
from convnextv2_runtime.rle import fill_runs, read_runs
numpy.save("scene.npy", scene)
found = Predictor(Planted()).predict_by_tiles("scene.npy", 64, 16, batch_size=4)
objects = found.sample.pred_instances
assert objects.bboxes.tolist() == [
    [20, 10, 32, 140], [32, 10, 50, 140], [50, 60, 250, 70], [100, 80, 120, 90]
], objects.bboxes
assert objects.labels.tolist() == [0, 0, 0, 0]
for mask, colour in zip(objects.masks, (10, 20, 30, 40)):
    pixels = fill_runs(read_runs(mask["counts"]), mask["size"])
    assert (pixels == (scene[..., 0] == colour)).all(), colour
assert not {"torch", "cv2", "PIL", "pycocotools", "mmengine", "convnextv2"} & set(sys.modules)
"""
OBJECTS = {
    **ABOUT,
    "kind": "objects",
    "mask_threshold": 0.5,
    "image": {**ABOUT["image"], "steps": [], "smallest": 1},
}


def test_objects_are_whole_again_where_two_packages_are(tmp_path):
    shutil.copytree(RUNTIME, tmp_path / "convnextv2_runtime")
    head = BLOCKED.format(allowed="'convnextv2_runtime', 'numpy', 'onnxruntime'")
    command = [sys.executable, "-c", head + PLANTED.format(about=OBJECTS) + ALONE]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


class Brightness:
    """A network that gives the images' first two bands as its logits."""

    def __init__(self):
        self.about = {**ABOUT, "image": {**ABOUT["image"], "steps": []}}

    def __call__(self, images):
        return {"logits": images[:, :2]}


def test_memory_is_that_of_a_tile_and_of_the_labels(tmp_path):
    shape = (2000, 3000, 3)
    image = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, shape)
    image[500:900, 1000:2500, 1] = 200
    image.flush()
    expected = image[..., 1] > 0
    del image
    predictor = runtime.Predictor(Brightness())
    tracemalloc.start()
    found = predictor.predict_by_tiles(tmp_path / "a.npy", 256, 32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found.sample.pred_sem_seg.data[0], expected)
    assert found.image.shape == shape
    assert peak < 18e6  # the labels have 6e6 bytes, the image 18e6


def test_what_cannot_be_done_by_tiles_is_said(tmp_path):
    predictor, image = runtime.Predictor(Brightness()), np.zeros((300, 300, 3), np.uint8)
    path = tmp_path / "a.npy"
    np.save(path, np.full((100, 100, 3), np.nan, np.float32))
    for source, tile, options, reason in [
        (image, 0, {}, "an array: tile_size 0 must be at least 1"),
        (image, 64, {"overlap": 64}, "an array: overlap 64 must be at least 0 and below"),
        (image, 64, {"whole_too": True}, "an array: whole_too is for objects"),
        (image[..., :2], 64, {}, r"an array: shape \(300, 300, 2\), expected"),
        (image[:0], 64, {}, r"an array: shape \(0, 300, 3\), expected"),
        ([1], 64, {}, "a list is neither an array nor a path"),
        (path, 64, {}, r"a\.npy: values of type float32, expected uint8"),
        (tmp_path / "no.npy", 64, {}, r"no\.npy: .*no such file"),
    ]:
        with pytest.raises(ValueError, match=reason):
            predictor.predict_by_tiles(source, tile, **options)
    predictor.about = {**predictor.about, "kind": "classes"}
    with pytest.raises(ValueError, match="this model gives classes"):
        predictor.predict_by_tiles(image, 64)


def test_runs_are_cocos():
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (37, 53), (5, 4000), (300, 7)]
    masks = [rng.random(size) < share for size in sizes for share in (0, 0.01, 0.5, 0.99, 1)]
    masks.append(np.pad(np.ones((900, 1000), bool), 500))  # runs of many bits
    for mask in masks:
        counts = rle.write_runs(rle.find_runs(mask))
        expected = coco_mask.encode(np.asfortranarray(mask, np.uint8))
        assert counts == expected["counts"].decode()
        assert np.array_equal(rle.fill_runs(rle.read_runs(counts), mask.shape), mask)
    long = [2**31, 3, 2**33, 1, 5]  # more than an int has
    assert rle.read_runs(rle.write_runs(long)).tolist() == long
