"""Tiles of large images in training: pixels and objects are those of the whole image."""

import json
import pickle

import numpy as np
import pytest
import tifffile
from pycocotools import mask as coco_mask

from convnextv2.detection.coco import decode_mask, draw_polygons, encode_mask
from convnextv2.detection.tiled_dataset import TiledDetDataset
from convnextv2.engine.errors import InputError
from convnextv2.runtime.box_masks import BoxMask
from convnextv2.runtime.rle import read_runs

SHAPE = (120, 170)
PIPELINE = [
    {"type": "convnextv2.LoadImage", "channel_order": "bgr", "dtype": "uint8"},
    {"type": "mmdet.LoadAnnotations", "with_bbox": True, "with_mask": True},
    {"type": "mmdet.PackDetInputs"},
]
POLYGON = [[20.5, 10, 90, 15.5, 70, 60.25, 30, 50], [100, 100, 120, 100, 120, 118]]


def ellipse(x, y, a, b):
    ys, xs = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return ((xs - x) / a) ** 2 + ((ys - y) / b) ** 2 <= 1


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder, pixels, and the masks of the objects in a tiled TIFF; a second image has none."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(folder / name, pixels, tile=(32, 32), photometric="rgb")
    noise = ellipse(60, 60, 30, 40) & (rng.random(SHAPE) > 0.3)
    polygon = decode_mask(coco_mask.merge(coco_mask.frPyObjects(POLYGON, *SHAPE)))
    masks = [polygon, ellipse(64, 64, 12, 20), noise, ellipse(150, 20, 15, 15)]
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, noise.T.ravel(), 2])))
    listed = {"size": list(SHAPE), "counts": [0] * bool(noise[0, 0]) + runs.tolist()}
    segmentations = [POLYGON, encode_mask(masks[1]), listed, encode_mask(masks[3])]
    annotations = []
    for i, (mask, segmentation) in enumerate(zip(masks, segmentations, strict=True)):
        x, y, w, h = coco_mask.toBbox(encode_mask(mask)).tolist()
        about = {"id": i + 1, "image_id": 1, "category_id": 1, "area": int(mask.sum())}
        crowd = {"iscrowd": int(i == 2), "bbox": [x, y, w, h], "segmentation": segmentation}
        annotations.append({**about, **crowd})
    images = [
        {"id": i, "file_name": name, "height": SHAPE[0], "width": SHAPE[1]}
        for i, name in enumerate(("a.tif", "b.tif"), 1)
    ]
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "thing"}]
    (folder / "all.json").write_text(json.dumps(content))
    return folder, pixels, masks


def build(data, **settings):
    dataset = {
        "type": "mmdet.CocoDataset",
        "data_root": str(data[0]),
        "ann_file": "all.json",
        "data_prefix": {"img": ""},
        "metainfo": {"classes": ("thing",)},
        "pipeline": [],
    }
    settings = {"pipeline": PIPELINE, "tile_size": 64, "overlap": 16, **settings}
    return TiledDetDataset(dataset, **settings)


def test_tiles_hold_what_the_image_holds_there(data):
    _, pixels, masks = data
    tiles = build(data, min_visible=0)
    assert len(tiles) == 2 * 3 * 4
    found = 0
    for i in range(12):
        x0, y0, x1, y1 = tiles.get_data_info(i)["tile"]
        sample = tiles[i]
        image = sample["inputs"].permute(1, 2, 0).numpy()[..., ::-1]
        assert np.array_equal(image, pixels[y0:y1, x0:x1])
        truth = sample["data_samples"]
        parts = [mask[y0:y1, x0:x1] for mask in masks]
        expected = [part for i, part in enumerate(parts) if part.any() and i != 2]
        assert np.array_equal(
            truth.gt_instances.masks.masks, np.array(expected).reshape(-1, y1 - y0, x1 - x0)
        )
        for box, part in zip(truth.gt_instances.bboxes.tensor.tolist(), expected, strict=True):
            x, y, w, h = coco_mask.toBbox(encode_mask(part)).tolist()
            assert box == pytest.approx([x, y, x + w, y + h], abs=1)  # of polygons: as annotated
        crowd = truth.ignored_instances.masks.masks
        assert len(crowd) == parts[2].any()
        assert all(np.array_equal(mask, parts[2]) for mask in crowd)
        found += len(expected)
    assert found > 12


