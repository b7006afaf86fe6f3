"""Setting the bands of a config changes all that depends on them, and nothing else."""

from copy import deepcopy
from pathlib import Path

import pytest
from mmengine.config import Config, ConfigDict

from convnextv2 import bands
from convnextv2.bands import find_loaders, leave_out_colour_steps, set_bands
from convnextv2.engine.config import read_config
from convnextv2.engine.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TREES = "detection/faster-rcnn_convnextv2-atto_fpn_demo-trees.py"
ADE = "segmentation/upernet_convnextv2-atto_8xb2-160k-fcmae-ft_ade20k-512x512.py"
FCMAE = "pretrain/fcmae_convnextv2-atto_demo-trees.py"


def types(pipeline):
    return [step["type"] for step in pipeline]


@pytest.mark.parametrize(
    ("name", "preprocessor"),
    [
        (TREES, "convnextv2.DetDataPreprocessor"),
        (ADE, "convnextv2.SegDataPreProcessor"),
        (FCMAE, "convnextv2.FCMAEDataPreprocessor"),
    ],
)
def test_bands_are_set_wherever_they_matter(name, preprocessor):
    cfg = read_config(str(CONFIGS / name))
    before = deepcopy(cfg.to_dict())
    set_bands(cfg, 5, "uint16", statistics="a.json")
    loaders = find_loaders(cfg)
    assert len(loaders) == sum(name in cfg for name in LOADING)
    assert all((load.in_channels, load.dtype) == (5, "uint16") for load in loaders)
    assert {load.channel_order for load in loaders} == {"rgb"}  # the file's own
    assert cfg.model.backbone.in_channels == 5
    given = cfg.model.data_preprocessor
    assert given.type == preprocessor
    assert (given.mean, given.std, given.statistics, given.in_channels) == (None, None, "a.json", 5)
    # The rest is as it was.
    after = cfg.to_dict()
    for content in (before, after):
        content["model"].pop("data_preprocessor")
        content["model"]["backbone"].pop("in_channels", None)
        for load in find_loaders(Config(content)):
            load.pop("in_channels", None)
    assert after["model"] == before["model"]
    kept = {k: v for k, v in after.items() if k not in LOADING}
    assert kept == {k: v for k, v in before.items() if k not in LOADING}


LOADING = ("train_dataloader", "val_dataloader", "test_dataloader", "tta_pipeline")


def test_mean_and_std_are_one_for_each_band():
    cfg = read_config(str(CONFIGS / FCMAE))
    with pytest.raises(InputError, match="mean has 3 values, bands is 5"):
        set_bands(cfg, 5, mean=[1, 2, 3], std=[1, 2, 3])
    with pytest.raises(InputError, match="give both or neither"):
        set_bands(cfg, 1, mean=[1])
    with pytest.raises(InputError, match="tasks alone"):
        set_bands(Config({"model": {"type": "BaseModel"}}), 5)


def test_more_bands_than_the_transforms_take_are_refused():
    """Pre-training resizes them in parts."""
    set_bands(read_config(str(CONFIGS / FCMAE)), 200)
    with pytest.raises(InputError, match="bands is 129; segmentation resizes images of up to 128"):
        set_bands(read_config(str(CONFIGS / ADE)), 129)


@pytest.mark.parametrize("name", [TREES, ADE])
def test_colour_augmentation_leaves_itself_out_and_says_so(name, monkeypatch):
    cfg = read_config(str(CONFIGS / name))
    pipeline = cfg.train_dataloader.dataset.pipeline
    (dropped,) = (kind for kind in types(pipeline) if kind.endswith("PhotoMetricDistortion"))
    kept = [kind for kind in types(pipeline) if kind != dropped]
    load = types(pipeline).index("convnextv2.LoadImage")
    lines = []
    monkeypatch.setattr(bands, "print_log", lambda text, **_: lines.append(text))
    for change in ({"in_channels": 5}, {"dtype": "uint16"}, {"dtype": None}):
        other = deepcopy(cfg)
        other.train_dataloader.dataset.pipeline[load].update(change)
        lines.clear()
        leave_out_colour_steps(other)
        assert types(other.train_dataloader.dataset.pipeline) == kept
        (line,) = lines
        assert line.startswith(f"{dropped} is left out: it needs three bands of uint8")


def test_the_command_line_decides_before_steps_are_left_out():
    options = ["train_dataloader.dataset.pipeline.2.in_channels=4"]
    cfg = read_config(str(CONFIGS / ADE), options)
    assert "convnextv2.SegPhotoMetricDistortion" not in types(cfg.train_dataloader.dataset.pipeline)


def test_steps_inside_of_others_are_left_out_too():
    cfg = read_config(str(CONFIGS / ADE))
    inner = dict(type="RandomApply", transforms=[dict(type="PhotoMetricDistortion")])  # noqa: C408
    pipeline = [ConfigDict(type="convnextv2.LoadImage", in_channels=5), ConfigDict(inner)]
    cfg.train_dataloader.dataset.pipeline = pipeline
    leave_out_colour_steps(cfg)
    assert cfg.train_dataloader.dataset.pipeline[1].transforms == []
