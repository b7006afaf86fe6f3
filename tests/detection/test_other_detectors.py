"""Detectors other than Mask R-CNN train from end to end on our backbone, and find boxes."""

from pathlib import Path

import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

CONFIGS = Path(__file__).resolve().parents[2] / "configs/detection"
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["cascade-mask-rcnn", "mask2former", "dino-4scale"])
def test_every_part_learns_and_boxes_come_out(name):
    (path,) = CONFIGS.glob(f"{name}_convnextv2-tiny_*")
    cfg = Config.fromfile(path)
    cfg.model.backbone.arch = {"depths": (1, 1, 2, 1), "channels": (96, 192, 384, 768)}
    cfg.model.backbone.init_cfg = None
    cfg.model.data_preprocessor.pop("batch_augments", None)  # to 1024 x 1024
    if name == "dino-4scale":
        cfg.model.num_queries = 50  # the maps of a small image have no 900 pixels
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg.model)
        model.init_weights()
        images = demo_mm_inputs(2, [[3, 96, 128]] * 2, num_classes=80, with_mask=True)
        data = model.data_preprocessor(images, True)
        losses = model.train()(**data, mode="loss")
        total = sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if "loss" in k)
        total.backward()
        without = {n for n, p in model.backbone.named_parameters() if p.grad is None}
        assert without == set()
        assert all(p.grad.isfinite().all() for p in model.backbone.parameters())
        with torch.no_grad():
            results = model.eval().test_step(images)
    assert len(results) == 2
    assert all(result.pred_instances.bboxes.shape[1] == 4 for result in results)
