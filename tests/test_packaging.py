"""The wheel holds what git holds of the packaged folders: no file less, none more."""

import csv
import io
import zipfile
from pathlib import Path

import pytest
import yaml

FOLDERS = ("convnextv2", "backbone", "pretrain", "detection", "segmentation", "configs", "tools")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archive(wheel):
    with zipfile.ZipFile(wheel) as archive:
        yield archive


def test_wheel_holds_what_git_holds(archive, tracked):
    expected = set()
    for path in tracked:
        if path.parts[0] in FOLDERS and path.suffix in (".py", ".sh", ".yml"):
            inner = path if path.parts[0] == "convnextv2" else Path("convnextv2", path)
            expected.add(inner.as_posix())
    assert expected > {
        "convnextv2/__init__.py",
        "convnextv2/model-index.yml",
        "convnextv2/configs/detection/metafile.yml",
        "convnextv2/tools/train.py",
        "convnextv2/tools/dist_train.sh",
        "convnextv2/tools/slurm_test.sh",
    }
    content = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert content == expected


def test_model_index_of_the_wheel_leads_to_its_configs(archive):
    def read(name):
        return yaml.safe_load(archive.read(f"convnextv2/{name}"))

    models = [m for name in read("model-index.yml")["Import"] for m in read(name)["Models"]]
    assert len(models) > 30
    assert {f"convnextv2/{m['Config']}" for m in models} < set(archive.namelist())


def test_mim_finds_the_package_root(archive):
    # mim takes the first component of the first line for the folder of the package.
    (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    first = next(csv.reader(io.StringIO(archive.read(record).decode())))[0]
    assert first.split("/")[0] == "convnextv2"
