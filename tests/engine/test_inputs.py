"""What a run reads is there before it begins."""

import io

import pytest
import torch
from file_server import serve
from mmengine.config import Config

from convnextv2 import downloads
from convnextv2.engine.inputs import check_inputs, fetch_checkpoints


def missing(cfg, *loaders):
    """The settings that are named, with the reason."""
    with pytest.raises(SystemExit) as caught:
        check_inputs(Config(cfg), loaders)
    return [line.split() for line in str(caught.value).splitlines()[1:-1]]


def test_every_missing_file_is_named_and_no_setting_below_a_missing_root(tmp_path):
    (tmp_path / "empty.json").touch()
    here = {"data_root": str(tmp_path), "ann_file": "empty.json", "data_prefix": {"img": "no"}}
    gone = {"data_root": str(tmp_path / "gone"), "ann_file": "a.json"}
    cfg = {
        "train_dataloader": {"dataset": {"type": "ConcatDataset", "datasets": [here, gone]}},
        "val_dataloader": {"dataset": {"ann_file": str(tmp_path)}},
        "val_evaluator": [{"ann_file": "a.json"}],
        "model": {
            "backbone": {"init_cfg": {"checkpoint": "weights.pth"}},
            "data_preprocessor": {"statistics": "statistics.json"},
        },
        "load_from": "http://host/a.pth",
    }
    words = missing(cfg, "train_dataloader", "val_dataloader")
    dataset = "(train_dataloader.dataset.datasets"
    assert [(path, line[-1]) for path, *line in words[:4]] == [
        (f"{tmp_path}/empty.json", f"{dataset}.0.ann_file)"),
        (f"{tmp_path}/no", f"{dataset}.0.data_prefix.img)"),
        (f"{tmp_path}/gone", f"{dataset}.1.data_root)"),
        (str(tmp_path), "(val_dataloader.dataset.ann_file)"),
    ]
    assert words[0][1:3] == ["is", "empty"]
    assert words[3][1:4] == ["is", "a", "folder,"]
    assert [line[0] for line in words[4:]] == ["a.json", "weights.pth", "statistics.json"]
    assert [line[0] for line in missing(cfg)] == ["statistics.json"]  # none of a training


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """Bytes of a weight file; what is downloaded lies in a folder of the test's own."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    content = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, content)
    return content.getvalue()


def test_the_runner_gets_a_path_for_an_address(weights):
    init_cfg = {"type": "Pretrained"}
    with serve({"x.pth": weights, "y.pth": weights}) as (address, asked):
        init_cfg["checkpoint"] = f"{address}/y.pth"
        cfg = Config({"load_from": f"{address}/x.pth", "model": {"backbone": {}}})
        cfg.model.backbone.init_cfg = init_cfg
        fetch_checkpoints(cfg)
        assert [path for path, _ in asked] == ["/y.pth", "/x.pth"]
        assert cfg.model.backbone.init_cfg.checkpoint == f"{address}/y.pth"
        assert cfg.load_from == str(downloads.weights_path(f"{address}/x.pth"))
    with open(cfg.load_from, "rb") as file:
        assert file.read() == weights
    for given in (None, "a/path.pth"):
        cfg = Config({"load_from": given, "model": {"backbone": {"init_cfg": None}}})
        fetch_checkpoints(cfg)
        assert cfg.load_from == given
