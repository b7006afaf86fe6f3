"""Numbers of classes are compared wherever a model is told them, and nothing else is."""

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from convnextv2.class_counts import check_heads
from convnextv2.data_parts import Part


def part(*classes, name="train"):
    made = Part(name, {"type": "None"})
    made.classes = list(classes)
    return made


def texts(model, *parts):
    return [finding.text for finding in check_heads(model, parts or (part("a", "b"),))]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ({"bbox_head": {"num_classes": 3}}, "model.bbox_head.num_classes is 3, the data have 2"),
        ({"roi_head": {"bbox_head": [{"num_classes": 2}, {"num_classes": 80}]}}, "bbox_head.1.num"),
        ({"anything": {"deep": [{"num_classes": 80}]}}, "model.anything.deep.0.num_classes is 80"),
        ({"panoptic_head": {"num_things_classes": 80}}, "num_things_classes is 80"),
        (
            {"panoptic_head": {"num_things_classes": 2, "num_stuff_classes": 53}},
            "num_things_classes + num_stuff_classes is 55",
        ),
        ({"head": {"loss_cls": {"class_weight": [1.0] * 80 + [0.1]}}}, "has 81 weights"),
        (
            {"roi_head": {"mask_head": {"type": "mmdet.FCNMaskHead"}}},
            "mask_head.num_classes, not set, is 80",
        ),
    ],
)
def test_another_number_is_named(model, text):
    init_default_scope("mmdet")
    (found,) = texts(model)
    assert text in found


def test_numbers_of_something_else_are_left_alone():
    init_default_scope("mmdet")
    model = {
        "backbone": {"num_classes": 1000},
        "rpn_head": {"num_classes": 1},
        "semantic_head": {"num_classes": 183},
        "mask_head": {"num_classes": 80, "class_agnostic": True},
        "bbox_head": {"type": "Shared2FCBBoxHead", "num_classes": 2, "loss": {"class_weight": 1.0}},
        "panoptic_head": {"num_things_classes": 2, "num_stuff_classes": 0},
        "loss": {"class_weight": [1.0, 1.0, 0.1]},
    }
    assert texts(model) == []


@pytest.mark.parametrize(
    "name",
    [
        "mask-rcnn_convnextv2-atto_fpn_demo-nuclei",
        "cascade-mask-rcnn_convnextv2-tiny_fpn_8xb2-lsj-3x-fcmae_coco",
        "mask2former_convnextv2-tiny_8xb2-lsj-50e-fcmae_coco",
        "dino-4scale_convnextv2-tiny_8xb2-12e-fcmae_coco",
    ],
)
def test_the_recipes_agree_with_their_own_data(name):
    from convnextv2.engine.config import read_config

    cfg: Config = read_config(f"convnextv2::detection/{name}.py")
    init_default_scope("mmdet")
    number = 1 if "demo" in name else 80
    assert texts(cfg.model, part(*map(str, range(number)))) == []
    assert texts(cfg.model, part("a", "b", "c"))


def test_parts_must_have_the_same_classes_each_once():
    found = texts({}, part("a", "b"), part("b", "a", name="val"), part("a", "a", name="test"))
    assert len(found) == 3
    assert found[0] == (
        "val has the classes 'b', 'a', but train 'a', 'b': the same ones in another order"
    )
    assert found[2] == "test: classes names 'a' more than once"
