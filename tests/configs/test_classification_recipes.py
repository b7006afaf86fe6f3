"""Recipes of classification are the paper's: every value against a table typed from it.

Paper: Tables 9 to 11 (fine-tuning from FCMAE), 12 and 13 (by way of ImageNet-22K), 14 and 15
(accuracies). "Released" is facebookresearch/ConvNeXt-V2, "V1" the recipe of ConvNeXt V1: the
nearest public sources where the paper is silent.
"""

import math
import re
from typing import NamedTuple

import pytest
import torch
from config_files import CONFIGS, LEAVES, REPO
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS

FOLDER = CONFIGS / "classification"
BLOCKS, GROUPS = "block_wise", "layer_wise"
RELEASED = "https://dl.fbaipublicfiles.com/convnext/convnextv2"
# for: epochs; ramp: those of warm-up; lr: of a batch of 256; per: a step of the decay is a block or
# one of 12 groups; soft: label smoothing; mix, cut: alphas; drop: of paths; ema: .9999. A section
# has its batch, classes, start (FCMAE, none, IN-22K) and scale of the head's initial weights.
SECTIONS = """
1024 1000 fcmae .001 # Tables 9 to 11; the rate of Base and Large is the released code's
name                               for ramp lr      wd   decay per   soft mix cut drop ema top1
atto_8xb128-600e-fcmae_in1k        600 0    2e-4    .3   .9    block .2   -   -   .1   yes 76.7
femto_8xb128-600e-fcmae_in1k       600 0    2e-4    .05  .9    block .2   .3  .3  0    yes 78.5
pico_8xb128-600e-fcmae_in1k        600 0    2e-4    .3   .9    block .2   .3  .3  0    yes 80.3
nano_8xb128-600e-fcmae_in1k        600 0    2e-4    .3   .9    block .2   .5  .5  .1   yes 81.9
tiny_8xb128-300e-fcmae_in1k        300 40   8e-4    .05  .9    block .1   .8  1   .2   yes 83.0
base_8xb128-100e-fcmae_in1k        100 20   6.25e-4 .05  .6    group .1   .8  1   .1   yes 84.9
large_16xb64-100e-fcmae_in1k       100 20   6.25e-4 .05  .6    group .1   .8  1   .2   yes 85.8
huge_32xb32-50e-fcmae_in1k         50  10   1.25e-3 .05  .75   group .1   .8  1   .3   yes 86.3

4096 1000 none 1 # V1; of Atto to Nano what is not rate, decay and warm-up is as above; issue 43
name                               for ramp lr      wd   decay per   soft mix cut drop ema top1
atto_32xb128-600e-supervised_in1k  600 20   2.5e-4  .05  -     -     .2   -   -   .1   yes 76.2
femto_32xb128-600e-supervised_in1k 600 20   2.5e-4  .05  -     -     .2   .3  .3  0    yes 78.0
pico_32xb128-600e-supervised_in1k  600 20   2.5e-4  .05  -     -     .2   .3  .3  0    yes 79.7
nano_32xb128-600e-supervised_in1k  600 20   2.5e-4  .05  -     -     .2   .5  .5  .1   yes 81.2
tiny_32xb128-300e-supervised_in1k  300 20   2.5e-4  .05  -     -     .1   .8  1   .1   yes 82.5
base_32xb128-300e-supervised_in1k  300 20   2.5e-4  .05  -     -     .1   .8  1   .5   yes 84.3
large_32xb128-300e-supervised_in1k 300 20   2.5e-4  .05  -     -     .1   .8  1   .5   yes 84.5

4096 21841 fcmae .001 # Table 12
name                               for ramp lr      wd   decay per   soft mix cut drop ema top1
nano_32xb128-90e-fcmae_in22k       90  5    2.5e-4  .05  .9    block .1   .8  1   0    no  -
tiny_32xb128-90e-fcmae_in22k       90  5    2.5e-4  .05  .9    block .1   .8  1   0    no  -
base_32xb128-90e-fcmae_in22k       90  5    2.5e-4  .05  .8    group .1   .8  1   .1   no  -
large_32xb128-90e-fcmae_in22k      90  5    2.5e-4  .05  .8    group .1   .8  1   .1   no  -
huge_64xb64-90e-fcmae_in22k        90  5    2.5e-4  .05  .8    group .1   .8  1   .3   no  -

512 1000 in22k .001 # Table 13
name                               for ramp lr      wd   decay per   soft mix cut drop ema top1
nano_8xb64-90e-in22k_in1k          90  0    2.5e-5  1e-8 .9    block .1   -   -   .1   yes 82.1
tiny_8xb64-90e-in22k_in1k          90  0    2.5e-5  1e-8 .9    block .1   -   -   .1   yes 83.9
base_8xb64-30e-in22k_in1k          30  0    2.5e-5  1e-8 .8    group .1   -   -   .2   yes 86.8
large_8xb64-30e-in22k_in1k         30  0    2.5e-5  1e-8 .8    group .1   -   -   .3   yes 87.3
nano_8xb64-90e-in22k_in1k-384      90  0    2.5e-5  1e-8 .9    block .1   -   -   .1   yes 83.4
tiny_8xb64-90e-in22k_in1k-384      90  0    2.5e-5  1e-8 .9    block .1   -   -   .1   yes 85.1
base_8xb64-30e-in22k_in1k-384      30  0    2.5e-5  1e-8 .8    group .1   -   -   .2   yes 87.7
large_16xb32-30e-in22k_in1k-384    30  0    2.5e-5  1e-8 .8    group .1   -   -   .3   yes 88.2
huge_32xb16-30e-in22k_in1k-384     30  0    2.5e-5  1e-8 .85   group .1   -   -   .5   no  88.7
huge_32xb16-30e-in22k_in1k-512     30  0    2.5e-5  1e-8 .85   group .1   -   -   .5   no  88.9
"""


