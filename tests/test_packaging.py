"""The wheel holds what git holds of the packaged folders: no file less, none more."""

import csv
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
FOLDERS = ("convnextv2", "backbone", "pretrain", "detection", "segmentation", "configs", "tools")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tracked():
    """The files that are, or are about to be, in git."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=REPO, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = [Path(name) for name in listing.stdout.split("\0") if name]
    return [path for path in files if (REPO / path).is_file()]  # git also lists what was deleted


@pytest.fixture(scope="module")
def wheel(tracked, tmp_path_factory):
    # From a copy: setuptools would leave a build/ here, a second copy of every config.
    source = tmp_path_factory.mktemp("source")
    for path in tracked:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / path, source / path)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(source)]
    result = subprocess.run(command, cwd=source.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_holds_what_git_holds(wheel, tracked):
    expected = set()
    for path in tracked:
        if path.parts[0] in FOLDERS and path.suffix in (".py", ".sh"):
            inner = path if path.parts[0] == "convnextv2" else Path("convnextv2", path)
            expected.add(inner.as_posix())
    assert {Path(name).parts[1] for name in expected} > {"__init__.py", "configs", "tools"}
    content = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert content == expected


def test_mim_finds_the_package_root(wheel):
    # mim takes the first component of the first line for the folder of the package.
    (record,) = (name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
    first = next(csv.reader(io.StringIO(wheel.read(record).decode())))[0]
    assert first.split("/")[0] == "convnextv2"
