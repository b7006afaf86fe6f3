"""What many tests share, made once, however many processes run the tests."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

REPO = Path(__file__).resolve().parents[1]
# Triton reads this when it is first imported, which torch may do: its kernels run on a CPU then.
os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_finish():
    """Leave what was imported out of every collection of garbage.

    mmengine's data sets ask for one when they are built, which takes up to a second else.
    """
    gc.freeze()


@pytest.fixture(scope="session")
def tracked():
    """The files that are, or are about to be, in git."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=REPO, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = [Path(name) for name in listing.stdout.split("\0") if name]
    return [path for path in files if (REPO / path).is_file()]  # git also lists what was deleted


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory):
    """Let what a test writes to a relative path miss the checkout."""
    os.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """name, make -> a folder that ``make(folder)`` filled, in one of xdist's processes for all."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of all workers

    def get(name, make):
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                folder.mkdir(exist_ok=True)
                make(folder)
                done.touch()
        return folder

    return get


@pytest.fixture(scope="session")
def wheel(tracked, once):
    """Path of the wheel of what is in the checkout."""
    (path,) = once("wheel", lambda folder: build_wheel(tracked, folder)).glob("dist/*.whl")
    return path


def build_wheel(tracked, source):
    # From a copy: setuptools would leave a build/ here, a second copy of every config.
    for path in tracked:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / path, source / path, follow_symlinks=False)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(source)]
    result = subprocess.run(command, cwd=source.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
