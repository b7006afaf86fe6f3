"""get_flops.py counts what the paper counts."""

import pytest
import torch
from mmengine.config import Config
from processes import REPO, run
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convnextv2.backbone import ARCHS, ConvNeXtV2
from convnextv2.tools.analysis_tools import get_flops

COCO = REPO / "configs/detection/mask-rcnn_convnextv2-base_fpn_8xb4-lsj-3x-fcmae_coco.py"
ADE = REPO / "configs/segmentation/upernet_convnextv2-base_8xb2-160k-fcmae-ft_ade20k-512x512.py"

# Paper, Table 14: parameters and MACs of the classifier at 224 x 224, as printed.
CLASSIFIERS = {
    "atto": ("3.7", "0.55"),
    "femto": ("5.2", "0.78"),
    "pico": ("9.1", "1.37"),
    "nano": ("15.6", "2.45"),
    "tiny": ("28.6", "4.47"),
    "base": ("89", "15.4"),
    "large": ("198", "34.4"),
    "huge": ("660", "115"),
}


def last_digit(text):
    """The unit of a printed number's last digit; the paper rounds some and cuts some (34.46)."""
    return 10.0 ** -len(text.partition(".")[2])


@pytest.mark.parametrize("arch", ARCHS)
def test_classifiers_are_those_of_table_14(arch):
    with torch.device("meta"):
        backbone = ConvNeXtV2(arch, output_norm=False, out_indices=(3,))
        width = backbone.channels[-1]
        head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1000))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            head(backbone(torch.empty(1, 3, 224, 224))[0].mean((2, 3)))
    parameters = sum(p.numel() for m in (backbone, head) for p in m.parameters())
    got = parameters / 1e6, counter.get_total_flops() / 2e9
    for value, text in zip(got, CLASSIFIERS[arch], strict=True):
        assert abs(value - float(text)) < last_digit(text)


@pytest.mark.parametrize(("arch", "gmacs"), [("base", 486), ("large", 875), ("huge", 2525)])
def test_mask_rcnn_is_that_of_table_6(arch, gmacs):
    cfg = Config.fromfile(COCO)
    cfg.model.backbone.arch = arch
    cfg.model.neck.in_channels = list(ARCHS[arch]["channels"])
    macs = get_flops.count_macs(get_flops.build(cfg), (800, 1280))
    assert sum(macs.values()) / 1e9 == pytest.approx(gmacs, rel=0.01)


@pytest.mark.parametrize(
    ("arch", "shape", "millions", "gmacs"),
    [
        ("base", (512, 2048), 122, 1170),
        ("large", (512, 2048), 235, 1573),
        ("huge", (512, 2048), 707, 3272),
        ("huge", (640, 2560), 707, 5113),
    ],
)
def test_upernet_is_that_of_table_7(arch, shape, millions, gmacs):
    cfg = Config.fromfile(ADE)
    cfg.model.backbone.arch = arch
    cfg.model.decode_head.in_channels = list(ARCHS[arch]["channels"])
    cfg.model.auxiliary_head.in_channels = ARCHS[arch]["channels"][2]
    model = get_flops.build(cfg)
    assert sum(get_flops.count_parameters(model).values()) / 1e6 == pytest.approx(
        millions, rel=0.01
    )
    assert sum(get_flops.count_macs(model, shape).values()) / 1e9 == pytest.approx(gmacs, rel=0.01)


@pytest.mark.slow
def test_the_table_is_printed(tmp_path):
    status, output = run(tmp_path, "analysis_tools/get_flops.py", COCO, "--shape", 64, 96)
    assert status == 0, output
    assert "108.1 M" in output
    assert "64 x 96" in output
