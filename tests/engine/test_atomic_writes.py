"""Checkpoints are there completely or not at all, whoever writes them."""

from pathlib import Path

import pytest
import torch
from mmengine._strategy import FSDPStrategy
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from convnextv2.engine.checkpoints import AtomicCheckpointHook
from convnextv2.engine.fsdp import ShardedStrategy
from convnextv2.files import AtomicLocalBackend, remove_abandoned, written_whole

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def old(tmp_path):
    """An old checkpoint under the name that will be written; `copy` is the same file on the disk.

    Were the old one overwritten in place, and the writer killed, neither would be left: then
    `copy` changes too.
    """
    path, copy = tmp_path / "run/iter_2.pth", tmp_path / "copy"
    path.parent.mkdir()
    path.write_bytes(b"old")
    copy.hardlink_to(path)
    return path, copy


def assert_replaced(path, copy):
    assert path.read_bytes() != b"old"
    assert copy.read_bytes() == b"old"
    assert not list(path.parent.glob(".*"))  # nothing half written stays


def test_bytes_are_renamed_into_place(old):
    AtomicLocalBackend().put(b"new", old[0])
    assert_replaced(*old)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(old):
    path, _ = old
    with pytest.raises(TypeError):
        AtomicLocalBackend().put("not bytes", path)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("wait", [True, False])
def test_the_longest_names_can_be_written(tmp_path, wait):
    path = tmp_path / ("ä" * 127 + "x")  # 255 bytes
    with written_whole(path, wait) as partial:
        partial.write_bytes(b"half")
        assert list(tmp_path.iterdir()) == [partial]
        assert remove_abandoned(tmp_path) == []  # of a living process
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {path.name: b"half"}


def test_files_are_renamed_in_one_place():
    folders = ("convnextv2", "backbone", "pretrain", "detection", "segmentation", "tools")
    paths = [path for folder in folders for path in (REPO / folder).rglob("*.py")]
    renaming = [path.name for path in paths if "os.replace(" in path.read_text()]
    assert sorted(renaming) == ["files.py", "prepare_demo.py"]  # the latter's is a folder


def test_shards_are_renamed_into_place(old, monkeypatch):
    def write(self, filename, **kwargs):
        Path(filename).write_bytes(b"new")

    monkeypatch.setattr(FSDPStrategy, "save_checkpoint", write)
    ShardedStrategy().save_checkpoint(str(old[0]))
    assert_replaced(*old)


class Ones(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"x": torch.ones(2)}


class Linear(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x, mode):
        return {"loss": self.linear(x).square().mean()}


def train(work_dir, iterations, **hook):
    checkpoint = {"type": AtomicCheckpointHook, "by_epoch": False, "interval": 1, **hook}
    Runner(
        Linear(),
        str(work_dir),
        train_dataloader={
            "batch_size": 2,
            "collate_fn": {"type": "default_collate"},
            "sampler": {"type": "InfiniteSampler", "shuffle": False},
            "dataset": Ones(),
        },
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        train_cfg={"by_epoch": False, "max_iters": iterations},
        default_hooks={"checkpoint": checkpoint},
        experiment_name=f"{work_dir}-{hook}",
        default_scope="mmengine",
    ).train()


def test_the_hook_renames_into_place(old):
    train(old[0].parent, 2)
    assert_replaced(*old)


@pytest.mark.parametrize(
    ("hook", "left"),
    [({}, [3, 4, 5]), ({"max_keep_ckpts": 2}, [4, 5]), ({"max_keep_ckpts": -1}, [1, 2, 3, 4, 5])],
)
def test_the_newest_are_kept(tmp_path, hook, left):
    train(tmp_path, 5, **hook)
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == [f"iter_{i}.pth" for i in left]


def test_a_hook_that_would_remove_the_only_checkpoint_is_refused():
    with pytest.raises(ValueError, match="max_keep_ckpts must be 2 or more"):
        AtomicCheckpointHook(max_keep_ckpts=1)
