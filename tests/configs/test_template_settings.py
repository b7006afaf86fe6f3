"""Each setting of each template takes effect, by child and by option, on what is built."""

import pytest
import torch
from config_files import CONFIGS, build
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, PARAM_SCHEDULERS, TRANSFORMS, DefaultScope

from convnextv2.backbone.convnextv2 import ARCHS
from convnextv2.engine.config import read_config
from convnextv2.engine.errors import InputError
from convnextv2.engine.tasks import SETTINGS, find_task
from convnextv2.engine.types import list_metrics

BOXES = "detection/faster-rcnn_convnextv2_fpn_custom.py"
BOTH = "detection/mask-rcnn_convnextv2_fpn_custom.py"
MASKS = "segmentation/upernet_convnextv2_custom.py"
IMAGES = "pretrain/fcmae_convnextv2_custom.py"
TEMPLATES = [BOXES, BOTH, MASKS, IMAGES]
LABELLED = [BOXES, BOTH, MASKS]
each_template = pytest.mark.parametrize("name", TEMPLATES)
each_labelled = pytest.mark.parametrize("name", LABELLED)


def by_options(name, **settings):
    return read_config(str(CONFIGS / name), [f"{k}={v}" for k, v in settings.items()])


@pytest.fixture
def by_child(tmp_path):
    """name, lines -> the config of a child in a folder of its own."""

    def read(name, text, base="{}/{}"):
        path = tmp_path / "mine.py"
        path.write_text(f"_base_ = {base.format(CONFIGS, name)!r}\n{text}\n")
        return read_config(str(path))

    return read


def datasets(cfg, loaders=("train", "val", "test")):
    """The data sets of the loaders, none of whose files is read."""
    for loader in loaders:
        entry = {**cfg[f"{loader}_dataloader"].dataset, "lazy_init": True}
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            yield DATASETS.build(entry)


def steps(dataset, kind):
    return [step for step in dataset.pipeline.transforms if type(step).__name__ == kind]


def step(dataset, kind):
    (found,) = steps(dataset, kind)
    return found


@each_template
def test_every_setting_is_in_the_template_and_none_is_left(name):
    cfg = by_options(name)
    settings = set(find_task(cfg).settings)
    text = (CONFIGS / name).read_text().partition("\ntemplate = ")[0]
    assert {line.split(" = ")[0] for line in text.splitlines() if " = " in line} - {
        "_base_"
    } == settings
    assert set(SETTINGS) <= settings
    assert not settings & cfg.keys()
    assert "template" not in cfg


@each_template
@pytest.mark.parametrize("arch", ARCHS)
def test_arch_decides_widths_and_weights(name, arch):
    cfg = by_options(name, arch=arch, weights="imagenet")
    released = f"/im1k/convnextv2_{arch}_1k_224_ema.pt"
    assert cfg.model.backbone.init_cfg.checkpoint.endswith(released)
    model = build(cfg)
    assert model.backbone.channels == ARCHS[arch]["channels"]
    images = torch.zeros(1, 3, 64, 64, device="meta")
    if name == IMAGES:
        assert model.decoder.proj.in_channels == ARCHS[arch]["channels"][-1]
    elif name == MASKS:
        assert model.eval()(images).shape[:2] == (1, 2)
    else:
        assert model.extract_feat(images)[0].shape == (1, 256, 16, 16)


def test_an_arch_of_ones_own(by_child):
    text = (
        "weights = None\narch = dict(_delete_=True, depths=(1, 1, 2, 1), channels=(8, 16, 24, 32))"
    )
    model = build(by_child(BOXES, text))
    assert model.backbone.depths == (1, 1, 2, 1)
    assert [conv.conv.in_channels for conv in model.neck.lateral_convs] == [8, 16, 24, 32]


