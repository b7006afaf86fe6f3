"""The benchmark of tiles finds what is there, and mosaics are what they are made of."""

import argparse
import json

import cv2
import numpy as np
import pytest
import tifffile

from convnextv2.detection.coco import decode_mask, encode_mask
from convnextv2.engine.errors import InputError
from convnextv2.tools.analysis_tools.benchmarks import tiles
from convnextv2.tools.dataset_converters.make_mosaic import make


class Queue(list):
    put = list.append


@pytest.mark.parametrize("batch_size", [1, 8])
def test_every_disc_of_a_generated_image_is_found(batch_size, tmp_path):
    path, queue = tmp_path / "image.tif", Queue()
    tiles.generate(path, 700)
    image = tifffile.imread(path)
    expected, numbers = cv2.connectedComponents((image[..., 0] > 155).astype(np.uint8))
    tiles.look(path, queue, "objects", 200, 40, batch_size)
    ((seconds, peak, found),) = queue
    assert found.startswith(f"{expected - 1} objects")
    assert seconds > 0
    assert peak > 0
    features = json.loads((tmp_path / "out/polygons/image.tif.geojson").read_text())["features"]
    assert len(features) == expected - 1
    tiles.look(path, queue, "labels", 200, 40, batch_size)
    labels = tifffile.imread(tmp_path / "out/labels/image.tif.tif")
    assert np.array_equal(labels, numbers > 0)


def write_coco(folder):
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(1, 5):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
        images.append({"id": i, "file_name": f"{i}.png", "height": 60, "width": 80})
        mask = np.zeros((60, 80), bool)
        mask[10 * i : 10 * i + 15, 5 * i : 5 * i + 50] = True
        ys, xs = np.nonzero(mask)
        box = [int(xs[0]), int(ys[0]), 50, int(ys[-1] - ys[0] + 1)]
        about = {"id": i, "image_id": i, "category_id": 7, "iscrowd": 0, "area": int(mask.sum())}
        annotations.append({**about, "bbox": box, "segmentation": encode_mask(mask)})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 7, "name": "thing"}]
    (folder / "all.json").write_text(json.dumps(content))


def test_a_mosaic_is_its_images_and_the_truth_survives_tiles(tmp_path):
    write_coco(tmp_path)
    assert make(tmp_path / "all.json", tmp_path, 4, tmp_path / "out") == ((120, 160), 4)
    mosaic = tifffile.imread(tmp_path / "out/mosaic.tif")
    content = json.loads((tmp_path / "out/mosaic.json").read_text())
    whole = json.loads((tmp_path / "all.json").read_text())
    for i, entry in enumerate(content["annotations"]):
        y, x = i // 2 * 60, i % 2 * 80
        assert np.array_equal(
            mosaic[y : y + 60, x : x + 80, ::-1], cv2.imread(str(tmp_path / f"{i + 1}.png"))
        )
        expected = np.zeros((120, 160), bool)
        expected[y : y + 60, x : x + 80] = decode_mask(whole["annotations"][i]["segmentation"])
        assert np.array_equal(decode_mask(entry["segmentation"]), expected)
        assert entry["category_id"] == 1
    settings = {"tile": 48, "overlap": 16, "coco": str(tmp_path / "out/mosaic.json")}
    assert tiles.score(argparse.Namespace(**settings)) == ("4", "4", "100.00", "100.00")
    with pytest.raises(InputError, match="has 4 images of one size, fewer than 9"):
        make(tmp_path / "all.json", tmp_path, 9, tmp_path / "out")
