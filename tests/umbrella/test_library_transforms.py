"""The transforms of our configs take images of any bands and any type.

Each band becomes what it becomes alone.
"""

import numpy as np
import pytest
from mmengine.registry import DefaultScope

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

STEPS = (
    {"type": "Resize", "scale": (50, 40), "keep_ratio": True},
    {"type": "Resize", "scale": (90, 70), "keep_ratio": False},
    {"type": "Resize", "scale_factor": 1.0, "keep_ratio": True},
    {"type": "RandomResize", "scale": (64, 64), "ratio_range": (0.5, 2.0), "keep_ratio": True},
    {"type": "RandomChoiceResize", "scales": [(40, 40), (60, 60)], "keep_ratio": True},
    {"type": "ResizeShortestEdge", "scale": 32, "max_size": 80},
    {"type": "RandomCrop", "crop_size": (24, 24)},
    {"type": "RandomFlip", "prob": 1.0, "direction": "vertical"},
)
PACK = {"mmdet": "PackDetInputs", "mmseg": "PackSegInputs"}


def run(scope, step, image):
    """The step, and packing, which gives the only band of an image its axis back."""
    from mmdet.structures.bbox import HorizontalBoxes
    from mmengine.registry import TRANSFORMS

    results = {"img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}
    if scope == "mmdet":
        results["gt_bboxes"] = HorizontalBoxes(np.array([[0, 0, 64, 48]], np.float32))
        results["gt_bboxes_labels"] = np.array([0])
        results["gt_ignore_flags"] = np.array([False])
    else:
        results |= {"gt_seg_map": np.zeros(image.shape[:2], np.uint8), "seg_fields": ["gt_seg_map"]}
    with DefaultScope.overwrite_default_scope(scope):
        pack = {"type": PACK[scope], "meta_keys": ()}
        np.random.seed(0)
        for entry in (step, pack):
            results = TRANSFORMS.build(dict(entry))(results)
    return results["inputs"].numpy()


@pytest.mark.parametrize("scope", PACK)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["type"])
def test_bands_come_through_as_they_are(scope, step):
    for dtype in (np.uint8, np.uint16, np.float32):
        wide = (np.random.default_rng(0).random((48, 64, 12)) * 250).astype(dtype)
        alone = [run(scope, step, wide[..., [band]].copy()) for band in range(12)]
        for bands in (1, 2, 3, 5, 12):
            got = run(scope, step, wide[..., :bands].copy())
            assert got.dtype == dtype
            assert got.shape[0] == bands
            # OpenCV rounds whole numbers by another way for other numbers of channels.
            for band in range(bands):
                np.testing.assert_allclose(got[band], alone[band][0], atol=1, rtol=1e-5)
