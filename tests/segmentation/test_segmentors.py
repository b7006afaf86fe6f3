"""The backbone under mmseg's own heads, in place of their backbones: train, predict, raw outputs.

Published models with only the backbone exchanged, and what follows from its widths.
"""

from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from convnextv2.backbone import ARCHS
from convnextv2.engine.processes import replace_sync_bn

MODELS_OF_MMSEG = Path(mmseg.__file__).parent / ".mim/configs/_base_/models"
CHANNELS = ARCHS["atto"]["channels"]
NAMES = [
    "ann_r50-d8",
    "apcnet_r50-d8",
    "ccnet_r50-d8",
    "danet_r50-d8",
    "deeplabv3_r50-d8",
    "deeplabv3plus_r50-d8",
    "dmnet_r50-d8",
    "dnl_r50-d8",
    "emanet_r50-d8",
    "fcn_r50-d8",
    "fpn_r50",
    "gcnet_r50-d8",
    "isanet_r50-d8",
    "nonlocal_r50-d8",
    "ocrnet_r50-d8",
    "pspnet_r50-d8",
    "segformer_mit-b0",
    "upernet_r50",
]
SIZE = (96, 128)


def build(name, **test_cfg):
    """A published model with our backbone, and the outputs of the backbone that it reads."""
    init_default_scope("mmseg")
    model = Config.fromfile(MODELS_OF_MMSEG / f"{name}.py").model
    model.backbone = {"type": "convnextv2.ConvNeXtV2", "arch": "atto"}
    model.pretrained = None
    model.data_preprocessor.size = SIZE
    model.test_cfg.update(test_cfg)
    replace_sync_bn(model)
    read = set()
    if "neck" in model:
        model.neck.in_channels = list(CHANNELS)
        read = {0, 1, 2, 3}
    else:
        for head in heads(model):
            read |= fit(head, cascaded=isinstance(model.decode_head, list))
    torch.manual_seed(0)
    model = MODELS.build(model)
    model.init_weights()
    return model, {f"norm{i}" for i in read}


def heads(model):
    """The configs of all decode and auxiliary heads."""
    return [*as_list(model.decode_head), *as_list(model.get("auxiliary_head", []))]


def as_list(entry):
    return entry if isinstance(entry, (list, tuple)) else [entry]


def fit(head, cascaded):
    """Give a head the widths of the maps that it reads; returns their indices."""
    if cascaded:
        head.in_index = 3  # the heads of a cascade must read maps of one size
    indices = as_list(head.in_index)
    widths = [CHANNELS[i] for i in indices]
    head.in_channels = widths if isinstance(head.in_channels, (list, tuple)) else widths[0]
    if "c1_in_channels" in head:  # DeepLabV3+ reads the first map besides
        head.c1_in_channels, head.c1_channels = CHANNELS[0], 16
        return {0, *indices}
    return set(indices)


def inputs(model, training):
    """Two images, with labels of all kinds and some ignored, prepared for the model."""
    generator = torch.Generator().manual_seed(0)
    images, samples = [], []
    for _ in range(2):
        images.append(torch.randint(0, 256, (3, *SIZE), generator=generator, dtype=torch.uint8))
        labels = torch.randint(0, 19, (1, *SIZE), generator=generator)
        labels[:, :10] = 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        sample.set_metainfo({"img_shape": SIZE, "ori_shape": (48, 70), "pad_shape": SIZE})
        samples.append(sample)
    return model.data_preprocessor({"inputs": images, "data_samples": samples}, training)


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
    # Heads that read the last maps only leave the norms of the others idle.
    assert idle == {key for key, _ in model.backbone.named_children() if "norm" in key} - outputs


# Windows are cut and put together by mmseg, alike for every head.
@pytest.mark.parametrize(
    ("name", "mode"), [*((name, "whole") for name in NAMES), ("fcn_r50-d8", "slide")]
)
def test_predictions_have_the_size_of_the_image(name, mode):
    model, _ = build(name, mode=mode, crop_size=(64, 64), stride=(43, 43))
    model.eval()
    batch = inputs(model, False)
    with torch.no_grad():
        raw = model(**batch, mode="tensor")
        found = model(**batch, mode="predict")
    raw = raw[-1] if isinstance(raw, (list, tuple)) else raw
    assert torch.isfinite(raw).all()
    assert raw.shape[:2] == (2, 19)
    assert len(found) == 2
    for sample in found:
        assert sample.seg_logits.data.shape == (19, 48, 70)
        assert torch.isfinite(sample.seg_logits.data).all()
        labels = sample.pred_sem_seg.data
        assert labels.shape == (1, 48, 70)
        assert labels.min() >= 0
        assert labels.max() < 19
