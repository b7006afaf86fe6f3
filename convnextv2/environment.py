"""Libraries that are missing, too old, or there twice, said in three lines: what, here, the remedy.

pip cannot say "mmengine of one family or of the other": OpenMMLab's (`mmengine`, `mmcv`, `mmdet`,
`mmsegmentation`) or OneDL's (`onedl-...`), which have the same import names. So the package asks
for neither, and this is called at first use instead. Nothing is imported to find out.
"""

import re
import sys
from importlib import metadata, util
from pathlib import Path

# Import name -> the distributions that bring it, with the oldest release seen to work.
_LIBRARIES = {
    "torch": {"torch": "2.5"},
    "mmengine": {"onedl-mmengine": "0.10.12", "mmengine": "0.10.7", "mmengine-lite": "0.10.7"},
    "mmcv": {"onedl-mmcv": "2.3.6", "mmcv": "2.1.0", "mmcv-lite": "2.1.0", "mmcv-full": "2.1.0"},
    "mmdet": {"onedl-mmdetection": "3.5.1", "mmdet": "3.3.0"},
    "mmseg": {"onedl-mmsegmentation": "1.4.2", "mmsegmentation": "1.2.2"},
    # 4.11 is the first that reads colour images as RGB.
    "cv2": dict.fromkeys(
        ("opencv-python", "opencv-python-headless", "opencv-contrib-python"), "4.11"
    ),
    "hotcoco": {"hotcoco": "1.3"},
    "ftfy": {"ftfy": "6"},
    "regex": {"regex": "2022"},
    "pkg_resources": {"setuptools": "60"},
}
# What mmdet and mmseg need, which their own metadata do not always say.
_NEEDED = {
    "mmdet": ("mmcv", "mmdet", "hotcoco"),
    "mmseg": ("mmcv", "mmseg", "ftfy", "regex"),
}
_REMEDIES = {
    "torch": "pip install 'torch>=2.5', as pytorch.org/get-started has it for your GPU",
    "pkg_resources": "pip install 'setuptools<81', the last that have it",
}
# Isolated, the build finds no torch; from the cache would come what an isolated one left there.
_BUILD_MMCV = (
    "pip install {} wheel ninja psutil && MMCV_WITH_OPS=1 CFLAGS=-g0 "
    "pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall {}"
)


class LibraryError(RuntimeError):
    """A library is missing, too old, there twice, or built without its operators.

    No `ImportError`: mmengine's registries take that for "there is no such scope".
    """


def check_core() -> None:
    """Check torch, mmengine and OpenCV, which everything needs.

    Raises:
        LibraryError: What is wrong, and the command that mends it.
    """
    for module in ("torch", "mmengine", "cv2"):
        _check_library(module)


def check_scope(scope: str | None) -> None:
    """Check what the configs of a default scope need: ``mmdet``, ``mmseg``; others need nothing.

    Raises:
        LibraryError: What is wrong, and the command that mends it.
    """
    for module in _NEEDED.get(scope or "", ()):
        _check_library(module)
        if module == "mmcv":
            _check_operators()
    if scope == "mmdet" and find_family() == "openmmlab":
        _check_library("pkg_resources")  # by which its mmengine finds `mmdet::` configs


def find_installed(module: str) -> dict[str, str]:
    """The installed distributions that bring a module, with their versions."""
    found = {}
    for name in _LIBRARIES[module]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def find_family() -> str:
    """Of which family more is installed; OneDL's, which is maintained, where that is equal."""
    counts = {"onedl": 0, "openmmlab": 0}
    for module in ("mmengine", "mmcv", "mmdet", "mmseg"):
        for name in find_installed(module):
            counts["onedl" if _is_onedl(name) else "openmmlab"] += 1
    return max(counts, key=lambda family: counts[family])


def _check_library(module: str) -> None:
    found = find_installed(module)
    if len(found) > 1 and module != "cv2":  # mmdet's own requirements bring it twice
        both = " and ".join(f"{name} {version}" for name, version in found.items())
        text = f"{module} is there twice: {both} write into one folder, over each other's files"
        _fail(text, _keep_one(module, found))
    if util.find_spec(module) is None:
        _fail(f"{module} is not installed", _install(module))
    for name, version in found.items():
        oldest = _LIBRARIES[module][name]
        if _numbers(version) < _numbers(oldest):
            text = f"{name} {version} is too old: {oldest} is the oldest known to work"
            _fail(text, _install(module))


def _check_operators() -> None:
    """mmcv is built without operators, and says nothing, where its build finds no torch."""
    spec = util.find_spec("mmcv")
    folder = Path(spec.origin or "").parent if spec else Path()
    if not list(folder.glob("_ext*.so")) + list(folder.glob("_ext*.pyd")):
        _fail(
            "mmcv has no operators (mmcv._ext): it is mmcv-lite, or its build saw no torch or no "
            "compiler",
            _install("mmcv"),
        )


def _keep_one(module: str, found: dict[str, str]) -> str:
    """The command that takes all away and brings one back, of the family that is there."""
    kept = next((name for name in found if _is_onedl(name) == (find_family() == "onedl")), None)
    kept = kept or next(iter(found))
    wanted = f"{kept}=={found[kept]}"
    install = _build_mmcv(wanted) if module == "mmcv" else f"pip install --no-deps {wanted}"
    return f"pip uninstall -y {' '.join(found)} && {install}"


def _install(module: str) -> str:
    if module in _REMEDIES:
        return _REMEDIES[module]
    names = _LIBRARIES[module]
    onedl = find_family() == "onedl"
    name = next((name for name in names if _is_onedl(name) == onedl), next(iter(names)))
    if module == "mmcv":
        return _build_mmcv(f"{name}=={names[name]}")
    return f"pip install '{name}>={names[name]}'"


def _build_mmcv(wanted: str) -> str:
    setuptools = "setuptools" if _is_onedl(wanted) else "'setuptools<81'"
    return _BUILD_MMCV.format(setuptools, wanted)


def _is_onedl(name: str) -> bool:
    return name.startswith("onedl-")


def _numbers(version: str) -> tuple[int, ...]:
    """Comparable numbers of a version: its release, without what follows."""
    release = re.split(r"[^\d.]", version)[0]
    return tuple(int(part) for part in release.split(".") if part)


def _fail(what: str, remedy: str) -> None:
    modules = ("torch", "mmengine", "mmcv", "mmdet", "mmseg")
    installed = [f"{n} {v}" for module in modules for n, v in find_installed(module).items()]
    python = ".".join(map(str, sys.version_info[:3]))
    raise LibraryError(
        f"{what}.\nHere: {', '.join([f'Python {python}', *installed])}.\nTo mend it: {remedy}"
    )
