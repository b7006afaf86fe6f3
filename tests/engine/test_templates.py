"""What a template's child sets takes effect, or is refused by name."""

import re
from pathlib import Path

import pytest

from convnextv2.engine.config import read_config
from convnextv2.engine.errors import InputError
from convnextv2.engine.template import Template

CONFIGS = Path(__file__).parents[2] / "configs"
BOXES = "detection/faster-rcnn_convnextv2_fpn_custom.py"
BOTH = "detection/mask-rcnn_convnextv2_fpn_custom.py"
MASKS = "segmentation/upernet_convnextv2_custom.py"
IMAGES = "pretrain/fcmae_convnextv2_custom.py"


@pytest.fixture
def read(tmp_path):
    """name, lines, options -> the config of a child."""

    def read(name, text="", options=()):
        path = tmp_path / "mine.py"
        path.write_text(f"_base_ = '{CONFIGS / name}'\n{text}\n")
        return read_config(str(path), list(options))

    return read


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (BOXES, "clases = ('a',)", "clases; did you mean classes?"),
        (BOXES, "ignore_index = 1", "  ignore_index\nThe settings of this template are data_root"),
        (IMAGES, "classes = ('a',)", "  classes\n"),
        (BOXES, "train_pipeline = []", "  train_pipeline"),
        (BOXES, "classes = 'cat'", "brackets, such as ('cat', 'dog'), or ('cat',) for one, not 'c"),
        (BOXES, "classes = ()", "classes must be different names"),
        (BOXES, "classes = ('a', 'a')", "classes must be different names"),
        (MASKS, "bands = 0", "bands must be a whole number, 1 or more, not 0"),
        (
            MASKS,
            "image_size = 500",
            "must be a multiple of 32, or two of them, (height, width), no",
        ),
        (MASKS, "image_size = 500", "near it are 480 and 512"),
        (IMAGES, "image_size = 32", "must be a multiple of the patches' side, 32, and hold two"),
        (IMAGES, "scale = (0.5, 2)", "scale is a share of the image, at most 1"),
        (BOXES, "iterations = 0", "iterations must be a whole number, 1 or more, or None, not 0"),
        (BOXES, "iterations = 5\nepochs = 5", "iterations and epochs are both set"),
        (BOXES, "epochs = True", "epochs must be a whole number"),
        (BOXES, "batch_size = '4'", "batch_size must be a whole number, 1 or more, not '4'"),
        (BOXES, "mean = [1, 2, 3]", "mean and std: give both or none"),
        (BOXES, "mean = [1.0]\nstd = [1.0]", "mean has 1 numbers, but bands is 3"),
        (BOXES, "mean = 3\nstd = 3", "mean must be a list of numbers, one a band, or None, not 3"),
        (BOXES, "std = [1, 0, 1]\nmean = [1, 2, 3]", "std must be a list of numbers above 0"),
        (BOXES, "dtype = 'int8'", "dtype must be one of uint8, uint16, float32, or None"),
        (BOXES, "arch = 'tini'", "arch is one of atto, femto"),
        (BOXES, "arch = 'tini'", "did you mean tiny"),
        (BOXES, "lr = -1", "lr must be a number above 0, or None"),
        (BOXES, "scale = 2", "scale must be two numbers above 0, (smallest, largest), not 2"),
        (BOXES, "frozen_stages = 5", "frozen_stages must be a whole number from 0 to 4"),
        (BOXES, "train = dict(img='x')", "train has no img; did you mean images?"),
        (BOXES, "val = dict(images=3)", "val.images must be a path, not 3"),
        (BOXES, "val = dict(images=None)", "val lacks images"),
        (MASKS, "ignore_index = 300", "ignore_index must be a whole number from 0 to 255"),
        (
            BOXES,
            "arch = dict(_delete_=True, depths=[1] * 4, channels=[8] * 4)",
            "weights: none were released of an arch of your own",
        ),
    ],
)
def test_setting_that_cannot_be_is_named(read, name, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read(name, text)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        (BOXES, "model.roi_head.bbox_head.num_classes=80", "80, but classes makes it 2"),
        (BOTH, "model.roi_head.mask_head.num_classes=1", "1, but classes makes it 2"),
        (MASKS, "model.auxiliary_head.num_classes=150", "150, but classes makes it 2"),
        (BOXES, "model.backbone.arch=base", "'base', but arch makes it 'tiny'"),
        (BOXES, "model.neck.in_channels=[1,2,3,4]", "[1, 2, 3, 4], but arch makes it [96, 192, "),
        (MASKS, "model.decode_head.in_channels=[1,2,3,4]", "[1, 2, 3, 4], but arch makes it [96, "),
        (BOXES, "model.backbone.init_cfg=None", "None, but weights is 'fcmae': set weights = None"),
        (BOXES, "model.backbone.init_cfg.checkpoint=a.pth", "'a.pth', but weights makes it 'http"),
        (BOXES, "model.backbone.frozen_stages=1", "1, but frozen_stages makes it 0"),
        (BOXES, "model.data_preprocessor.mean=[1,2,3]", "[1, 2, 3], but mean makes it [123.675, "),
        (BOXES, "train_dataloader.dataset.data_root=x", "'x', but data_root makes it 'data/my_ob"),
        (BOXES, "val_dataloader.dataset.ann_file=x", "'x', but val makes it 'val.json'"),
        (BOXES, "val_evaluator.ann_file=x", "'x', but val makes it 'data/my_objects/val.json'"),
        (MASKS, "train_dataloader.dataset.data_prefix.img_path=x", "'x', but train makes it 'im"),
        (MASKS, "train_dataloader.dataset.ignore_index=1", "1, but ignore_index makes it 255"),
        (MASKS, "val_evaluator.ignore_index=1", "1, but ignore_index makes it 255"),
        (IMAGES, "train_dataloader.dataset.pipeline.0.in_channels=5", "5, but bands makes it 3"),
        (IMAGES, "train_dataloader.batch_size=5", "5, but batch_size makes it 64"),
        (BOXES, "optim_wrapper.optimizer.lr=0.5", "0.5, but lr makes it 0.0001"),
        (BOXES, "train_cfg.max_iters=5", "5, but iterations makes it 10000"),
        (BOXES, "train_cfg.max_epochs=5", "train_cfg.max_epochs is 5: set that by the setting"),
    ],
)
def test_entry_that_contradicts_a_setting_is_refused_by_name(read, name, option, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read(name, options=[option])
    assert "  " + option.partition("=")[0] in str(caught.value)


def test_entries_that_agree_and_those_that_nothing_rules_are_kept(read):
    cfg = read(
        BOTH,
        "_mine = 3\nmine = 4\nclasses = ('a', 'b')\n"
        "model = dict(roi_head=dict(bbox_head=dict(num_classes=2, fc_out_channels=mine)),\n"
        "    backbone=dict(arch='tiny', drop_path_rate=0.7),\n"
        "    rpn_head=dict(num_classes=1))\n"
        "train_cfg = dict(val_interval=7)\n"
        "param_scheduler = [dict(type='LinearLR', end=77)]\n"
        "custom_hooks = [dict(type='EMAHook')]\n",
        ["train_dataloader.dataset.pipeline.0.scale=(96,32)", "weights=a.pth"],
    )
    assert cfg.model.roi_head.bbox_head.fc_out_channels == 4
    assert cfg.model.backbone.drop_path_rate == 0.7
    assert cfg.model.rpn_head.num_classes == 1
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 7
    assert cfg.param_scheduler == [{"type": "LinearLR", "end": 77}]
    assert cfg.custom_hooks == [{"type": "EMAHook"}]
    assert cfg.train_dataloader.dataset.pipeline[0].scale == (96, 32)


def test_in_a_pipeline_of_ones_own_the_reader_alone_is_adapted(read):
    cfg = read(
        MASKS,
        "bands = 4\ndataset = dict(pipeline=[\n"
        "    dict(type='convnextv2.LoadImage'), dict(type='LoadAnnotations'),\n"
        "    dict(type='RandomCrop', crop_size=(20, 20)), dict(type='PackSegInputs')])\n"
        "train_dataloader = dict(dataset=dataset)",
    )
    load, _, crop, _ = cfg.train_dataloader.dataset.pipeline
    assert (load["type"], load["in_channels"]) == ("convnextv2.LoadImage", 4)
    assert crop == {"type": "RandomCrop", "crop_size": (20, 20)}


def test_a_data_set_of_ones_own_stands_in_for_train(read):
    text = (
        "train_dataloader = dict(dataset=dict(_delete_=True, type='convnextv2.UnlabelledShards',\n"
        "    shards='a.tar', pipeline={{_base_.train_pipeline}}))\n"
    )
    with pytest.raises(
        InputError, match=r"no UnlabelledImages with a data_root, so that train takes no effect"
    ):
        read(IMAGES, text)
    cfg = read(IMAGES, f"{text}train = None")
    assert cfg.train_dataloader.dataset.shards == "a.tar"
    assert cfg.train_dataloader.dataset.pipeline[1]["size"] == (224, 224)
    assert cfg.test_dataloader is None


def test_what_a_missing_or_equal_validation_means_is_said(read, monkeypatch):
    said = []
    monkeypatch.setattr(Template, "note", lambda template, text: said.append(text))
    read(BOXES, "val = dict(images='train', annotations='train.json')")
    read(MASKS, "val = None")
    assert [text.split(":")[0] for text in said] == ["val is the same as train", "val is None"]


def test_home_folder(read, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert read(IMAGES, "data_root = '~/x'").train_dataloader.dataset.data_root == "/home/me/x"


def test_names_are_looked_for_in_every_child_up_to_the_template(read, tmp_path):
    (tmp_path / "middle.py").write_text(f"_base_ = '{CONFIGS / BOXES}'\nclases = ('a',)\n")
    (tmp_path / "leaf.py").write_text("_base_ = 'middle.py'\nepochs = 1\n")
    with pytest.raises(InputError, match="clases; did you mean classes"):
        read_config(str(tmp_path / "leaf.py"))


def test_a_copied_template_is_one(tmp_path):
    text = (CONFIGS / MASKS).read_text().replace("'../_base_", f"'{CONFIGS}/_base_")
    text = text.replace("'background', 'thing'", "'a', 'b', 'c'")
    (tmp_path / "copy.py").write_text(text)
    cfg = read_config(str(tmp_path / "copy.py"))
    assert cfg.model.decode_head.num_classes == 3


def test_misspelt_option_is_named():
    with pytest.raises(InputError, match="has no clases; did you mean classes"):
        read_config(str(CONFIGS / BOXES), ["clases=('a',)"])
    with pytest.raises(InputError, match="nothing reads it:\n  train_pipeline"):
        read_config(str(CONFIGS / BOXES), ["train_pipeline=[]"])
    assert read_config(str(CONFIGS / BOXES), ["+notes.author=me"]).notes.author == "me"
