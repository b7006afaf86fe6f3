"""Learning rates and weight decay are the paper's."""

import pytest
from config_files import CONFIGS, build
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

FCMAE = "pretrain/fcmae_convnextv2-{}_32xb128-800e_in1k"
COCO = "detection/mask-rcnn_convnextv2-{}_fpn_8xb4-lsj-3x-fcmae_coco"
ADE = "segmentation/upernet_convnextv2-{}_8xb2-160k-fcmae-ft_ade20k-512x512"


def optimizer_groups(recipe):
    """{name: (learning rate, weight decay)} of a recipe, and the model."""
    cfg = Config.fromfile(CONFIGS / f"{recipe}.py")
    model = build(cfg)
    options = {k: v for k, v in cfg.optim_wrapper.items() if k not in ("loss_scale", "dtype")}
    optimizer = build_optim_wrapper(model, {**options, "type": "OptimWrapper"})  # AMP wants a GPU
    of = {p: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    return {name: of[p] for name, p in model.named_parameters() if p.requires_grad}, model


@pytest.mark.parametrize("recipe", [FCMAE, COCO, ADE])
def test_weight_decay_is_for_matrices_and_kernels_only(recipe):
    groups, model = optimizer_groups(recipe.format("base"))
    for name, parameter in model.named_parameters():
        # GRN, norms, biases and the mask token are the parameters of one dimension.
        assert groups[name][1] == (0.05 if parameter.dim() > 1 else 0), name
    some = ["backbone.stages.0.0.grn.gamma", "backbone.stages.3.2.grn.beta"]
    some += ["decoder.mask_token"] if recipe == FCMAE else ["backbone.norm3.weight"]
    assert {groups[name][1] for name in some} == {0}


def test_learning_rates_of_mask_rcnn_decay_towards_the_stem():
    groups, _ = optimizer_groups(COCO.format("base"))
    steps = {
        "backbone.downsample_layers.0.0.weight": 13,  # 12 steps above the stem (paper, A.1)
        "backbone.downsample_layers.0.1.bias": 13,
        "backbone.stages.0.2.pwconv1.weight": 12,
        "backbone.downsample_layers.1.1.weight": 11,
        "backbone.stages.1.0.grn.gamma": 11,
        "backbone.stages.2.0.dwconv.weight": 10,
        "backbone.stages.2.26.dwconv.weight": 2,
        "backbone.downsample_layers.3.1.weight": 1,
        "backbone.stages.3.2.pwconv2.weight": 1,
        "backbone.norm0.weight": 0,
        "neck.lateral_convs.0.conv.weight": 0,
        "rpn_head.rpn_cls.weight": 0,
        "roi_head.bbox_head.fc_cls.weight": 0,
        "roi_head.mask_head.conv_logits.bias": 0,
    }
    for name, step in steps.items():
        assert groups[name][0] == pytest.approx(1e-4 * 0.95**step), name
    assert len({rate for rate, _ in groups.values()}) == 14


def test_learning_rates_of_upernet_decay_by_stage():
    groups, _ = optimizer_groups(ADE.format("base"))
    steps = {
        "backbone.downsample_layers.0.0.weight": 5,
        "backbone.stages.0.0.dwconv.weight": 4,
        "backbone.stages.2.26.grn.beta": 2,
        "backbone.stages.3.0.pwconv1.weight": 1,
        "backbone.norm0.weight": 0,
        "decode_head.conv_seg.weight": 0,
        "auxiliary_head.convs.0.conv.weight": 0,
    }
    for name, step in steps.items():
        assert groups[name][0] == pytest.approx(1e-4 * 0.9**step), name
