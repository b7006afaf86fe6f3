"""Lists that leave images out, as `ann_file`, are no fault of the data."""

import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from convnextv2.data_checks import check_all, refuse_fatal

SIZE = (40, 48)


@pytest.fixture
def folder(tmp_path):
    """Six images with label maps, and lists of the first four and of the last two."""
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for i in range(6):
        blocks = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        image = cv2.resize(blocks, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), image)
        cv2.imwrite(str(tmp_path / f"labels/{i}.png"), image[..., 0] // 128)
    for name, numbers in (("train", range(4)), ("val", range(4, 6))):
        (tmp_path / f"{name}.txt").write_text("".join(f"{i}\n" for i in numbers))
        (tmp_path / f"{name}.json").write_text(json.dumps([f"{i}.png" for i in numbers]))
    return tmp_path


def make(folder, scope, suffix, **dataset):
    sampler = {"type": "DefaultSampler", "shuffle": False}
    loaders = {
        f"{part}_dataloader": {
            "batch_size": 2,
            "sampler": sampler,
            "dataset": {"data_root": str(folder), "ann_file": part + suffix, **dataset},
        }
        for part in ("train", "val")
    }
    init_default_scope(scope)
    return Config({**loaders, "model": {}, "default_scope": scope})


def check(cfg):
    _, findings = check_all(cfg, lambda files, title, total: files)
    refuse_fatal(cfg)
    return [str(finding) for finding in findings]


def test_a_list_of_images_to_pretrain_on_is_no_fault(folder):
    pipeline = [
        {"type": "convnextv2.LoadImage"},
        {"type": "convnextv2.RandomResizedCrop", "size": 32},
        {"type": "convnextv2.PackFCMAEInputs"},
    ]
    prefix = {"img": "images"}
    kind = {"type": "convnextv2.UnlabelledImages", "data_prefix": prefix, "pipeline": pipeline}
    assert check(make(folder, "mmengine", ".json", **kind)) == []


def test_a_list_of_images_with_masks_is_no_fault(folder):
    pytest.importorskip("mmseg")
    pipeline = [
        {"type": "convnextv2.LoadImage"},
        {"type": "LoadAnnotations"},
        {"type": "PackSegInputs"},
    ]
    kind = {
        "type": "BaseSegDataset",
        "data_prefix": {"img_path": "images", "seg_map_path": "labels"},
        "img_suffix": ".png",
        "metainfo": {"classes": ("dark", "light")},
        "pipeline": pipeline,
    }
    assert check(make(folder, "mmseg", ".txt", **kind)) == []
