"""The backbone in mmdet's own models, in place of theirs: train, predict, and raw outputs.

Published configs with only the backbone exchanged, and fewer queries and layers where a
transformer would take long. Nothing of ours but the backbone is in them.
"""

import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope

from convnextv2.backbone import ARCHS

CHANNELS = ARCHS["atto"]["channels"]
NAMES = [
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco",
    "retinanet/retinanet_r50_fpn_1x_coco",
    "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
    "atss/atss_r50_fpn_1x_coco",
    "detr/detr_r50_8xb2-150e_coco",
    "dino/dino-4scale_r50_8xb2-12e_coco",
    "mask2former/mask2former_r50_8xb2-lsj-50e_coco",
]
MORE = [
    "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco",
    "reppoints/reppoints-moment_r50_fpn_1x_coco",
    "sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco",
    "centernet/centernet-update_r50_fpn_8xb8-amp-lsj-200e_coco",
    "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance",
    "yolact/yolact_r50_1xb8-55e_coco",
    "rtmdet/rtmdet_tiny_8xb32-300e_coco",
    "yolof/yolof_r50-c5_8xb8-1x_coco",
    "deformable_detr/deformable-detr_r50_16xb2-50e_coco",
    "conditional_detr/conditional-detr_r50_8xb2-50e_coco",
    "dab_detr/dab-detr_r50_8xb2-50e_coco",
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "gfl/gfl_r50_fpn_1x_coco",
]
NAMES += [pytest.param(name, marks=pytest.mark.slow) for name in MORE]


def build(name):
    """A published model with our backbone, and the outputs of the backbone that it reads."""
    init_default_scope("mmdet")
    model = get_config(f"mmdet::{name}.py").model
    indices = model.backbone.get("out_indices", (0, 1, 2, 3))
    if "CSPNeXt" in model.backbone.type:
        indices = (1, 2, 3)
    widths = [CHANNELS[i] for i in indices]
    model.backbone = {"type": "convnextv2.ConvNeXtV2", "arch": "atto", "out_indices": indices}
    first = 0
    if "neck" in model:
        neck = model.neck[0] if isinstance(model.neck, list) else model.neck
        neck.in_channels = widths if isinstance(neck.in_channels, list) else widths[-1]
        first = neck.get("start_level", 0)
    make_small(model)
    torch.manual_seed(0)
    model = MODELS.build(model)
    model.init_weights()
    return model, {f"norm{i}" for i in indices[first:]}


def make_small(model):
    """No padding to the size of a training, narrow heads, few queries, few layers, all scores."""
    model.data_preprocessor.pop("batch_augments", None)
    for part in ("encoder", "decoder"):
        if part in model:
            model[part].num_layers = 2
    if "num_queries" in model:
        model.num_queries = 30
        model.test_cfg.max_per_img = 20
    if "panoptic_head" in model:
        head = model.panoptic_head
        head.in_channels = list(CHANNELS)
        head.num_queries = model.test_cfg.max_per_image = 20
        head.transformer_decoder.num_layers = 3
        head.pixel_decoder.encoder.num_layers = 1
    if "num_proposals" in model.get("rpn_head", {}):
        model.rpn_head.num_proposals = 20
    elif "roi_head" in model:
        model.train_cfg.rpn_proposal.max_per_img = model.test_cfg.rpn.max_per_img = 30
        heads, stages = model.roi_head.bbox_head, model.train_cfg.rcnn
        for head, stage in zip(as_list(heads), as_list(stages), strict=True):
            head.fc_out_channels = 64
            stage.sampler.num = 16
    test_cfg = model.test_cfg.get("rcnn", model.test_cfg)
    if "score_thr" in test_cfg:
        test_cfg.score_thr = 0.0
    if "max_per_img" in test_cfg:
        test_cfg.max_per_img = 20


def as_list(entry):
    return entry if isinstance(entry, list) else [entry]


def inputs(model, training):
    """Two images of different sizes with a few objects, prepared for the model."""
    masks = any("mask" in name for name, _ in model.named_modules())
    shapes = [(3, 128, 128), (3, 125, 130)]
    batch = demo_mm_inputs(2, shapes, num_items=[3, 2], num_classes=4, with_mask=masks)
    return model.data_preprocessor(batch, training)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_of_the_backbone_learns(name):
    model, outputs = build(name)
    model.train()
    losses = model(**inputs(model, True), mode="loss")
    loss, logged = model.parse_losses(losses)
    assert all(torch.isfinite(value).all() for value in logged.values()), logged
    loss.backward()
    idle = set()
    for key, parameter in model.backbone.named_parameters():
        if parameter.grad is None or not parameter.grad.any():
            idle.add(key.split(".")[0])
        else:
            assert torch.isfinite(parameter.grad).all(), key
    # The necks of some detectors leave out the finest map, and so its norm.
    assert idle == {key for key, _ in model.backbone.named_children() if "norm" in key} - outputs


@pytest.mark.parametrize("name", NAMES)
def test_every_image_gets_its_predictions(name):
    model, _ = build(name)
    model.eval()
    batch = inputs(model, False)
    with torch.no_grad():
        raw = model(**batch, mode="tensor")
        found = model(**batch, mode="predict")
    assert all(torch.isfinite(tensor).all() for tensor in tensors(raw))
    assert len(found) == 2
    for sample in found:
        objects = sample.pred_instances
        assert len(objects) > 0
        assert torch.isfinite(objects.bboxes).all()
        assert len(objects.scores) == len(objects.labels) == len(objects.bboxes)
        assert ((objects.scores >= 0) & (objects.scores <= 1)).all()
        if "masks" in objects:
            assert objects.masks.shape == (len(objects.labels), *sample.ori_shape)


def tensors(nested):
    """All float tensors in lists, tuples and dicts; at least one."""
    if torch.is_tensor(nested):
        return [nested] if nested.is_floating_point() else []
    if isinstance(nested, dict):
        nested = nested.values()
    elif not isinstance(nested, (list, tuple)):
        return []
    return [tensor for entry in nested for tensor in tensors(entry)]
