"""A task is told by its model's class, and what differs by task is found in its folder."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.utils import get_object_from_string
from torch import nn
from torch.utils.data import Dataset

from convnextv2.data_checks import list_parts, refuse_fatal
from convnextv2.data_parts import Part
from convnextv2.engine import tasks
from convnextv2.engine.tasks import Task, find_task, list_tasks
from convnextv2.engine.types import find_class
from convnextv2.findings import Finding

REPO = Path(__file__).resolve().parents[2]
CONFIGS = {
    "pretraining": "pretrain/fcmae_convnextv2-atto_demo-trees.py",
    "classification": "classification/classifier_convnextv2-atto_8xb128-600e-fcmae_in1k.py",
    "detection": "detection/mask-rcnn_convnextv2_fpn_custom.py",
    "segmentation": "segmentation/upernet_convnextv2_custom.py",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_task_is_that_of_the_models_class(name):
    cfg = Config.fromfile(REPO / "configs" / CONFIGS[name])
    assert find_task(cfg).name == name
    if name != "pretraining":
        cfg.model.type = find_class(cfg.model, MODELS, cfg.default_scope)
        cfg.default_scope = "mmengine"
        assert find_task(cfg).name == name
    assert find_task(Config({"model": {"type": "torch.nn.Identity"}})) is None


def test_tasks_are_described_without_mmdet_and_mmseg():
    path = f"configs/{CONFIGS['pretraining']}"
    code = (
        "import sys\nfrom mmengine.config import Config\n"
        "heavy = ['mmdet', 'mmseg', 'mmcv', 'pycocotools']\n"
        "sys.modules.update(dict.fromkeys(heavy))\n"  # importing any of them fails
        "from convnextv2.engine.tasks import find_task, list_tasks\n"
        f"assert [t.name for t in list_tasks()] == {list(CONFIGS)}\n"
        f"assert find_task(Config.fromfile({path!r})).name == 'pretraining'"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True)


@pytest.mark.parametrize("task", list_tasks(), ids=lambda task: task.name)
def test_classes_that_a_task_names_exist(task):
    assert issubclass(get_object_from_string(task.model), nn.Module)
    for part in task.parts:
        assert issubclass(get_object_from_string(part.dataset), Dataset)


class Toy(nn.Module):
    pass


class ToyData(Dataset):
    pass


class ToyPart(Part):
    dataset = f"{__name__}.ToyData"

    def read(self):
        self.findings.append(Finding("fatal", "toys", f"{self.name} is a toy"))


class ToyTask(Task):
    name = "playing"
    model = f"{__name__}.Toy"
    parts = (ToyPart,)


@pytest.fixture
def folder(monkeypatch):
    """A new folder with a `task.py`."""
    module = ModuleType("convnextv2.toys.task")
    module.TASK = ToyTask()
    monkeypatch.setitem(sys.modules, "convnextv2.toys", ModuleType("convnextv2.toys"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(tasks, "FOLDERS", ("toys", *tasks.FOLDERS))
    list_tasks.cache_clear()
    yield module
    list_tasks.cache_clear()


def test_a_task_is_added_by_adding_a_folder(folder):
    loader = {"dataset": {"dataset": {"type": ToyData}}}
    cfg = Config({"model": {"type": Toy}, "train_dataloader": loader, "val_dataloader": None})
    assert find_task(cfg) is folder.TASK
    (part,) = list_parts(cfg)
    assert type(part) is ToyPart
    with pytest.raises(SystemExit, match="train is a toy"):
        refuse_fatal(cfg)


def test_data_of_no_task_are_said_to_be_unknown():
    loader = {"dataset": {"type": ToyData}}
    (part,) = list_parts(Config({"model": {"type": Toy}, "train_dataloader": loader}))
    part.read()
    (finding,) = part.findings
    assert finding.level == "warning"
    assert "is not known to this check" in finding.text
    assert part.images == []
    assert part.count() == {}


def test_unlabelled_images_are_not_listed_before_a_training(monkeypatch):
    cfg = Config.fromfile(REPO / "configs" / CONFIGS["pretraining"])
    (part,) = list_parts(cfg, ("train_dataloader",))
    monkeypatch.setattr(type(part), "read", lambda self: pytest.fail("it was read"))
    refuse_fatal(cfg)