@each_template
def test_weights(name):
    where = "model.backbone.init_cfg"
    cfg = by_options(name, weights="mine/epoch_8.pth")
    assert cfg.model.backbone.init_cfg == {"type": "Pretrained", "checkpoint": "mine/epoch_8.pth"}
    assert "init_cfg" not in by_options(name, weights="None").model.backbone, where
    fcmae = by_options(name, weights="fcmae", arch="atto").model.backbone.init_cfg.checkpoint
    assert fcmae.endswith("/pt_only/convnextv2_atto_1k_224_fcmae.pt")


@each_template
def test_frozen_stages(name):
    backbone = build(by_options(name, arch="atto", frozen_stages=2)).backbone
    trains = [any(p.requires_grad for p in stage.parameters()) for stage in backbone.stages]
    assert trains == [False, False, True, True]


@pytest.mark.parametrize("classes", ["('cat',)", "['a', 'b', 'c', 'd']"])
@each_labelled
def test_classes(name, classes, by_child):
    if name == MASKS and classes == "('cat',)":
        with pytest.raises(InputError, match="name what is none of it too"):
            by_child(name, f"classes = {classes}")
        return
    expected = tuple(eval(classes))
    cfg = by_child(name, f"classes = {classes}")
    for dataset in datasets(cfg):
        assert tuple(dataset.metainfo["classes"]) == expected
        assert len(dataset.metainfo["palette"]) == len(expected)
    model = build(cfg)
    if name == MASKS:
        assert model.num_classes == model.out_channels == len(expected)
        assert model.auxiliary_head.conv_seg.out_channels == len(expected)
        return
    assert model.roi_head.bbox_head.fc_cls.out_features == len(expected) + 1
    if name == BOTH:
        assert model.roi_head.mask_head.conv_logits.out_channels == len(expected)


def test_classes_of_heads_in_lists(by_child):
    head = "dict(type='FCNHead', in_channels=None, in_index={}, channels=32)"
    text = "classes = ('a', 'b', 'c')\nmodel = dict(auxiliary_head=[{}, {}])"
    model = build(by_child(MASKS, text.format(head.format(1), head.format(2))))
    assert [h.num_classes for h in model.auxiliary_head] == [3, 3]
    assert [h.in_channels for h in model.auxiliary_head] == [192, 384]


@pytest.mark.parametrize("name", [BOXES, BOTH])
def test_places_of_objects(name, by_child):
    cfg = by_child(name, "data_root = '/x'\nval = dict(annotations='b.json')")
    train, val, test = datasets(cfg)
    assert (train.ann_file, train.data_prefix["img"]) == ("/x/train.json", "/x/train")
    assert (val.ann_file, val.data_prefix["img"]) == ("/x/b.json", "/x/val")
    assert test.ann_file == val.ann_file
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert [metric.ann_file for metric in list_metrics(evaluator)] == ["/x/b.json"]
    assert cfg.val_evaluator.metric == (["bbox", "segm"] if name == BOTH else "bbox")
    assert step(train, "LoadObjects").with_mask == (name == BOTH)


def test_places_of_masks_and_images(by_child):
    cfg = by_child(MASKS, "data_root = '/x'\ntrain = dict(images='a')\nmask_suffix = '_L.png'")
    train, val, _ = datasets(cfg)
    assert train.data_prefix == {"img_path": "/x/a", "seg_map_path": "/x/masks/train"}
    assert val.data_prefix == {"img_path": "/x/images/val", "seg_map_path": "/x/masks/val"}
    assert train.seg_map_suffix == val.seg_map_suffix == "_L.png"
    cfg = by_child(IMAGES, "data_root = '/x'\ntrain = dict(images='a')\nval = dict(images='b')")
    assert [d.data_prefix["img"] for d in datasets(cfg)] == ["/x/a", "/x/b", "/x/b"]
    cfg = by_child(IMAGES, "data_root = '/x'\ntrain = dict(images='a', annotations='l.txt')")
    assert next(datasets(cfg)).ann_file == "/x/l.txt"


@each_template
def test_without_validation(name):
    cfg = by_options(name, val=None)
    assert cfg.val_dataloader is cfg.val_evaluator is cfg.val_cfg is None
    train, test = datasets(cfg, ("train", "test"))
    assert train.data_prefix == test.data_prefix
    assert train.ann_file == test.ann_file


