"""The wheel, built once for all tests that look into it or install it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


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


@pytest.fixture(scope="session")
def wheel(tracked, tmp_path_factory):
    """Path of the wheel of what is in the checkout."""
    # From a copy: setuptools would leave a build/ here, a second copy of every config.
    source = tmp_path_factory.mktemp("source")
    for path in tracked:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / path, source / path, follow_symlinks=False)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(source)]
    result = subprocess.run(command, cwd=source.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = (source / "dist").glob("*.whl")
    return path
