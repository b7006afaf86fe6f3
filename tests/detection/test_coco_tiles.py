"""Tiles cover the image, annotations keep their very pixels, and pycocotools reads the json."""

import copy
import json
from itertools import pairwise

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from convnextv2.detection.coco import CocoWriter, decode_mask, encode_mask
from convnextv2.detection.tiles import crop_annotations
from convnextv2.runtime.tiles import tile_boxes

SHAPES = [(100, 100), (101, 257), (64, 65), (1, 200), (30, 300, 3)]


@pytest.fixture
def mask():
    """Blobs on 60 x 90 pixels."""
    noise = np.random.default_rng(0).random((60, 90))
    return (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) > 1.9


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0, 1, 20, 63])
def test_tiles_cover_each_pixel_and_without_overlap_once(shape, overlap):
    seen = np.zeros(shape[:2], int)
    for x0, y0, x1, y1 in tile_boxes(shape, 64, overlap):
        assert 0 <= x0 < x1 <= shape[1]
        assert 0 <= y0 < y1 <= shape[0]
        assert max(x1 - x0, y1 - y0) <= 64
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1
    assert overlap or seen.max() == 1


def test_tiles_are_equal_within_a_pixel_and_share_the_overlap_exactly():
    tiles = tile_boxes((50, 1000), 300, 30)
    assert len(tiles) == 4  # three of 300 that share 30 reach 840
    sides = [x1 - x0 for x0, _, x1, _ in tiles]
    assert max(sides) - min(sides) <= 1
    assert [a[2] - b[0] for a, b in pairwise(tiles)] == [30, 30, 30]


def test_a_small_image_is_one_tile():
    assert tile_boxes((40, 64), 64, 60) == [(0, 0, 64, 40)]


@pytest.mark.parametrize("overlap", [-1, 64])
def test_an_impossible_overlap_is_refused(overlap):
    with pytest.raises(ValueError, match=f"overlap {overlap} must be .* below tile_size 64"):
        tile_boxes((100, 100), 64, overlap)


def test_boxes_are_clipped_moved_and_dropped_by_hand_made_numbers():
    boxes = [[10, 20, 10, 10], [35, 20, 10, 10], [36.5, 20, 10, 10], [90, 90, 5, 5], [20, 20, 0, 9]]
    annotations = [{"bbox": box, "category_id": i, "note": "kept"} for i, box in enumerate(boxes)]
    before = copy.deepcopy(annotations)
    found = crop_annotations(annotations, (5, 10, 40, 50), min_visible=0.4)
    # The second has half of its area inside, the third 35 %, the others nothing.
    assert found == [
        {"bbox": [5, 10, 10, 10], "area": 100, "category_id": 0, "note": "kept"},
        {"bbox": [30, 10, 5, 10], "area": 50, "category_id": 1, "note": "kept"},
    ]
    assert annotations == before


def test_small_parts_are_dropped_but_crowds_are_not():
    annotations = [{"bbox": [0, 0, 3, 3], "iscrowd": 0}, {"bbox": [9, 0, 90, 90], "iscrowd": 1}]
    found = crop_annotations(annotations, (0, 0, 10, 10), min_visible=0.4, min_area=10)
    assert found == [{"bbox": [9, 0, 1, 10], "iscrowd": 1, "area": 10}]


@pytest.mark.parametrize("form", ["array", "str", "bytes", "list"])
def test_cropped_masks_decode_to_the_very_pixels(mask, form):
    compressed = encode_mask(mask)
    runs = np.flatnonzero(np.diff(np.r_[-1, mask.T.ravel(), -1]))  # column by column
    runs = np.diff(np.r_[0, runs[1:]]) if not mask[0, 0] else np.diff(runs)
    segmentation = {
        "array": mask,
        "str": compressed,
        "bytes": {**compressed, "counts": compressed["counts"].encode()},
        "list": {"size": [60, 90], "counts": ([0] if mask[0, 0] else []) + runs.tolist()},
    }[form]
    assert np.array_equal(decode_mask(segmentation), mask)
    (found,) = crop_annotations([{"segmentation": segmentation}], (20, 10, 50, 45), 0)
    part = mask[10:45, 20:50]
    assert found["segmentation"]["size"] == [35, 30]
    assert np.array_equal(coco_mask.decode(found["segmentation"]), part)
    assert found["area"] == part.sum()
    (ys,), (xs,) = np.nonzero(part.any(1)), np.nonzero(part.any(0))
    box = [xs[0], ys[0], xs[-1] - xs[0] + 1, ys[-1] - ys[0] + 1]
    assert found["bbox"] == box


