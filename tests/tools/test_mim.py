"""`mim` from the wheel, in an environment of its own, and from the checkout."""

import re
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata

import pytest
from processes import run_shell

from convnextv2.environment import find_family, find_installed

pytest.importorskip("mim")
pytestmark = pytest.mark.slow

FCMAE = "fcmae_convnextv2-atto_demo-trees.py"
LOADER = ["num_workers=0", "persistent_workers=False"]
COCO = {
    "data_root": "shapes",
    "ann_file": "{}.json",
    "data_prefix.img": "{}",
    "metainfo.classes": "[box]",
}
MASKS = {
    "data_root": "shapes",
    "data_prefix.img_path": "{}",
    "data_prefix.seg_map_path": "{}_labels",
}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Python of an environment with the wheel, which sees this one's other packages."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder)
    python = folder / "bin/python"
    (packages,) = folder.glob("lib/python*/site-packages")
    # Packages on a path from a .pth file: theirs, and so an editable install, do not count.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, wheel], check=True)
    return python


@pytest.fixture(scope="module", params=["wheel", "checkout"])
def python(request):
    """Python of an environment with the wheel, and of this one with its editable install."""
    if request.param == "wheel":
        return request.getfixturevalue("installed")
    if find_family() == "openmmlab":
        pytest.skip("openmim finds no editable install")
    try:
        metadata.version("convnextv2-dense")
    except metadata.PackageNotFoundError:
        pytest.skip("convnextv2-dense is not installed")
    return sys.executable


def mim(cwd, python, *args):
    """The output of mim, which must succeed."""
    status, output = run_shell(cwd, python, "-m", "mim", *args)
    assert status == 0, output
    return output


def loader(name, split, entries):
    """Options with which a data loader reads a split of the shapes."""
    dataset = [f"dataset.{key}={value.format(split)}" for key, value in entries.items()]
    batch = f"batch_size={2 if split == 'train' else 1}"
    return [f"{name}.{option}" for option in [batch, *LOADER, *dataset]]


def test_search_names_the_recipes(cwd, python):
    configs = mim(cwd, python, "search", "convnextv2-dense", "--valid-config")
    assert "'mask-rcnn_convnextv2-huge_fpn_8xb4-lsj-3x-fcmae_coco'" in configs
    file = cwd / "models.json"
    mim(cwd, python, "search", "convnextv2-dense", "--model", "upernet", "--json", file)
    (row,) = re.findall(r'"ade20k[^"]*\(paper\)":(\{[^}]*\})', file.read_text())
    assert '"upernet_convnextv2-huge_8xb2-160k-fcmae-in22k-ft_ade20k-640x640":57.0' in row


def test_train_a_config_of_ones_own_with_a_base_by_scope(cwd, python):
    (cwd / "mine.py").write_text(f"_base_ = 'convnextv2::pretrain/{FCMAE}'\n")
    args = "convnextv2-dense", "mine.py", "--gpus", 0, "--work-dir", cwd / "work_dirs/mim-mine"
    data = loader("train_dataloader", "train", {"data_root": "shapes/{}"})
    mim(cwd, python, "train", *args, "--cfg-options", "train_cfg.max_iters=1", *data)
    assert (cwd / "work_dirs/mim-mine/iter_1.pth").is_file()


@pytest.mark.parametrize("launcher", ["none", "pytorch"])
def test_train_and_test_by_bare_name(cwd, python, launcher):
    work_dir = cwd / f"work_dirs/mim-{launcher}"
    launch = {"none": ["--gpus", 0], "pytorch": ["--launcher", "pytorch", "--gpus", 2]}[launcher]
    common = ["convnextv2-dense", FCMAE, *launch, "--work-dir", work_dir]
    data = loader("train_dataloader", "train", {"data_root": "shapes/{}"})
    output = mim(cwd, python, "train", *common, "--cfg-options", "train_cfg.max_iters=1", *data)
    # The config of this installation, and no other.
    config = re.search(r"will use (\S+) instead", output)[1]
    assert ("site-packages" in config) == (python != sys.executable)

    checkpoint = ["--checkpoint", work_dir / "iter_1.pth"]
    data = loader("test_dataloader", "val", {"data_root": "shapes/{}"})
    output = mim(cwd, python, "test", *common, *checkpoint, "--cfg-options", *data)
    assert re.search(r"fcmae/loss: \d+\.\d+", output)


@pytest.mark.skipif(
    find_family() == "openmmlab",
    reason="their mmengine reads no checkpoint with torch 2.6, mmseg weighs no ignored pixels",
)
@pytest.mark.parametrize(
    ("module", "config", "dataset"),
    [
        ("mmdet", "detection/mask-rcnn_convnextv2-atto_fpn_demo-nuclei.py", COCO),
        ("mmseg", "segmentation/upernet_convnextv2-atto_demo-nuclei.py", MASKS),
    ],
)
def test_mmdet_and_mmseg_train_our_configs(cwd, installed, module, config, dataset):
    """Their train.py and test.py, which know nothing of this project."""
    (package,) = find_installed(module)
    (path,) = installed.parents[1].glob(f"lib/*/site-packages/convnextv2/configs/{config}")
    work_dir = cwd / "work_dirs" / package
    common = [package, path, "--gpus", 0, "--work-dir", work_dir]
    val = loader("val_dataloader", "val", dataset) + loader("test_dataloader", "val", dataset)
    if dataset is COCO:
        val += [f"{name}_evaluator.ann_file=shapes/val.json" for name in ("val", "test")]
    options = ["model.backbone.init_cfg=None", "train_cfg.max_iters=2", "train_cfg.val_interval=2"]
    options += ["default_hooks.checkpoint.interval=2"]
    options += loader("train_dataloader", "train", dataset)
    output = mim(cwd, installed, "train", *common, "--cfg-options", *options, *val)
    metric = "coco/bbox_mAP" if dataset is COCO else "mIoU"
    assert metric in output
    checkpoint = ["--checkpoint", work_dir / "iter_2.pth"]
    output = mim(cwd, installed, "test", *common, *checkpoint, "--cfg-options", *val)
    assert metric in output