class Recipe(NamedTuple):
    batch: int
    classes: int
    start: str
    head_scale: float
    epochs: int
    warmup: int
    lr: float
    weight_decay: float
    decay: tuple | None
    smoothing: float
    mixing: tuple | None
    drop_path: float
    averaged: bool
    top1: str | None
    arch: str
    size: int

    @property
    def checkpoint(self):
        """What training starts from: of IN-22K, what its own config writes at its end."""
        if self.start == "fcmae":
            return f"{RELEASED}/pt_only/convnextv2_{self.arch}_1k_224_fcmae.pt"
        if self.start == "in22k":
            gpus = "64xb64" if self.arch == "huge" else "32xb128"
            name = f"classifier_convnextv2-{self.arch}_{gpus}-90e-fcmae_in22k"
            return f"work_dirs/{name}/epoch_90.pth"
        return None


def read_table():
    """(name, recipe) of every row."""
    for section in SECTIONS.strip().split("\n\n"):
        head, _, *rows = section.splitlines()
        batch, classes, start, scale = head.partition("#")[0].split()
        for row in rows:
            name, epochs, warmup, lr, wd, decay, per, smooth, mixup, cutmix, *rest = row.split()
            drop, averaged, top1 = rest
            steps = {"block": BLOCKS, "group": GROUPS}
            yield (
                name,
                Recipe(
                    *(int(batch), int(classes), start, float(scale), int(epochs), int(warmup)),
                    *(float(lr), float(wd)),
                    None if decay == "-" else (float(decay), steps[per]),
                    float(smooth),
                    None if mixup == "-" else (float(mixup), float(cutmix)),
                    *(float(drop), averaged == "yes", None if top1 == "-" else top1),
                    name.split("_")[0],
                    int((re.search(r"in1k-(\d+)$", name) or [0, 224])[1]),
                ),
            )


TABLE = dict(read_table())
each_recipe = pytest.mark.parametrize("name", TABLE)


def read(name):
    return Config.fromfile(FOLDER / f"classifier_convnextv2-{name}.py")


def test_every_recipe_is_in_the_table():
    # That of the template is the user's.
    names = {path.stem for path in LEAVES if path.parent == FOLDER if "_custom" not in path.stem}
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


def released_depth(name, depths, decay_type):
    """Released, optim_factory.py: the place of a parameter, and that of the last block."""
    part, stage, block, *_ = (*name.split("."), "")
    groups = decay_type == GROUPS
    last = 12 if groups else sum(depths)
    if part not in ("stages", "downsample_layers"):
        return last + 1, last
    stage, block = int(stage), int(block) if part == "stages" else 0
    if not groups:
        return sum(depths[:stage]) + block + 1, last
    if part == "downsample_layers":
        return (0, 2, 3, 12)[stage], last
    return (1, 2, 3 + block // 3, 12)[stage], last


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name].decay])
def test_rates_of_layers_are_those_of_the_released_code(name):
    cfg, recipe = read(name), TABLE[name]
    model = torch.nn.Module()
    with torch.device("meta"):
        model.backbone = MODELS.build({**cfg.model.backbone, "init_cfg": None})
        model.head = torch.nn.Linear(2, 2)
    options = {k: cfg.optim_wrapper[k] for k in ("optimizer", "constructor", "paramwise_cfg")}
    optimizer = build_optim_wrapper(model, {**options, "type": "OptimWrapper"})
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    rate, decay_type = recipe.decay
    for key, parameter in model.named_parameters():
        inner = key.removeprefix("backbone.")
        depth, last = released_depth(inner, model.backbone.depths, decay_type)
        expected = recipe.lr * rate ** (last + 1 - depth)
        assert groups[parameter]["lr"] == pytest.approx(expected, rel=1e-9), key
        decays = parameter.ndim > 1  # no norm, bias or GRN
        assert groups[parameter]["weight_decay"] == recipe.weight_decay * decays, key


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


def released_rate(epoch, recipe):
    """Released, adjust_learning_rate: at a point of the run, in epochs."""
    top, least = recipe.lr * recipe.batch / 256, 1e-6
    if epoch < recipe.warmup:
        return top * epoch / recipe.warmup
    done = (epoch - recipe.warmup) / (recipe.epochs - recipe.warmup)
    return least + (top - least) * (1 + math.cos(math.pi * done)) / 2


@pytest.mark.parametrize("name", {(r.epochs, r.warmup, r.lr): n for n, r in TABLE.items()}.values())
def test_rates_over_the_run_are_those_of_the_released_code(name):
    cfg, recipe, steps = read(name), TABLE[name], 4
    top = recipe.lr * recipe.batch / 256
    scales = [1.0, 0.1]  # of two depths
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in scales]
    groups = [{"params": [p], "lr": top * k} for p, k in zip(parameters, scales, strict=True)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    given = {"optimizer": optimizer, "epoch_length": steps}
    schedulers = [PARAM_SCHEDULERS.build(dict(s), default_args=given) for s in cfg.param_scheduler]
    # Within what one step of a ramp changes.
    error = top / max(recipe.warmup * steps, 1000) * 1.1
    optimizer.step()
    for step in range(recipe.epochs * steps):
        expected = released_rate(step / steps, recipe)
        for group, scale in zip(optimizer.param_groups, scales, strict=True):
            assert group["lr"] == pytest.approx(expected * scale, abs=error * scale), step
        for scheduler in schedulers:
            scheduler.step()


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