def test_tiles_are_scaled_and_cropped_as_images_are(data):
    jitter = {"type": "convnextv2.LargeScaleJitter", "scale": (64, 64), "crop_size": (64, 64)}
    objects = {"type": "convnextv2.LoadObjects", "with_mask": True}
    for ratio, size in ((1, 64), (0.5, 32)):
        steps = [{**jitter, "ratio_range": (ratio, ratio)}, PIPELINE[0], objects, PIPELINE[2]]
        for i in range(12):
            whole, crop = (build(data, pipeline=p)[i] for p in (PIPELINE, steps))
            assert crop["inputs"].shape == (3, size, size)
            truth, found = (sample["data_samples"].gt_instances for sample in (whole, crop))
            kept = truth.masks.masks.any((1, 2))
            assert np.array_equal(
                found.masks.masks, truth.masks.masks[kept, :: 64 // size, :: 64 // size]
            )
            if ratio == 1:
                assert np.array_equal(crop["inputs"], whole["inputs"])


def test_what_is_hardly_visible_is_left_out(data):
    tiles, masks = build(data, min_visible=0.5), data[2]
    for i in range(12):
        x0, y0, x1, y1 = tiles.get_data_info(i)["tile"]
        parts = [mask[y0:y1, x0:x1].sum() / mask.sum() for mask in (*masks[:2], masks[3])]
        assert len(tiles[i]["data_samples"].gt_instances) == sum(p >= 0.5 for p in parts)


@pytest.mark.parametrize("share", [0, 0.25, 0.5])
def test_empty_tiles_are_a_share_of_all(data, share):
    tiles = build(data, empty_share=share, min_visible=0.3)
    empty = [not len(tiles[i]["data_samples"].gt_instances) for i in range(len(tiles))]
    assert 0 < len(tiles) < 24
    # The crowd's box, which counts as an object, makes some tiles look full.
    full = sum(image == 0 for image, _ in tiles.places)
    assert sum(empty[i] for i, (image, _) in enumerate(tiles.places) if image == 1) <= full
    assert len(build(data)) == 24
    assert tiles.places == build(data, empty_share=share, min_visible=0.3).places


def test_samples_do_not_depend_on_what_was_read_before(data):
    one, other = build(data), build(data)
    order = np.random.default_rng(0).permutation(len(one)).tolist()
    for i in order:
        one[i]
    copied = pickle.loads(pickle.dumps(one))
    for i in order[:6]:
        for tiles in (one, copied):
            assert np.array_equal(tiles[i]["inputs"], other[i]["inputs"])


def test_another_loader_is_refused_with_the_next_step(data):
    with pytest.raises(InputError, match=r"needs one convnextv2\.LoadImage"):
        build(data, pipeline=PIPELINE[1:])


def test_masks_in_cocos_forms_are_read_without_the_image():
    rng = np.random.default_rng(0)
    for density in (0.02, 0.5, 0.98, 0, 1):
        mask = rng.random((37, 53)) < density
        rle = encode_mask(mask)
        kept = BoxMask.from_coco(rle)
        assert np.array_equal(kept.decode((0, 0, 53, 37)), mask)
        runs = read_runs(rle["counts"])
        assert runs.sum() == mask.size
        assert BoxMask.from_coco({**rle, "counts": runs.tolist()}) == kept
    for shift in (0, -30, 100):
        moved = [(np.array(ring) + shift).tolist() for ring in POLYGON]
        whole = decode_mask(coco_mask.merge(coco_mask.frPyObjects(moved, *SHAPE)))
        kept = draw_polygons(moved, SHAPE)
        assert np.array_equal(kept.decode((0, 0, SHAPE[1], SHAPE[0])), whole)
