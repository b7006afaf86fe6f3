"""`--help` of every command answers at once: nothing heavy is imported for it."""

import subprocess
import sys

import pytest
from processes import REPO

COMMANDS = sorted(
    path.relative_to(REPO / "tools").as_posix()
    for path in (REPO / "tools").rglob("*.py")
    if "__main__" in path.read_text()
)
# Each takes longer than half of the half second that there is.
HEAVY = {"torch", "mmcv", "mmdet", "mmseg", "mmengine.runner", "cv2", "tifffile", "matplotlib"}


def test_the_commands_are_found():
    assert {"train.py", "test.py", "infer.py", "model_converters/export_backbone.py"} < {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_without_heavy_imports(command):
    line = [sys.executable, "-X", "importtime", REPO / "tools" / command, "--help"]
    result = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "example:" in result.stdout
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & HEAVY
