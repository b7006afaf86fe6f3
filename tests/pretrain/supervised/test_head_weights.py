"""A classifier's norm and head come out of files of every layout, and go back into each."""

import pytest
import torch

from convnextv2.backbone import ConvNeXtV2
from convnextv2.backbone.checkpoint_keys import convert_keys
from convnextv2.backbone.find_weights import find_weights
from convnextv2.backbone.layouts import LAYOUTS
from convnextv2.pretrain.supervised import Classifier, head_weights

ARCH = {"depths": (1, 1, 2, 1), "channels": (8, 16, 32, 64)}
BACKBONE = {"type": "convnextv2.ConvNeXtV2", "arch": ARCH}
WITH_HEADS = [layout for layout in LAYOUTS if layout not in ("convnextv2", "minkowski")]


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    model = Classifier(BACKBONE, 5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.state_dict()


@pytest.fixture
def load(tmp_path):
    """tensors, classes -> a classifier that began with a file of them, as training does."""

    def build(tensors, classes=5):
        torch.save(tensors, tmp_path / "file.pth")
        init = {"type": "Pretrained", "checkpoint": str(tmp_path / "file.pth")}
        model = Classifier({**BACKBONE, "init_cfg": init}, classes)
        fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.init_weights()
        return model.state_dict(), fresh

    return build


def equal(ours, theirs, *parts):
    names = [name for name in theirs if name.startswith(parts or "")]
    assert names
    return all(torch.equal(ours[name], theirs[name]) for name in names)


@pytest.mark.parametrize("layout", WITH_HEADS)
def test_every_layout_takes_and_gives_the_whole_classifier(trained, load, layout):
    found = find_weights({"state_dict": trained})  # a training's checkpoint
    assert not found.missing
    assert not found.others
    there = convert_keys(found.tensors, found.layout, layout)
    assert not there.unknown
    assert len(there.tensors) == len(trained)
    ours, _ = load(there.tensors)
    assert equal(ours, trained)


def test_a_training_goes_on_from_anothers_checkpoint(trained, load):
    ours, _ = load({"state_dict": trained})
    assert equal(ours, trained)


def test_a_head_of_other_classes_begins_anew(trained, load, monkeypatch):
    said = []
    monkeypatch.setattr(head_weights, "print_log", lambda text, **_: said.append(text))
    ours, fresh = load({"state_dict": trained}, classes=7)
    assert equal(ours, {k: v for k, v in trained.items() if not k.startswith("head")})
    assert equal(ours, fresh, "head")
    assert "head of 5 left out, this one of 7 begins anew" in said[0]


def test_norm_and_head_begin_anew_where_the_file_has_none(trained, load, monkeypatch):
    said = []
    monkeypatch.setattr(head_weights, "print_log", lambda text, **_: said.append(text))
    ours, fresh = load({k: v for k, v in trained.items() if k.startswith("backbone.")})
    assert equal(ours, trained, "backbone.")
    assert equal(ours, fresh, "head", "norm")
    assert "head not in the file" in said[0]


def test_a_backbone_takes_its_part_of_a_classifiers_checkpoint(trained, tmp_path):
    torch.save({"state_dict": trained}, tmp_path / "classifier.pth")
    init = {"type": "Pretrained", "checkpoint": str(tmp_path / "classifier.pth")}
    net = ConvNeXtV2(ARCH, output_norm=False, init_cfg=init)
    net.init_weights()
    ours = {f"backbone.{name}": tensor for name, tensor in net.state_dict().items()}
    assert equal(trained, ours)


def test_norms_and_heads_of_other_models_are_no_classifiers(trained):
    """Only what lies directly beside the backbone is its classifier."""
    backbone = {k: v for k, v in trained.items() if k.startswith("backbone.")}
    others = {"neck.norm.weight": torch.ones(2), "rpn_head.head.weight": torch.ones(2)}
    found = find_weights({**backbone, **others})
    assert found.others == 2
    assert len(found.tensors) == len(backbone)
