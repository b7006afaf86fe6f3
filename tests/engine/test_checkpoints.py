"""Checkpoints are there completely or not at all, whoever writes them."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine._strategy import FSDPStrategy
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from convnextv2.engine.checkpoints import AtomicCheckpointHook
from convnextv2.engine.fsdp import ShardedStrategy
from convnextv2.engine.plain_pickles import load_plain
from convnextv2.engine.runner import StrictFlexibleRunner, StrictRunner
from convnextv2.engine.signals import StopOnSignalHook
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


def train(work_dir, iterations, kind=Runner, strategy=None, **hook):
    checkpoint = {"type": AtomicCheckpointHook, "by_epoch": False, "interval": 1, **hook}
    runner = kind(
        **({"strategy": strategy} if strategy else {}),
        model=Linear(),
        work_dir=str(work_dir),
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
    )
    runner.train()
    return runner


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


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [(StrictRunner, None), (StrictFlexibleRunner, {"type": "SingleDeviceStrategy"})],
)
def test_a_checkpoint_is_of_the_place_that_the_hook_names(tmp_path, kind, strategy):
    """A run that a signal stops, and one with a best checkpoint, save at odd places."""
    runner = train(tmp_path, 2, kind, strategy)
    place = {"epoch": 3, "iter": 7}
    for name, by_epoch in {"a.pth": True, "b.pth": False}.items():
        runner.save_checkpoint(str(tmp_path), name, meta=dict(place), by_epoch=by_epoch)
        meta = load_plain(tmp_path / name)["meta"]
        assert {key: meta[key] for key in place} == place
    assert load_plain(tmp_path / "iter_2.pth")["meta"]["iter"] == 2


def test_a_hook_that_would_remove_the_only_checkpoint_is_refused():
    with pytest.raises(ValueError, match="max_keep_ckpts must be 2 or more"):
        AtomicCheckpointHook(max_keep_ckpts=1)


class Run(SimpleNamespace):
    """What the hook asks of a runner, at iteration 4 of one that was resumed."""

    def __init__(self, work_dir, **info):
        hub = MessageHub(f"{work_dir}{sorted(info)}")
        hub.runtime_info.update(info)
        super().__init__(work_dir=str(work_dir), message_hub=hub, iter=4, epoch=0, cfg={})
        self.logger = logging.getLogger("run")
        self.train_dataloader = [0]
        self.left_while_saving = []

    def save_checkpoint(self, out_dir, filename, *args, **kwargs):
        self.left_while_saving.append(sorted(p.name for p in Path(out_dir).glob("best_*")))
        Path(out_dir, filename).write_bytes(b"new")


@pytest.mark.parametrize("metrics", ["score", ["score", "other"]])
def test_the_best_is_removed_when_the_better_one_is_written(tmp_path, metrics):
    """In a copy of a work dir, too, in which the checkpoints still name the first one."""
    names = {"best_ckpt": "score", "best_ckpt_score": "score", "best_ckpt_other": "other"}
    first, copy = tmp_path / "first", tmp_path / "copy"
    for folder in (first, copy):
        folder.mkdir()
        for metric in ("score", "other"):
            (folder / f"best_{metric}_iter_2.pth").write_bytes(b"old")
    run = Run(copy, **{key: f"{first}/best_{m}_iter_2.pth" for key, m in names.items()})
    hook = AtomicCheckpointHook(by_epoch=False, save_best=metrics, rule="greater")
    hook.before_train(run)
    for score in (0.5, 0.1):  # the second is no better
        hook._save_best_checkpoint(run, {"score": score, "other": score})
    assert {p.name for p in first.iterdir()} == {f"best_{m}_iter_2.pth" for m in ("score", "other")}
    assert "best_score_iter_2.pth" in run.left_while_saving[0]
    assert not (copy / "best_score_iter_2.pth").exists()
    assert (copy / "best_score_iter_4.pth").read_bytes() == b"new"
    assert (copy / "best_other_iter_2.pth").exists() == (metrics == "score")
    run.iter = 6
    hook._save_best_checkpoint(run, {"score": 0.9, "other": 0.9})
    assert [p.name for p in copy.glob("best_score*")] == ["best_score_iter_6.pth"]


BOXES = {"coco/bbox_mAP_s": 0.9, "coco/bbox_mAP": 0.4}


@pytest.mark.parametrize(
    ("config", "metrics", "name"),
    [
        ("detection/mask-rcnn*nuclei.py", {**BOXES, "coco/segm_mAP": 0.3}, "best_coco_segm_mAP"),
        ("detection/faster-rcnn*trees.py", BOXES, "best_coco_bbox_mAP"),
        ("segmentation/*nuclei.py", {"aAcc": 90.0, "mIoU": 40.0}, "best_mIoU"),
        ("segmentation/*nuclei.py", {"precision": 1.0, "of": 2.0}, "best_precision"),
    ],
)
def test_the_best_is_told_by_the_tasks_metric(tmp_path, config, metrics, name):
    """Where mmengine would take the first that comes."""
    run = Run(tmp_path)
    (path,) = (REPO / "configs").glob(config)
    run.cfg = Config.fromfile(path)
    hook = AtomicCheckpointHook(by_epoch=False, save_best="auto")
    hook.before_train(run)
    hook.after_val_epoch(run, metrics)
    assert [path.name for path in tmp_path.glob("best_*")] == [f"{name}_iter_4.pth"]


def test_of_a_metric_of_unknown_direction_no_best_is_kept(tmp_path, caplog):
    run = Run(tmp_path)
    hook = AtomicCheckpointHook(save_best="auto")
    hook.before_train(run)
    for _ in range(2):
        hook.after_val_epoch(run, {"wisdom": 1.0})
    assert list(tmp_path.iterdir()) == []
    assert caplog.text.count("whether more or less of wisdom is better is not known") == 1


@pytest.mark.parametrize("name", ["precious", "best_thesis.pth"])
def test_a_checkpoint_cannot_have_files_elsewhere_removed(tmp_path, name):
    """Whose files are to be removed later stands in the file itself."""
    precious, work_dir = tmp_path / name, tmp_path / "run"
    work_dir.mkdir()
    (work_dir / "epoch_x").mkdir()
    precious.write_bytes(b"")
    (tmp_path / "ours.pth").write_bytes(b"")
    run = Run(
        work_dir,
        best_ckpt=str(precious),
        keep_ckpt_ids=["x/../../ours", 1, 2, 3],
        stop_checkpoint=str(precious),
        last_ckpt="iter_1.pth",
    )
    hook = AtomicCheckpointHook(filename_tmpl="epoch_{}.pth", save_best="score", rule="greater")
    stop = StopOnSignalHook()
    hook.before_train(run)
    stop.before_train(run)
    hook._save_best_checkpoint(run, {"score": 1.0})
    run.message_hub.update_info("last_ckpt", "iter_2.pth")
    stop.before_train_iter(run, 0)
    stop._watch.stop()
    assert precious.exists()
    assert (tmp_path / "ours.pth").exists()