@each_template
@pytest.mark.parametrize("size", [64, (64, 96)])
def test_image_size_and_scale(name, size):
    height, width = (size, size) if size == 64 else size
    cfg = by_options(name, image_size=size, scale="(0.3,0.7)")
    train, *rest = datasets(cfg, ("train",) if name == IMAGES else ("train", "val", "test"))
    if name == IMAGES:
        crop = step(train, "RandomResizedCrop")
        assert (crop.size, crop.scale) == ((height, width), (0.3, 0.7))
        return
    crop = step(train, "RandomLabelledCrop" if name == MASKS else "LargeScaleJitter")
    assert crop.ratio_range == (0.3, 0.7)
    model = build(cfg)
    if name == MASKS:
        assert crop.crop_size == model.data_preprocessor.size == (height, width)
        assert model.test_cfg.crop_size == (height, width)
        assert crop.scale == step(rest[0], "Resize").scale == (4 * width, 64)
        with DefaultScope.overwrite_default_scope("mmseg"):
            tta = TRANSFORMS.build(cfg.tta_pipeline[1])
        assert tta.subroutines[0].transforms[0].scale == (3 * width, 48)
        return
    assert crop.scale == step(rest[0], "Resize").scale == (width, height)
    assert crop.crop_size == (width, height)  # mmdet's order
    assert model.data_preprocessor.batch_augments[0].size == (height, width)


@each_template
def test_bands_type_mean_and_std(name):
    settings = {"bands": 5, "dtype": "uint16", "mean": "[1,2,3,4,5]", "std": "[5,4,3,2,1]"}
    cfg = by_options(name, val=None, **settings)
    for dataset in datasets(cfg, ("train", "test")):
        load = step(dataset, "LoadImage")
        assert (load.in_channels, load.dtype) == (5, "uint16")
    assert cfg.model.data_preprocessor.mean == [1, 2, 3, 4, 5]
    assert cfg.model.data_preprocessor.std == [5, 4, 3, 2, 1]
    if name == MASKS:
        assert cfg.tta_pipeline[0].in_channels == 5
    cfg.model.data_preprocessor = None
    assert build(cfg).backbone.in_channels == 5


@each_template
def test_three_bands_are_those_of_imagenet(name):
    preprocessor = build(by_options(name)).data_preprocessor
    assert preprocessor.mean.numel() == 3
    cfg = by_options(name, mean="[1,2,3]", std="[3,2,1]")
    assert cfg.model.data_preprocessor.mean == [1, 2, 3]
    assert by_options(name, dtype="uint16").model.data_preprocessor.mean is None


def test_ignored_pixels_everywhere(by_child):
    dice = "loss_decode=[dict(type='CrossEntropyLoss'), dict(type='DiceLoss')]"
    cfg = by_child(MASKS, f"ignore_index = 11\nmodel = dict(decode_head=dict({dice}))")
    cfg.model.decode_head.loss_decode[0].pop("_delete_", None)
    train, val, _ = datasets(cfg)
    assert train.ignore_index == val.ignore_index == 11
    assert step(train, "RandomLabelledCrop").ignore_index == 11
    model = build(cfg)
    assert model.decode_head.ignore_index == model.auxiliary_head.ignore_index == 11
    assert model.decode_head.loss_decode[1].ignore_index == 11
    assert model.data_preprocessor.seg_pad_val == 11
    assert cfg.val_evaluator.ignore_index == cfg.test_evaluator.ignore_index == 11


@each_template
def test_batch_and_rate(name):
    cfg = by_options(name, batch_size=3, lr=0.004)
    assert cfg.train_dataloader.batch_size == 3
    assert cfg.optim_wrapper.optimizer.lr == 0.004
    assert not cfg.auto_scale_lr.enable
    assert by_options(name).auto_scale_lr.enable
    workers = read_config(str(CONFIGS / name), ["train_dataloader.num_workers=0"])
    assert not workers.train_dataloader.persistent_workers


