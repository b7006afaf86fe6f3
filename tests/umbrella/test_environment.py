"""What is wrong with the installed libraries is said in three lines, with the command to type.

Each case is a folder of made-up packages, seen by an interpreter that sees no others.
"""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
MODULES = {
    "onedl-mmengine": "mmengine",
    "mmengine-lite": "mmengine",
    "onedl-mmcv": "mmcv",
    "mmcv-lite": "mmcv",
    "onedl-mmdetection": "mmdet",
    "onedl-mmsegmentation": "mmseg",
    "mmsegmentation": "mmseg",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "hotcoco": "hotcoco",
    "setuptools": "pkg_resources",
}
CORE = {"torch": "2.5.1+cu124", "opencv-python": "4.11.0.86"}
ONEDL = {
    **CORE,
    "onedl-mmengine": "0.10.12",
    "onedl-mmcv": "2.3.6",
    "onedl-mmdetection": "3.5.1",
    "onedl-mmsegmentation": "1.4.2",
    "hotcoco": "1.3.0",
    "ftfy": "6.3.1",
    "regex": "2026.11.19",
}
OPENMMLAB = {
    **CORE,
    "mmengine": "0.10.7",
    "mmcv": "2.1.0",
    "mmdet": "3.3.0",
    "mmsegmentation": "1.2.2",
    "setuptools": "80.10.2",
    "hotcoco": "1.3.0",
    "ftfy": "6.3.1",
    "regex": "2026.11.19",
}


def check(folder, installed, operators=True):
    """The lines of the complaint about an environment with these distributions, or none."""
    for name, version in installed.items():
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        package = folder / MODULES.get(name, name)
        package.mkdir(exist_ok=True)
        # Whoever imports a library to look at it meets this.
        (package / "__init__.py").write_text("raise SystemExit('imported')\n")
        if package.name == "mmcv" and operators:
            (package / "_ext.cpython-311-x86_64-linux-gnu.so").touch()
    code = (
        f"import sys; sys.path[:0] = [{str(REPO / 'convnextv2')!r}, {str(folder)!r}]\n"
        "from environment import *\n"  # importing the package would import mmengine
        "try:\n"
        "    check_core(), check_scope('mmengine'), check_scope('mmdet'), check_scope('mmseg')\n"
        "except LibraryError as error:\n"
        "    print(error)"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("installed", [ONEDL, OPENMMLAB], ids=["onedl", "openmmlab"])
def test_either_family_is_well(tmp_path, installed):
    assert not check(tmp_path, installed)


def test_opencv_may_be_there_twice(tmp_path):
    assert not check(tmp_path, {**ONEDL, "opencv-python-headless": "4.12.0.88"})


@pytest.mark.parametrize(
    ("installed", "what", "remedy"),
    [
        ({}, "torch is not installed.", "pip install 'torch>=2.5', as pytorch.org"),
        (
            {**ONEDL, "torch": "2.4.1"},
            "torch 2.4.1 is too old: 2.5 is the oldest known to work.",
            "pip install 'torch>=2.5'",
        ),
        (CORE, "mmengine is not installed.", "pip install 'onedl-mmengine>=0.10.12'"),
        (
            {**OPENMMLAB, "mmengine": "0.10.4"},
            "mmengine 0.10.4 is too old: 0.10.7 is the oldest known to work.",
            "pip install 'mmengine>=0.10.7'",
        ),
        (
            {**OPENMMLAB, "onedl-mmengine": "0.10.12"},
            "mmengine is there twice: onedl-mmengine 0.10.12 and mmengine 0.10.7 write into",
            "pip uninstall -y onedl-mmengine mmengine && pip install --no-deps mmengine==0.10.7",
        ),
        (
            {**ONEDL, "mmsegmentation": "1.2.2"},
            "mmseg is there twice: onedl-mmsegmentation 1.4.2 and mmsegmentation 1.2.2 write into",
            "pip uninstall -y onedl-mmsegmentation mmsegmentation && "
            "pip install --no-deps onedl-mmsegmentation==1.4.2",
        ),
        (
            {**OPENMMLAB, "mmcv-lite": "2.1.0"},
            "mmcv is there twice: mmcv 2.1.0 and mmcv-lite 2.1.0 write into",
            "--no-deps --force-reinstall mmcv==2.1.0",
        ),
        (
            {k: v for k, v in OPENMMLAB.items() if k != "ftfy"},
            "ftfy is not installed.",
            "pip install 'ftfy>=6'",
        ),
        (
            {k: v for k, v in OPENMMLAB.items() if k != "setuptools"},
            "pkg_resources is not installed.",
            "pip install 'setuptools<81'",
        ),
        (
            {k: v for k, v in ONEDL.items() if k != "opencv-python"},
            "cv2 is not installed.",
            "pip install 'opencv-python>=4.11'",
        ),
    ],
)
def test_what_is_wrong_is_said_in_three_lines(tmp_path, installed, what, remedy):
    first, second, third = check(tmp_path, installed)
    assert first.startswith(what)
    assert second.startswith("Here: Python 3.")
    assert third.startswith("To mend it: ")
    assert remedy in third


@pytest.mark.parametrize(("installed", "name"), [(ONEDL, "onedl-mmcv"), (OPENMMLAB, "mmcv")])
def test_an_mmcv_without_operators_is_recognised(tmp_path, installed, name):
    first, _, third = check(tmp_path, installed, operators=False)
    assert first.startswith("mmcv has no operators (mmcv._ext)")
    assert "--no-build-isolation --no-cache-dir" in third
    assert third.endswith(f" {name}=={installed[name]}")


def test_importing_the_package_says_so_too(tmp_path):
    code = f"import sys; sys.path[:0] = [{str(REPO)!r}]; import convnextv2"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "LibraryError: torch is not installed.\n" in done.stderr
    assert "To mend it: pip install 'torch>=2.5'" in done.stderr
