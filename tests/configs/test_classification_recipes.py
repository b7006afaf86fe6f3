"""Recipes of classification are the paper's: every value is that of classification_table.py."""

import re

import pytest
from classification_table import FOLDER, TABLE, read
from config_files import LEAVES, REPO
from mmengine.config import Config

each_recipe = pytest.mark.parametrize("name", TABLE)


def test_every_recipe_is_in_the_table():
    # Those of the template and of the experiment have no published recipe; test_ablations.py holds
    # the ablations.
    ours = {path.stem for path in LEAVES if re.search("_(custom|flowers|ablation)", path.stem)}
    names = {path.stem for path in LEAVES if path.parent == FOLDER} - ours
    assert names == {f"classifier_convnextv2-{name}" for name in TABLE}


@each_recipe
def test_model_is_the_tables(name):
    cfg, recipe = read(name), TABLE[name]
    backbone = cfg.model.backbone
    assert (backbone.type, backbone.arch) == ("convnextv2.ConvNeXtV2", recipe.arch)
    assert backbone.drop_path_rate == recipe.drop_path
    start = backbone.get("init_cfg")
    assert (start and dict(start)) == (
        recipe.checkpoint and {"type": "Pretrained", "checkpoint": recipe.checkpoint}
    )
    assert cfg.model.num_classes == recipe.classes
    assert cfg.model.head_init_scale == recipe.head_scale
    assert cfg.model.label_smoothing == recipe.smoothing
    mixing = cfg.model.mixing
    assert (mixing and dict(mixing)) == (
        recipe.mixing
        and {
            "type": "convnextv2.MixBatch",
            "mixup_alpha": recipe.mixing[0],
            "cutmix_alpha": recipe.mixing[1],
        }
    )


@each_recipe
def test_optimizer_and_batch_are_the_tables(name):
    cfg, recipe = read(name), TABLE[name]
    assert cfg.optim_wrapper.optimizer.to_dict() == {
        "type": "AdamW",
        "lr": recipe.lr,
        "betas": (0.9, 0.999),
        "weight_decay": recipe.weight_decay,
    }
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == ("AmpOptimWrapper", "bfloat16")
    assert cfg.optim_wrapper.constructor == "convnextv2.LayerDecayOptimWrapperConstructor"
    options = cfg.optim_wrapper.get("paramwise_cfg")
    assert (options and (options.decay_rate, options.decay_type)) == recipe.decay
    assert cfg.auto_scale_lr.to_dict() == {"enable": True, "base_batch_size": 256}
    processes, images = map(int, re.search(r"_(\d+)xb(\d+)-", name).groups())
    assert cfg.train_dataloader.batch_size == images
    assert processes * images == recipe.batch
    assert cfg.optim_wrapper.get("accumulative_counts", 1) == 1
    averages = [hook.to_dict() for hook in cfg.get("custom_hooks", [])]
    assert averages == [{"type": "convnextv2.EMAHook", "momentum": 1e-4}] * recipe.averaged


@each_recipe
def test_schedule_is_the_tables(name):
    cfg, recipe = read(name), TABLE[name]
    assert cfg.train_cfg.max_epochs == recipe.epochs
    *ramp, cosine = (scheduler.to_dict() for scheduler in cfg.param_scheduler)
    by_iteration = {"by_epoch": True, "convert_to_iter_based": True}
    assert ramp == [
        {"type": "LinearLR", "start_factor": 1e-4, "begin": 0, "end": recipe.warmup} | by_iteration
    ] * (recipe.warmup > 0)
    # Released: 1e-6 at the end, of what the whole batch begins with.
    assert cosine.pop("eta_min_ratio") == pytest.approx(1e-6 / (recipe.lr * recipe.batch / 256))
    end = {"type": "CosineAnnealingLR", "begin": recipe.warmup, "end": recipe.epochs}
    assert cosine == end | by_iteration