def rates(cfg, epoch_length):
    """The rates of a run as its schedulers make them, from an optimizer's rate of 1."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    entry = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 1.0}}
    model = torch.nn.Module()
    model.parameter = parameter
    optimizer = build_optim_wrapper(model, entry).optimizer
    schedulers = [
        PARAM_SCHEDULERS.build(
            dict(s), default_args={"optimizer": optimizer, "epoch_length": epoch_length}
        )
        for s in cfg.param_scheduler
    ]
    total = cfg.train_cfg.get("max_iters") or cfg.train_cfg.max_epochs * epoch_length
    seen = []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        for scheduler in schedulers:
            scheduler.step()
    return seen


@each_template
@pytest.mark.parametrize(
    ("setting", "length", "epoch_length"),
    [("iterations", 100, 1), ("iterations", 2, 1), ("epochs", 2, 50), ("epochs", 40, 5)],
)
def test_warm_up_and_decay_are_shares_of_any_run(name, setting, length, epoch_length):
    cfg = by_options(name, **{setting: length})
    seen = rates(cfg, epoch_length)
    total = length * epoch_length
    assert len(seen) == total
    assert seen[0] < 0.01
    top = max(seen)
    if total >= 100:
        assert top > 0.98
        assert 2 <= seen.index(top) + 1 <= max(3, 0.06 * total)
        assert seen[-1] < 0.01
    by_epoch = setting == "epochs"
    assert cfg.log_processor.by_epoch == cfg.default_hooks.checkpoint.by_epoch == by_epoch
    assert cfg.train_cfg.type == ("EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop")
    assert cfg.train_dataloader.sampler.type.endswith("SeededSampler") == by_epoch
    assert 1 <= cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval <= length


def test_intervals_are_shares_of_the_run():
    assert by_options(BOXES).train_cfg.max_iters == 10000
    assert by_options(BOXES).train_cfg.val_interval == 1000
    assert by_options(BOXES, iterations=100).train_cfg.val_interval == 50
    assert by_options(BOXES, epochs=36).train_cfg.val_interval == 3
    assert by_options(IMAGES).train_cfg.max_epochs == 800
    assert by_options(IMAGES, iterations=100).default_hooks.logger.interval == 10


def test_template_of_pretraining_is_the_papers(by_child):
    paper = read_config(str(CONFIGS / "pretrain/fcmae_convnextv2-base_32xb128-800e_in1k.py"))
    ours = by_child(IMAGES, "arch = 'base'")
    assert ours.optim_wrapper == paper.optim_wrapper
    assert ours.auto_scale_lr == paper.auto_scale_lr
    for key in ("mask_ratio", "patch_size", "decoder_dim", "norm_pix"):
        assert ours.model[key] == paper.model[key]
    for key in ("type", "mean", "std"):
        assert ours.model.data_preprocessor[key] == paper.model.data_preprocessor[key]
    crop = {"type": "convnextv2.RandomResizedCrop", "size": (224, 224), "scale": (0.2, 1.0)}
    assert ours.train_dataloader.dataset.pipeline[1] == crop


@each_template
def test_by_scope_by_path_and_by_option_are_the_same(name, by_child):
    text = "arch = 'atto'\nbatch_size = 3\nepochs = 5"
    expected = by_options(name, arch="atto", batch_size=3, epochs=5)
    path = by_child(name, text)
    assert path.to_dict() == expected.to_dict()
    scope = by_child(name, text, base="convnextv2::{1}")
    assert without_scopes(scope.to_dict()) == without_scopes(expected.to_dict())


def without_scopes(value):
    if isinstance(value, dict):
        return {k: without_scopes(v) for k, v in value.items() if k != "_scope_"}
    return [without_scopes(v) for v in value] if isinstance(value, (list, tuple)) else value


@each_template
def test_what_is_dumped_reads_back_to_the_same(name, tmp_path):
    cfg = by_options(name, arch="atto", image_size=64, epochs=3)
    cfg.dump(tmp_path / "config.py")
    again = read_config(str(tmp_path / "config.py"))
    assert again.to_dict() == cfg.to_dict()
