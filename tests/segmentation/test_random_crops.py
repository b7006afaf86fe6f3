"""Crops that are drawn before the image is read are those of mmseg's own transforms."""

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmseg.datasets.transforms import PhotoMetricDistortion

from convnextv2.images import UnreadableImageError
from convnextv2.segmentation.photometric import SegPhotoMetricDistortion
from convnextv2.segmentation.random_crops import RandomLabelledCrop

SHAPE = (120, 160)
SCALE, SIZE, RANGE = (512, 128), (96, 112), (0.25, 2.0)
LOAD = {"type": "convnextv2.LoadImage", "channel_order": "bgr", "dtype": "uint8"}
LABELS = {"type": "convnextv2.LoadLabelMask"}
SEEDS = range(40)


def theirs(**options):
    resize = {"type": "RandomResize", "scale": SCALE, "ratio_range": RANGE, "keep_ratio": True}
    return [LOAD, LABELS, resize, {"type": "RandomCrop", "crop_size": SIZE, **options}]


def ours(**options):
    kind = {"type": "convnextv2.RandomLabelledCrop", "scale": SCALE, "ratio_range": RANGE}
    return [LABELS, {**kind, "crop_size": SIZE, **options}, LOAD]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Smooth images with labels: many, two of which one is rare, and one; some are ignored."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    infos = []
    for number, labels in enumerate((9, 2, 1)):
        blocks = rng.integers(40, 216, (6, 8, 3), dtype=np.uint8)
        pixels = cv2.resize(blocks, SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
        blocks = (rng.random((5, 7)) ** 3 * labels).astype(np.uint8)
        blocks[0, :3] = 255
        mask = cv2.resize(blocks, SHAPE[::-1], interpolation=cv2.INTER_NEAREST)
        paths = [str(folder / f"{number}{suffix}") for suffix in (".jpg", ".png")]
        for path, content in zip(paths, (pixels, mask), strict=True):
            cv2.imwrite(path, content)
        infos.append({"img_path": paths[0], "seg_map_path": paths[1], "reduce_zero_label": False})
    return infos


def build(steps):
    with DefaultScope.overwrite_default_scope("mmseg"):
        return Compose([dict(step) for step in steps])


def draw(pipeline, info, seed):
    np.random.seed(seed)
    return pipeline({**info, "seg_fields": []})


@pytest.mark.parametrize(
    "options", [{}, {"cat_max_ratio": 0.75}, {"cat_max_ratio": 0.6, "ignore_index": 0}], ids=str
)
def test_labels_are_those_of_mmseg_and_pixels_nearly(images, options):
    expected_steps, steps = build(theirs(**options)), build(ours(**options))
    reductions = set()
    for info in images:
        for seed in SEEDS:
            expected, got = (draw(p, info, seed) for p in (expected_steps, steps))
            assert np.array_equal(got["gt_seg_map"], expected["gt_seg_map"])
            for key in ("img_shape", "ori_shape", "scale_factor", "keep_ratio", "seg_fields"):
                assert got[key] == expected[key], key
            difference = np.abs(got["img"].astype(int) - expected["img"])
            reduced = got["scaled_crop"].reduction > 1
            assert difference.max() <= (30 if reduced else 3)
            assert difference.mean() < (4 if reduced else 0.3)
            reductions.add(reduced)
            # What comes after it draws what it would have drawn.
            assert _next(steps, info, seed) == _next(expected_steps, info, seed)
    assert reductions == {False, True}


def _next(pipeline, info, seed):
    draw(pipeline, info, seed)
    return np.random.random_sample()


def test_the_distribution_of_labels_and_pixels_is_mmsegs(images):
    """Over draws of different seeds: two samples of Kolmogorov and Smirnov."""
    tables = []
    for steps, seeds in ((theirs, range(1000, 1200)), (ours, range(5000, 5200))):
        pipeline = build(steps(cat_max_ratio=0.75))
        drawn = [draw(pipeline, images[0], seed) for seed in seeds]
        tables.append(
            np.array(
                [
                    [
                        *r["img_shape"],
                        r["img"].mean(),
                        r["img"].std(),
                        (r["gt_seg_map"] == 0).mean(),
                        (r["gt_seg_map"] == 255).mean(),
                    ]
                    for r in drawn
                ]
            )
        )
    for one, other in zip(*(table.T for table in tables), strict=True):
        values = np.concatenate([one, other])
        shares = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (one, other)]
        # One in a thousand pairs of samples of one distribution exceeds it.
        assert np.abs(shares[0] - shares[1]).max() < 1.95 * np.sqrt(2 / 200)


def test_the_rest_of_a_pipeline_takes_what_comes(images):
    """Mirrored, coloured and packed, as a model gets them."""
    flip = {"type": "RandomFlip", "prob": 0.5}
    rest = [flip, {"type": "PhotoMetricDistortion"}, {"type": "PackSegInputs"}]
    expected_steps = build([*theirs(cat_max_ratio=0.75), *rest])
    rest = [
        flip,
        *({"type": f"convnextv2.{n}"} for n in ("SegPhotoMetricDistortion", "PackLabelMask")),
    ]
    steps = build([*ours(cat_max_ratio=0.75), *rest])
    for seed in SEEDS:
        expected, got = (draw(pipeline, images[0], seed) for pipeline in (expected_steps, steps))
        assert got["inputs"].is_contiguous()
        assert got["inputs"].shape == expected["inputs"].shape
        # What is drawn smaller was averaged before, and contrast is enhanced.
        assert (got["inputs"].int() - expected["inputs"].int()).abs().float().mean() < 5
        sample, wanted = got["data_samples"], expected["data_samples"]
        assert sample.metainfo == wanted.metainfo
        assert (sample.gt_sem_seg.data == wanted.gt_sem_seg.data).all()


def test_an_image_of_another_size_than_its_labels_is_named(images):
    other = {**images[0], "seg_map_path": images[0]["seg_map_path"].replace("0.png", "odd.png")}
    cv2.imwrite(other["seg_map_path"], np.zeros((60, 160), np.uint8))
    with pytest.raises(UnreadableImageError, match=r"120 x 160 pixels, its annotations say 60"):
        draw(build(ours()), other, 0)


def test_a_config_prints_its_crop():
    crop = RandomLabelledCrop((4, 2), (0.5, 2), (8, 9), cat_max_ratio=0.75)
    assert "crop_size=(8, 9), cat_max_ratio=0.75, ignore_index=255" in repr(crop)


def test_colours_change_as_in_mmseg():
    """Bit for bit, whatever is drawn; of views too, as mirroring leaves them."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    same = 0
    for pixels in (image, image[:, ::-1], image[::-1], image[::-1, ::-1], image[:, 5:]):
        for seed in range(80):
            results = []
            for kind in (PhotoMetricDistortion, SegPhotoMetricDistortion):
                np.random.seed(seed)
                changed = kind(**{"hue_delta": 90} if seed % 3 else {})({"img": pixels})
                results.append((changed["img"], np.random.random_sample()))
            assert results[0][0].dtype == results[1][0].dtype
            assert np.array_equal(results[0][0], results[1][0])
            assert results[0][1] == results[1][1]
            same += np.array_equal(results[1][0], pixels)
    assert 0 < same < 80  # nothing is changed once in sixteen times
