"""Decisions about a config are those of the classes in it, however their names are written."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import DATASETS, OPTIM_WRAPPERS

from convnextv2.engine import cpu_amp
from convnextv2.engine.ineffective import find_ineffective
from convnextv2.engine.processes import do_without_gpu, replace_sync_bn
from convnextv2.engine.types import (
    find_class,
    is_a,
    walk_built_datasets,
    walk_datasets,
    walk_entries,
)

REPO = Path(__file__).resolve().parents[2]
DETECTION = "detection/mask-rcnn_convnextv2-tiny_fpn_8xb4-lsj-3x-fcmae_coco.py"
COCO = "mmdet.datasets.coco.CocoDataset"


@pytest.mark.parametrize("name", ["CocoDataset", "mmdet.CocoDataset", COCO, "LVISV1Dataset"])
def test_a_type_is_found_short_scoped_and_in_full(name):
    found = find_class({"type": name}, DATASETS, "mmdet")
    assert is_a(found, COCO)
    assert find_class(found, DATASETS) is found
    assert not is_a(found, "mmseg.datasets.basesegdataset.BaseSegDataset")
    assert find_class({"type": "NoSuchDataset"}, DATASETS, "mmdet") is None


@pytest.mark.parametrize(
    "kind", ["AmpOptimWrapper", f"{AmpOptimWrapper.__module__}.AmpOptimWrapper", AmpOptimWrapper]
)
def test_mixed_precision_is_left_out_where_nothing_computes_it(kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(cpu_amp, "computes_bfloat16", lambda: False)
    wrapper = {"type": kind, "loss_scale": "dynamic", "optimizer": {"type": "SGD", "lr": 1}}
    cfg = Config({"optim_wrapper": wrapper, "launcher": "none", "default_scope": "mmengine"})
    do_without_gpu(cfg)
    assert cfg.optim_wrapper == {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 1}}
    assert find_class(cfg.optim_wrapper, OPTIM_WRAPPERS).__name__ == "OptimWrapper"


@pytest.mark.parametrize(
    "kind", ["SyncBN", "MMSyncBN", "torch.nn.SyncBatchNorm", torch.nn.SyncBatchNorm]
)
def test_every_synchronised_norm_is_replaced(kind):
    model = {"heads": [{"norm_cfg": {"type": kind, "requires_grad": True}}, {"type": "LN"}]}
    replace_sync_bn(model, "mmseg")
    assert model == {"heads": [{"norm_cfg": {"type": "BN", "requires_grad": True}}, {"type": "LN"}]}


def test_walks_reach_the_data_sets_inside_of_wrappers():
    leaves = [{"type": "A"}, {"type": "B"}, {"type": "C"}]
    wrapped = {"dataset": {"datasets": [leaves[0], {"dataset": leaves[1]}, leaves[2]]}}
    assert dict(walk_datasets(wrapped, "d")) == {
        "d.dataset.datasets.0": leaves[0],
        "d.dataset.datasets.1.dataset": leaves[1],
        "d.dataset.datasets.2": leaves[2],
    }
    wrappers = ["d", "d.dataset", "d.dataset.datasets.1"]
    assert sorted(name for name, _ in walk_entries(wrapped, "d")) == sorted(
        [*wrappers, *dict(walk_datasets(wrapped, "d"))]
    )
    assert next(walk_entries(wrapped, "d")) == ("d", wrapped)
    assert not list(walk_datasets(None))
    built = [SimpleNamespace(), SimpleNamespace()]
    concat = SimpleNamespace(datasets=[built[0], SimpleNamespace(dataset=built[1])])
    assert list(walk_built_datasets(SimpleNamespace(dataset=concat))) == built


def test_what_is_set_in_vain_is_named(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        f"_base_ = '{REPO / 'configs' / DETECTION}'\n"
        "image_size = (64, 64)\ndata_root = 'x/'\nmine = 1\nload_from = 'a.pth'\n"
        "train_dataloader = dict(dataset=dict(data_root=data_root))\n"
    )
    cfg = Config.fromfile(child)
    options = ["checkpoint=1", "train_dataloader.batch_size=2", "resume=True"]
    assert find_ineffective(cfg, str(child), options) == ["checkpoint", "image_size"]
