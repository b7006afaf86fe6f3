"""The classification template: its settings take effect, and what cannot be is refused."""

import cv2
import numpy as np
import pytest
from config_files import CONFIGS

from convnextv2.engine.config import read_config
from convnextv2.engine.errors import InputError
from convnextv2.registry import DATASETS, MODELS, TRANSFORMS

NAME = "classification/classifier_convnextv2_custom.py"


@pytest.fixture
def labelled(tmp_path):
    """``train/`` and ``val/`` with folders of three classes, of which val lacks one."""
    for part, names in {"train": ("ant", "bee", "fly"), "val": ("ant", "fly")}.items():
        for name in names:
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "1.png"), image)
    return tmp_path


def read(root, **settings):
    settings = {"data_root": root, "weights": None, "arch": "atto", **settings}
    return read_config(str(CONFIGS / NAME), [f"{key}={value}" for key, value in settings.items()])


def test_classes_are_the_folders_that_are_trained_on(labelled):
    cfg = read(labelled)
    assert cfg.model.num_classes == 3
    for loader in ("train", "val", "test"):
        dataset = DATASETS.build({**cfg[f"{loader}_dataloader"].dataset, "pipeline": []})
        assert dataset.metainfo["classes"] == ("ant", "bee", "fly")
    assert [dataset.get_data_info(i)["gt_label"] for i in range(2)] == [0, 2]  # by their names


def test_classes_are_those_of_the_list(labelled):
    (labelled / "train.txt").write_text("ant/1.png ant\nbee/1.png bee\nfly/1.png fly\n")
    cfg = read(labelled, **{"train.annotations": "train.txt"})
    assert tuple(cfg.val_dataloader.dataset.metainfo.classes) == ("ant", "bee", "fly")


def test_sizes_scales_and_rates_follow_from_the_settings(labelled):
    cfg = read(labelled, image_size=96, scale="(0.3,0.9)", arch="tiny", epochs=7, batch_size=2)
    crop = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[1])
    assert (crop.size, tuple(crop.scale)) == ((96, 96), (0.3, 0.9))
    assert TRANSFORMS.build(cfg.test_dataloader.dataset.pipeline[2]).size == (96, 96)
    assert cfg.model.backbone.drop_path_rate == 0.2
    assert cfg.train_cfg.max_epochs == 7
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.auto_scale_lr.enable


def test_the_head_begins_small_only_where_weights_are_loaded(labelled):
    assert read(labelled).model.head_init_scale == 1
    assert read(labelled, weights="x.pth").model.head_init_scale == 0.001


def test_other_bands_reach_reader_network_and_preprocessor(labelled):
    cfg = read(labelled, bands=5)
    model = MODELS.build(cfg.model)
    assert model.backbone.in_channels == 5
    assert len(model.data_preprocessor.mean) == 5
    assert TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[0]).in_channels == 5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data_root": "nowhere"}, "does not exist"),
        ({"train.images": "."}, "parts of the data and no classes"),
        ({"classes": "('one',)"}, "one class"),
        ({"classes": "one"}, r"one class of that name is \('one',\)"),
        ({"scale": "(0.5, 2.0)"}, "at most 1"),
        ({"model.num_classes": 10}, "classes makes it 3"),
        ({"image_size": 100}, "multiple of 32"),
    ],
)
def test_what_cannot_be_is_refused(labelled, settings, words):
    with pytest.raises(InputError, match=words):
        read(labelled, **settings)