@each_recipe
def test_images_are_augmented_and_evaluated_as_the_table_has_it(name):
    cfg, recipe = read(name), TABLE[name]
    size = recipe.size
    assert [dict(step) for step in cfg.train_dataloader.dataset.pipeline] == [
        {"type": "convnextv2.LoadImage"},
        {"type": "convnextv2.RandomResizedCrop", "size": size, "scale": (0.08, 1.0)},
        {"type": "convnextv2.RandomFlips", "horizontal": 0.5},
        {
            "type": "convnextv2.RandAugment",
            "magnitude": 9,
            "magnitude_std": 0.5,
            "num_ops": 2,
            "interpolations": ("bicubic",),
        },
        {"type": "convnextv2.RandomErasing", "prob": 0.25},
        {"type": "convnextv2.PackClassInputs"},
    ]
    assert cfg.train_dataloader.drop_last
    if recipe.classes != 1000:
        assert "val_dataloader" not in cfg
        return
    view = [  # Released: a crop of 224 / 256 below 384, all of the image from there on
        {"type": "convnextv2.ResizeShorter", "size": 224, "crop_ratio": 0.875},
        {"type": "convnextv2.CenterCrop", "size": 224},
    ]
    view = view if size == 224 else [{"type": "convnextv2.Warp", "size": size}]
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        steps = [dict(step) for step in loader.dataset.pipeline]
        assert steps[1:-1] == view
        assert (steps[0]["type"], steps[-1]["type"]) == (
            "convnextv2.LoadImage",
            "convnextv2.PackClassInputs",
        )
        assert loader.dataset.metainfo.classes == cfg.train_dataloader.dataset.data_root
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == "convnextv2.Accuracy"


@each_recipe
def test_head_gives_batch_and_accuracy(name):
    recipe = TABLE[name]
    text = (FOLDER / f"classifier_convnextv2-{name}.py").read_text().partition("_base_")[0]
    processes, images = re.search(r"_(\d+)xb(\d+)-", name).groups()
    assert f"# Batch {recipe.batch} = {processes} GPUs x {images} images" in text
    if int(processes) > 8:
        assert (
            f"on 8 GPUs the same by optim_wrapper.accumulative_counts={int(processes) // 8}."
            in text
        )
    published = re.findall(r"top-1 (\d+\.\d)", text)
    assert published == ([recipe.top1] if recipe.top1 else [])
    assert "Not run here." in text


# --- the dense rows name what makes their start ---------------------------------------------------

DENSE = [
    path
    for path in LEAVES
    if path.parent.name in ("detection", "segmentation")
    and re.search("-(supervised|fcmae-ft|fcmae-in22k-ft)_", path.stem)
]


@pytest.mark.parametrize("path", DENSE, ids=lambda path: path.stem)
def test_dense_recipe_names_the_classifier_it_starts_from(path):
    head = path.read_text().partition("_base_")[0]
    (named,) = re.findall(r"configs/classification/classifier_convnextv2-(\S+)\.py", head)
    arch = re.search(r"convnextv2-(\w+?)_", path.stem)[1]
    recipe = TABLE[named]
    assert recipe.arch == arch
    assert (REPO / f"configs/classification/classifier_convnextv2-{named}.py").is_file()
    start = Config.fromfile(path).model.backbone.init_cfg.checkpoint
    if "supervised" in path.stem:
        assert recipe.start == "none"
    elif "in22k" in path.stem:
        assert recipe.start == "in22k"
        assert start.endswith(f"im22k/convnextv2_huge_22k_{recipe.size}_ema.pt")
    else:
        assert recipe.start == "fcmae"
        assert start.endswith(f"im1k/convnextv2_{arch}_1k_{recipe.size}_ema.pt")
    assert len(DENSE) == 8 + 1 + 4


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name].start == "in22k"])
def test_start_from_imagenet_22k_is_what_that_config_writes(name):
    _, config, file = TABLE[name].checkpoint.split("/")
    cfg = Config.fromfile(FOLDER / f"{config}.py")
    assert cfg.model.backbone.arch == TABLE[name].arch
    assert cfg.train_cfg.max_epochs % cfg.default_hooks.checkpoint.interval == 0
    assert file == f"epoch_{cfg.train_cfg.max_epochs}.pth"
