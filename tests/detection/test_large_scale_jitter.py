"""Large-scale jitter that reads the crop alone gives what mmdet's own transforms give."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

from convnextv2.detection.coco import encode_mask
from convnextv2.detection.loading import LargeScaleJitter
from convnextv2.engine.errors import InputError
from convnextv2.engine.seeded_dataset import SeededDataset
from convnextv2.engine.seeding import SeededIndex

CONFIGS = Path(__file__).resolve().parents[2] / "configs/detection"
PUBLISHED = {
    "mask2former_convnextv2-tiny_8xb2-lsj-50e-fcmae_coco.py": (
        "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py"
    ),
    "dino-4scale_convnextv2-tiny_8xb2-12e-fcmae_coco.py": (
        "mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py"
    ),
}
SHAPE = (120, 160)
SIZE = (256, 192)  # of the crop, width first
RANGE = (0.1, 2.0)
BEGIN = [  # mmdet's, with the project's reader
    {"type": "convnextv2.LoadImage", "channel_order": "bgr", "dtype": "uint8"},
    {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
    {"type": "RandomResize", "scale": (256, 256), "ratio_range": RANGE, "keep_ratio": True},
    {
        "type": "RandomCrop",
        "crop_size": SIZE,
        "recompute_bbox": True,
        "allow_negative_crop": True,
    },
]
OURS = [
    {
        "type": "convnextv2.LargeScaleJitter",
        "scale": (256, 256),
        "ratio_range": RANGE,
        "crop_size": SIZE,
    },
    {"type": "convnextv2.LoadImage", "channel_order": "bgr", "dtype": "uint8"},
    {"type": "convnextv2.LoadObjects", "with_mask": True},
]
END = [
    {"type": "FilterAnnotations", "min_gt_bbox_wh": (1e-2, 1e-2), "keep_empty": False},
    {"type": "RandomFlip", "prob": 0.5, "direction": ["horizontal", "vertical", "diagonal"]},
    {"type": "PackDetInputs"},
]
SEEDS = range(60)
FLIP = {"type": "RandomFlip", "prob": 0.5}
# Mirrored last, as in Mask R-CNN, or first, as in Mask2Former.
ORDERS = {
    "not mirrored": (BEGIN, OURS),
    "mirrored first": ([*BEGIN[:2], FLIP, *BEGIN[2:]], [{**OURS[0], "flip_prob": 0.5}, *OURS[1:]]),
}


@pytest.fixture(params=ORDERS)
def order(request):
    """mmdet's steps and ours."""
    return ORDERS[request.param]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """What a data set says of a PNG and a JPEG with polygons, RLE of both forms, and faults."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    blocks = rng.integers(40, 216, (6, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(blocks, SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
    infos = []
    for number, name in enumerate(["a.png", "b.jpg"]):
        cv2.imwrite(str(folder / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 98])
        instances = [_polygons(rng) for _ in range(6)] + _odd_ones(rng)
        for label, instance in enumerate(instances):
            instance["bbox_label"] = label
        info = {"img_path": str(folder / name), "img_id": number, "instances": instances}
        infos.append({**info, "height": SHAPE[0], "width": SHAPE[1]})
    return infos


def _polygons(rng):
    """A star of two parts, with two decimals, as annotations have them; some leave the image."""
    rings = []
    for _ in range(2):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 14))
        radius = rng.uniform(3, 50) * rng.uniform(0.5, 1, 14)
        star = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
        rings.append((star + rng.uniform(0, SHAPE[::-1])).round(2))
    points = np.concatenate(rings)
    box = [*points.min(0).clip(0).tolist(), *points.max(0).clip(0, SHAPE[::-1]).tolist()]
    return {"mask": [ring.ravel().tolist() for ring in rings], "bbox": box, "ignore_flag": 0}


def _odd_ones(rng):
    noise = np.zeros(SHAPE, np.uint8)
    noise[30:90, 20:140] = rng.random((60, 120)) < 0.5
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, noise.T.ravel(), 2]))).tolist()
    box, whole = [20, 30, 140, 90], [0, 0, 160, 120]
    return [
        {"mask": encode_mask(noise), "bbox": box, "ignore_flag": 1},
        {"mask": {"size": list(SHAPE), "counts": runs}, "bbox": box, "ignore_flag": 0},
        {"mask": [[1, 1, 2, 2]], "bbox": whole, "ignore_flag": 0},  # no polygon
        {"mask": [[200, 10, 300, 10, 300, 90]], "bbox": whole, "ignore_flag": 0},  # outside
    ]


def build(*steps):
    with DefaultScope.overwrite_default_scope("mmdet"):
        return Compose([dict(step) for step in steps])


def draw(pipeline, info, seed):
    np.random.seed(seed)
    return pipeline(copy.deepcopy(info))


def test_objects_are_those_of_mmdet(images, order):
    """Bit for bit, but for pixels at ties of rounding."""
    theirs, ours = (build(*steps) for steps in order)
    different = seen = 0
    for info in images:
        for seed in SEEDS:
            expected, got = draw(theirs, info, seed), draw(ours, info, seed)
            for key in ("img_shape", "ori_shape", "scale_factor", "flip", "flip_direction"):
                assert got.get(key) == expected.get(key)
            for key in ("gt_bboxes_labels", "gt_ignore_flags"):
                assert got[key].tolist() == expected[key].tolist()
            boxes = got["gt_bboxes"].tensor.numpy(), expected["gt_bboxes"].tensor.numpy()
            # A tie may be an object's last pixel, which is several where it is enlarged.
            np.testing.assert_allclose(*boxes, atol=4)
            masks = got["gt_masks"].masks, expected["gt_masks"].masks
            assert masks[0].dtype == masks[1].dtype
            assert masks[0].shape == masks[1].shape
            assert abs(got["gt_masks"].areas - expected["gt_masks"].areas).max(initial=0) <= 16
            different += int((masks[0] != masks[1]).sum())
            seen += masks[0].size
    assert different < 1e-5 * seen


def test_pixels_are_those_of_mmdet(images, order):
    theirs, ours = (build(*steps) for steps in order)
    reductions = set()
    for info in images:
        for seed in SEEDS:
            expected, got = draw(theirs, info, seed), draw(ours, info, seed)
            difference = np.abs(got["img"].astype(int) - expected["img"])
            reduction = got["scaled_crop"].reduction if info is images[1] else 1
            # What is decoded smaller was averaged before; these images are smooth.
            assert difference.max() <= (4 if reduction == 1 else 30)
            assert difference.mean() < (0.3 if reduction == 1 else 3)
            reductions.add(reduction)
    assert reductions == {1, 2, 4}


def test_the_rest_of_a_pipeline_takes_what_comes(images):
    """Filtered, mirrored and packed, as a model gets them."""
    theirs = build(*BEGIN, *END)
    ours = build(*OURS, *END[:2], {"type": "convnextv2.PackObjects"})
    for seed in SEEDS:
        expected, got = draw(theirs, images[0], seed), draw(ours, images[0], seed)
        assert got["inputs"].is_contiguous()
        assert np.abs(got["inputs"].int() - expected["inputs"].int()).max() <= 4
        wanted, sample = expected["data_samples"], got["data_samples"]
        assert sample.metainfo == wanted.metainfo
        for part in ("gt_instances", "ignored_instances"):
            one, other = sample.get(part), wanted.get(part)
            assert one.labels.tolist() == other.labels.tolist()
            assert np.allclose(one.bboxes.tensor, other.bboxes.tensor, atol=4)
            assert isinstance(one.masks, BitmapMasks)
            assert (one.masks.masks != other.masks.masks).mean() < 1e-3 if len(one) else True


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_gets_what_mmdet_gives_it(images, name):
    """The whole pipeline of the config against that of its base, as they are written."""
    theirs, ours = get_config(PUBLISHED[name]), Config.fromfile(CONFIGS / name)
    expected_steps, steps = (build(*c.train_dataloader.dataset.pipeline) for c in (theirs, ours))
    flips = set()
    for info in images:
        for seed in range(20):
            expected, got = draw(expected_steps, info, seed), draw(steps, info, seed)
            after = np.random.random_sample()
            draw(expected_steps, info, seed)
            assert after == np.random.random_sample()  # what comes next draws what it would have
            sample, wanted = got["data_samples"], expected["data_samples"]
            assert sample.metainfo == wanted.metainfo
            flips.add(sample.flip_direction)
            one, other = sample.gt_instances, wanted.gt_instances
            assert len(one)
            assert one.labels.tolist() == other.labels.tolist()
            # A pixel of these small images is up to 13 of the crop.
            assert np.allclose(one.bboxes.tensor, other.bboxes.tensor, atol=14)
            if "masks" in other:
                assert (one.masks.masks != other.masks.masks).mean() < 1e-3
            else:
                assert np.allclose(one.bboxes.tensor, other.bboxes.tensor, atol=1e-2)
            difference = (got["inputs"].float() - expected["inputs"]).abs()
            assert difference.max() <= (4.5 if info is images[0] else 30)  # theirs are floats
    assert flips == {None, "horizontal"}


@pytest.mark.parametrize("number", [0, 1], ids=["decoded whole", "decoded smaller"])
def test_the_distribution_of_boxes_areas_and_pixels_is_mmdets(images, number):
    """Over draws of different seeds: two samples of Kolmogorov and Smirnov."""
    theirs = _sample(build(*BEGIN, END[0]), images[number], range(1000, 1150))
    ours = _sample(build(*OURS, END[0]), images[number], range(5000, 5150))
    for name, values in ours.items():
        assert min(len(values), len(theirs[name])) >= 150
        assert _distance(values, theirs[name]) < _limit(values, theirs[name]), name
    # The test sees what it is to see: objects half as large again.
    larger = ours["log side"] + np.log(1.5)
    assert _distance(larger, theirs["log side"]) > _limit(larger, theirs["log side"])


def _sample(pipeline, info, seeds):
    """Sides, areas and places of objects, each seen; sizes, means and contrast of crops."""
    objects, crops = [], []
    for seed in seeds:
        results = draw(pipeline, info, seed)
        boxes = results["gt_bboxes"].tensor.numpy()
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
        areas = results["gt_masks"].areas
        objects.append(np.c_[np.log(sides).mean(1), np.log(areas + 1), boxes[:, :2]])
        crops.append([*results["img_shape"], results["img"].mean(), results["img"].std()])
    names = ["log side", "log area", "left", "top"], ["height", "width", "mean", "contrast"]
    tables = np.concatenate(objects), np.array(crops)
    return {
        name: column
        for keys, table in zip(names, tables, strict=True)
        for name, column in zip(keys, table.T, strict=True)
    }


def _distance(one, other):
    """The largest difference of two cumulative distributions."""
    values = np.concatenate([one, other])
    shares = (np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (one, other))
    return np.abs(np.subtract(*shares)).max()


def _limit(one, other):
    """What one in a thousand pairs of samples of one distribution exceeds."""
    return 1.95 * np.sqrt(1 / len(one) + 1 / len(other))


def test_without_a_draw_or_without_masks_it_loads_as_mmdet_does(images):
    load = {**OURS[2], "with_mask": False}
    theirs = build(BEGIN[0], {**BEGIN[1], "with_mask": False}, *BEGIN[2:])
    ours = build(*OURS[:2], load)
    for seed in SEEDS:
        expected, got = draw(theirs, images[0], seed), draw(ours, images[0], seed)
        np.testing.assert_allclose(got["gt_bboxes"].tensor, expected["gt_bboxes"].tensor, atol=1e-3)
        assert "gt_masks" not in got
    expected, got = (draw(build(*steps), images[0], 0) for steps in (BEGIN[:2], OURS[1:]))
    assert np.array_equal(got["gt_masks"].masks, expected["gt_masks"].masks)
    assert np.array_equal(got["img"], expected["img"])


def test_a_seed_decides_all(images):
    class One:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return build(*OURS, *END)(copy.deepcopy(images[1]))

    data = SeededDataset(One())
    first, other, again = (data[SeededIndex(0, seed, 0)] for seed in (3, 4, 3))
    assert np.array_equal(first["inputs"], again["inputs"])
    masks = (sample["data_samples"].gt_instances.masks.masks for sample in (first, again))
    assert np.array_equal(*masks)
    assert first["inputs"].shape != other["inputs"].shape


def test_images_without_an_annotated_size_are_refused():
    jitter = LargeScaleJitter((64, 64), (0.5, 1), (64, 64))
    with pytest.raises(InputError, match="no height and width"):
        jitter({"img_path": "a.jpg"})
