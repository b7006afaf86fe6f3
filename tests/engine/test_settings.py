"""Values that cannot be are named before anything is built."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from convnextv2.engine.config import read_config
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_file, check_folder
from convnextv2.engine.settings import check_settings, need_entries

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"train_cfg": {"max_iters": 0}}, "train_cfg.max_iters must be a whole number, 1 or more"),
        ({"train_cfg": {"max_epochs": -1}}, "train_cfg.max_epochs must be a whole number"),
        ({"train_dataloader": {"num_workers": -1}}, "num_workers must be a whole number, 0 or mor"),
        ({"val_dataloader": {"batch_size": True}}, "batch_size must be a whole number"),
        ({"optim_wrapper": {"optimizer": {"lr": "abc"}}}, "lr must be a number above 0, not 'abc'"),
        ({"optim_wrapper": {"optimizer": {"lr": float("nan")}}}, "must be a number above 0"),
        ({"model": 3}, "model must be a group of settings"),
        ({"a": [{"data_root": 3}]}, "a.0.data_root must be a path, not 3"),
        ({"model": {"heads": [{"num_classes": 0}]}}, "model.heads.0.num_classes must be"),
        ({"pipeline": [{"crop_size": (0, 5)}]}, "pipeline.0.crop_size.0 must be a number above 0"),
    ],
)
def test_value_that_cannot_be_is_named(entries, message):
    with pytest.raises(InputError, match=re.escape(message)):
        check_settings(Config(entries))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[!_]*/*.py")), ids=lambda path: path.stem)
def test_every_config_passes(path):
    # Without data: the names of a classifier's classes are those of folders.
    options = ["classes=('a','b')"] if path.stem == "classifier_convnextv2_custom" else []
    check_settings(read_config(str(path), options))


def test_all_are_named_at_once():
    entries = {"train_cfg": {"max_iters": 0, "val_interval": 0}, "load_from": 3}
    with pytest.raises(InputError) as caught:
        check_settings(Config(entries))
    assert [line.split()[0] for line in str(caught.value).splitlines()[1:]] == [
        "train_cfg.max_iters",
        "train_cfg.val_interval",
        "load_from",
    ]


def test_missing_entries_are_named():
    with pytest.raises(InputError, match=r"a\.py has no model, train_cfg"):
        need_entries(Config({"x": 1, "model": None}), "a.py", "model", "x", "train_cfg")


def test_place_to_write_to(tmp_path):
    (tmp_path / "file").write_text("")
    check_folder(tmp_path / "new/below", "--out")
    check_file(tmp_path / "new/file.json", "--out", (".json",))
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match=r"--out .*file is a file, and no folder"):
        check_folder(tmp_path / "file/below", "--out")
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        check_file(tmp_path, "--out")
    with pytest.raises(InputError, match=r"must end in \.json or \.txt"):
        check_file(tmp_path / "a.png", "--out", (".json", ".txt"))
    with pytest.raises(InputError, match="cannot write in /proc"):
        check_folder("/proc/nothing", "--out")
