"""Inference by tiles: the command's files, a run that is stopped, and testing by tiles."""

import json

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS
from processes import config

from convnextv2.detection.coco import decode_mask
from convnextv2.engine.errors import InputError
from convnextv2.engine.tiled_model import use_tiles
from convnextv2.predictor import Predictor
from convnextv2.tiled import Tiling, choose_tile
from convnextv2.tools.infer import infer_by_tiles

SHAPE = (150, 200)
TILING = Tiling(64, 16)
TILES = 3 * 4


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A TIFF in tiles with a few discs."""
    image = np.random.default_rng(0).integers(0, 80, (*SHAPE, 3), dtype=np.uint8)
    for x in range(20, 200, 35):
        cv2.circle(image, (x, 30 + x // 2), 14, (250, 60, 60), -1)
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    tifffile.imwrite(path, image, tile=(32, 32), photometric="rgb")
    return path


class StoppedError(Exception):
    """What happens to a run."""


def make_predictor(name, untrained, stop=None):
    """A predictor whose model counts its calls, and stops before one of them."""
    predictor = Predictor(config(name), untrained(name, classes=["box", "disc"]), "cpu")
    step, predictor.calls = predictor.model.test_step, 0

    def count(data):
        if predictor.calls == stop:
            raise StoppedError
        predictor.calls += 1
        return step(data)

    predictor.model.test_step = count
    return predictor


def infer(predictor, scene, out, tiling=TILING):
    names = {str(scene): scene.name}
    return infer_by_tiles(predictor, names, out, 0.0, tiling, {"checkpoint": "one"})


def read(name, out):
    if name == "upernet":
        return tifffile.imread(out / "labels/scene.tif.tif")
    return json.loads((out / "results.json").read_text())


@pytest.mark.parametrize("name", ["mask-rcnn", "upernet"])
def test_a_run_that_is_stopped_goes_on_by_tiles(name, untrained, scene, tmp_path):
    whole = make_predictor(name, untrained)
    assert infer(whole, scene, tmp_path / "whole") == 0
    assert whole.calls == TILES
    expected = read(name, tmp_path / "whole")
    stopped = make_predictor(name, untrained, stop=9)
    with pytest.raises(StoppedError):
        infer(stopped, scene, tmp_path / "part")
    again = make_predictor(name, untrained)
    assert infer(again, scene, tmp_path / "part") == 0
    # Labels go on from the last row of tiles of which all are done; the one above reaches into it.
    assert again.calls == (TILES - 4 if name == "upernet" else TILES - 9)
    found = read(name, tmp_path / "part")
    assert np.array_equal(found, expected) if name == "upernet" else found == expected
    for out in ("whole", "part"):
        assert not (tmp_path / out / "tiles").exists()
        assert (tmp_path / out / "pictures/scene.tif.png").exists()
        assert cv2.imread(str(tmp_path / out / "pictures/scene.tif.png")).shape == (*SHAPE, 3)


def test_objects_are_those_of_the_whole_image(untrained, scene, tmp_path):
    predictor = make_predictor("mask-rcnn", untrained)
    assert infer(predictor, scene, tmp_path, TILING._replace(reduced=True)) == 0
    found = read("mask-rcnn", tmp_path)
    assert found
    assert {entry["file_name"] for entry in found} == {"scene.tif"}
    assert {entry["image_id"] for entry in found} == {1}
    for entry in found[:20]:
        x, y, width, height = entry["bbox"]
        assert x + width <= SHAPE[1]
        assert y + height <= SHAPE[0]
        assert decode_mask(entry["segmentation"]).shape == SHAPE


def test_labels_of_one_tile_are_those_of_the_image(untrained, scene, tmp_path):
    predictor = make_predictor("upernet", untrained)
    assert infer(predictor, scene, tmp_path, Tiling(256, 16)) == 0
    (expected,) = predictor(str(scene))
    labels = expected.sample.pred_sem_seg.data[0].numpy() + predictor.label_offset
    assert np.array_equal(read("upernet", tmp_path), labels)


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_pictures_have_the_colours_of_the_image(order, untrained, tmp_path):
    predictor = make_predictor("mask-rcnn", untrained)
    predictor.load.channel_order = order
    tifffile.imwrite(tmp_path / "scene.tif", np.full((64, 64, 3), (255, 0, 0), np.uint8))
    tiling, names = Tiling(64, 16), {str(tmp_path / "scene.tif"): "scene.tif"}
    assert infer_by_tiles(predictor, names, tmp_path / "out", 1.0, tiling, {}) == 0
    picture = cv2.imread(str(tmp_path / "out/pictures/scene.tif.png"))
    assert (picture == (0, 0, 255)).all()


def test_a_damaged_image_is_named_and_the_run_fails_if_it_is_the_only_one(
    untrained, scene, tmp_path, capsys
):
    content = scene.read_bytes()
    damaged = tmp_path / "scene.tif"
    damaged.write_bytes(content[: len(content) // 2])
    assert infer(make_predictor("upernet", untrained), damaged, tmp_path / "out") == 1
    assert "scene.tif: truncated" in capsys.readouterr().out


def test_tiles_are_as_large_as_the_training_crops_unless_one_is_named():
    cfg = Config.fromfile(config("mask-rcnn"))
    assert choose_tile(cfg, 0, None) == (64, 10)
    assert choose_tile(cfg, 640, 96) == (640, 96)
    with pytest.raises(InputError, match="--overlap 64 must be below the side of a tile, 64"):
        choose_tile(cfg, 0, 64)
    cfg.train_dataloader.dataset.pipeline = []
    with pytest.raises(InputError, match=r"--tile auto: .* such as --tile 640"):
        choose_tile(cfg, 0, None)


@pytest.mark.parametrize("name", ["mask-rcnn", "upernet"])
def test_a_model_tested_by_tiles_finds_what_inference_by_tiles_finds(
    name, untrained, scene, tmp_path
):
    predictor = make_predictor(name, untrained)
    assert infer(predictor, scene, tmp_path) == 0
    expected = read(name, tmp_path)
    cfg = Config.fromfile(config(name))
    use_tiles(cfg, 64, 16)
    model = MODELS.build(cfg.model)
    model.module.load_state_dict(predictor.model.state_dict())
    model.eval()
    steps = cfg.test_dataloader.dataset.pipeline
    results = {"img_path": str(scene), "img_id": 1}
    for step in (steps[0], steps[-1]):
        results = TRANSFORMS.build(step)(results)
    with torch.inference_mode():
        data = {"inputs": [results["inputs"]], "data_samples": [results["data_samples"]]}
        (sample,) = model.test_step(data)
    if name == "upernet":
        labels = sample.pred_sem_seg.data[0].numpy() + predictor.label_offset
        assert np.array_equal(labels, expected)
    else:
        found = sample.pred_instances
        assert found.scores.tolist() == pytest.approx([entry["score"] for entry in expected])
        assert [mask["counts"] for mask in found.masks] == [
            entry["segmentation"]["counts"] for entry in expected
        ]


def test_masks_of_annotations_are_not_loaded_where_images_are_whole():
    cfg = Config.fromfile(config("mask-rcnn"))
    use_tiles(cfg, 64, 16)
    load, annotations, pack = cfg.test_dataloader.dataset.pipeline
    assert load.type == "convnextv2.LoadImage"
    assert annotations.with_bbox
    assert not annotations.with_mask
    assert pack.type == "PackDetInputs"
    assert [step.type for step in cfg.model.steps] == ["Resize", "PackDetInputs"]
