"""Configs and classes of this project are found by its scope."""

import subprocess
import sys

import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hub import get_config
from mmengine.registry import DATASETS, MODELS, init_default_scope

import convnextv2
from convnextv2 import registry
from convnextv2.engine.config import read_config

NAMES = [
    "detection/mask-rcnn_convnextv2_fpn_custom.py",
    "pretrain/fcmae_convnextv2_custom.py",
    "segmentation/upernet_convnextv2_custom.py",
    "_base_/models/fcmae_convnextv2.py",
]


@pytest.mark.parametrize("name", NAMES)
def test_configs_are_read_by_scope(name, tmp_path):
    path = f"{convnextv2.__path__[0]}/../configs/{name}"
    expected = Config.fromfile(path).to_dict()
    assert get_config(f"convnextv2::{name}").to_dict() == expected
    assert read_config(f"convnextv2::{name}").to_dict() == read_config(path).to_dict()
    child = tmp_path / "child.py"
    child.write_text(f"_base_ = 'convnextv2::{name}'\nseed = 1\n")
    assert Config.fromfile(child).to_dict().keys() == {*expected, "seed"}


def test_types_of_a_base_by_scope_are_those_of_its_default_scope(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(f"_base_ = 'convnextv2::{NAMES[2]}'\narch = 'atto'\n")
    cfg = read_config(str(child))
    cfg.model.backbone.init_cfg = None
    cfg.model._scope_ = cfg.val_dataloader.dataset._scope_ = "convnextv2"
    init_default_scope("mmseg")
    assert type(MODELS.build(cfg.model)).__module__.startswith("mmseg.")
    dataset = DATASETS.build({**cfg.val_dataloader.dataset, "lazy_init": True})
    (pack,) = (t for t in dataset.pipeline.transforms if type(t).__name__ == "PackSegInputs")
    assert type(pack).__module__.startswith("mmseg.")


def test_a_class_of_a_tasks_folder_is_found_when_nothing_else_has_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "task_with_a_class"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "needs_more.py").write_text("import not_installed_here\n")
    (folder / "one.py").write_text(
        "from mmengine.dataset import BaseDataset\nfrom convnextv2.registry import DATASETS\n"
        "@DATASETS.register_module()\nclass OfATask(BaseDataset):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_TASKS", {"mmnone": folder.name})
    assert DATASETS.get("convnextv2.UnlabelledImages")
    assert folder.name not in sys.modules
    try:
        assert issubclass(DATASETS.get("convnextv2.OfATask"), BaseDataset)
    finally:
        registry.DATASETS.module_dict.pop("OfATask", None)


@pytest.mark.parametrize(
    ("scope", "ours", "theirs", "other"),
    [
        ("mmdet", "CocoMetric", "CocoDataset", "segmentation"),
        ("mmseg", "IoUMetric", "BaseSegDataset", "detection"),
    ],
)
def test_a_task_imports_nothing_of_another(scope, ours, theirs, other):
    code = f"""
import sys
from mmengine.registry import init_default_scope
from convnextv2.registry import DATASETS, METRICS
init_default_scope({scope!r})
assert METRICS.get('convnextv2.{ours}').__module__.startswith('convnextv2.')
assert DATASETS.get({theirs!r}).__module__.startswith('{scope}.')
assert 'convnextv2.{other}' not in sys.modules
"""
    # In a process of its own: other tests have imported everything.
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["backbone.ConvNeXtV2", "backbone.convnextv2.ConvNeXtV2"])
def test_full_names_import_nothing_a_second_time(name):
    assert MODELS.get(f"convnextv2.{name}") is MODELS.get("convnextv2.ConvNeXtV2")
    assert "backbone" not in sys.modules