def test_areas_in_tiles_add_up_to_the_whole(mask):
    tiles = tile_boxes(mask.shape, 25)
    annotations = [{"segmentation": mask}, {"bbox": [3.5, 2.25, 80, 50.5]}]
    parts = [part for tile in tiles for part in crop_annotations(annotations, tile, 0, 0)]
    assert sum(p["area"] for p in parts if "segmentation" in p) == mask.sum()
    assert sum(p["area"] for p in parts if "segmentation" not in p) == pytest.approx(80 * 50.5)


def test_the_visible_share_of_a_mask_is_of_its_pixels_not_of_its_box():
    mask = np.zeros((10, 20), bool)
    mask[:, :2] = True  # 20 pixels
    mask[5, :20] = True  # and 18 more, to the right
    annotation = {"segmentation": mask, "bbox": [0, 0, 20, 10]}
    assert crop_annotations([annotation], (0, 0, 5, 10), 0.6)  # 23 of 38; of the box 25 %
    assert not crop_annotations([annotation], (5, 0, 20, 10), 0.6)


def test_polygons_are_refused_with_the_next_step():
    with pytest.raises(TypeError, match=r"COCO\.annToRLE"):
        crop_annotations([{"segmentation": [[0, 0, 9, 0, 9, 9]]}], (0, 0, 5, 5), 0)


def test_what_is_written_is_numbered_from_1_and_scores_1_when_detected_perfectly(tmp_path, mask):
    """COCO's own evaluator would count the match with an annotation of id 0 as false."""
    writer = CocoWriter(["tree", "bush"])
    for name in "ab":
        annotations = []
        for number, (x0, y0, x1, y1) in enumerate(tile_boxes(mask.shape, 30)):
            segmentation = np.zeros_like(mask)
            segmentation[y0 + 2 : y1 - 4, x0 + 1 : x1 - 6] = True
            box = coco_mask.toBbox(encode_mask(segmentation))
            entry = {"id": 0, "category_id": 1 + number % 2, "bbox": box}
            annotations.append({**entry, "segmentation": segmentation})
        rle = coco_mask.encode(np.asfortranarray(segmentation, np.uint8))  # counts are bytes
        annotations[-1]["segmentation"] = rle
        writer.add(f"{name}.png", mask.shape, annotations)
    writer.write(tmp_path / "new/file.json")

    coco = COCO(tmp_path / "new/file.json")
    assert sorted(coco.imgs) == [1, 2]
    assert sorted(coco.anns) == list(range(1, 13))
    assert [(c["id"], c["name"]) for c in coco.loadCats([1, 2])] == [(1, "tree"), (2, "bush")]
    assert coco.imgs[2] == {"id": 2, "file_name": "b.png", "height": 60, "width": 90}
    assert np.array_equal(coco.annToMask(coco.anns[12]), segmentation)
    for kind in ("bbox", "segm"):
        detections = [{**a, "score": 0.5} for a in copy.deepcopy(coco.dataset["annotations"])]
        for detection in detections:
            detection.pop("segmentation" if kind == "bbox" else "bbox")
        evaluator = COCOeval(coco, coco.loadRes(detections), kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        assert evaluator.stats[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"category_id": 0, "bbox": [0, 0, 5, 5]}, r"a.png: category_id 0, .*\(1, 'tree'\)"),
        ({"category_id": 2, "bbox": [0, 0, 5, 5]}, "a.png: category_id 2"),
        ({"category_id": 1, "bbox": [0, 0, 0, 5]}, "a.png: the box .* has no area"),
    ],
)
def test_impossible_annotations_are_refused_and_nothing_is_added(annotation, message):
    writer = CocoWriter(["tree"])
    good = {"category_id": 1, "bbox": [0, 0, 5, 5]}
    with pytest.raises(ValueError, match=message):
        writer.add("a.png", (9, 9), [good, annotation])
    assert not writer.images
    assert not writer.annotations


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file.json"
    CocoWriter(["tree"]).write(path)
    writer = CocoWriter(["tree"])
    writer.add("a.png", (9, 9), [{"category_id": 1, "bbox": [0, 0, 5, 5], "note": object()}])
    with pytest.raises(TypeError, match="not JSON serializable"):
        writer.write(path)
    assert json.loads(path.read_text())["images"] == []
    assert list(tmp_path.iterdir()) == [path]
