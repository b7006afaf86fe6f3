"""Imports point one way, and every module imports on its own."""

import ast
import multiprocessing
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
# Each folder may import itself and those that it names.
BELOW = {
    "convnextv2": set(),
    "backbone": {"convnextv2"},
    "pretrain": {"convnextv2", "backbone"},
    "detection": {"convnextv2", "backbone"},
    "segmentation": {"convnextv2", "backbone"},
    "tools": {"convnextv2", "backbone", "pretrain", "detection", "segmentation"},
}
# What is not built everywhere that a pre-training runs.
HEAVY = {"mmcv", "mmdet", "mmseg", "pycocotools"}
SOURCES = sorted(path for folder in BELOW for path in (REPO / folder).rglob("*.py"))


def module_of(path):
    parts = path.relative_to(REPO).with_suffix("").parts
    parts = parts if parts[0] == "convnextv2" else ("convnextv2", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path):
    """Full names of what a file imports anywhere in it."""
    package = module_of(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def folder_of(name):
    """The folder of the repository of a module of ours; None of another's."""
    first, _, rest = name.partition(".")
    if first != "convnextv2":
        return None
    inner = rest.split(".")[0]
    return inner if inner in BELOW else "convnextv2"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_point_down(path):
    own = folder_of(module_of(path))
    wrong = {
        name
        for name in imported_by(path)
        if (folder := folder_of(name)) and folder != own and folder not in BELOW[own]
    }
    assert not wrong


@pytest.mark.parametrize("folder", ["convnextv2", "backbone", "pretrain"])
def test_pretraining_needs_no_detector_and_no_segmenter(folder):
    for path in (REPO / folder).rglob("*.py"):
        assert not {n.split(".")[0] for n in imported_by(path)} & HEAVY, path


def test_no_two_modules_import_each_other():
    modules = {module_of(path): path for path in SOURCES}
    edges = {
        module: {
            target
            for name in imported_by(path)
            for target in (name, name.rpartition(".")[0])
            if target in modules and target != module
        }
        for module, path in modules.items()
    }
    done, active = set(), []

    def visit(module):
        assert module not in active, " -> ".join([*active[active.index(module) :], module])
        if module in done:
            return
        active.append(module)
        for target in sorted(edges[module]):
            # A package's list of what it offers is no dependency of its parts.
            if modules[target].name != "__init__.py":
                visit(target)
        done.add(active.pop())

    for module in modules:
        visit(module)


# Whose whole subject is a package that not every machine has.
EXTRAS = {
    "convnextv2.backbone.fused.depthwise_kernels": "triton",
    "convnextv2.backbone.fused.response_kernels": "triton",
    "convnextv2.tools.deployment.page.layout": "gradio",
}


@pytest.mark.slow
def test_every_module_imports_on_its_own(tmp_path):
    """Each in a process of its own, which has imported nothing of ours."""
    context = multiprocessing.get_context("forkserver")
    others = ["pytest", "torch", "mmengine.runner", "mmdet.apis", "mmseg.apis"]
    context.set_forkserver_preload(others)
    failed = []
    for path in SOURCES:
        if find_spec(EXTRAS.get(module_of(path), "torch")) is None:
            continue
        log = tmp_path / module_of(path)
        process = context.Process(target=import_alone, args=(module_of(path), log, str(tmp_path)))
        process.start()
        process.join(60)
        if process.exitcode != 0:
            failed.append(f"{module_of(path)}: {log.read_text() if log.exists() else ''}")
    assert not failed, "\n".join(failed)


def import_alone(module, log, cwd):
    os.chdir(cwd)
    try:
        __import__(module)
    except BaseException as error:
        Path(log).write_text(repr(error))
        raise SystemExit(1) from error


@pytest.mark.slow
def test_a_pretraining_imports_no_detector_and_no_segmenter():
    """Not even through what is registered for a scope, or to look at its loop."""
    code = (
        "import sys; from mmengine.registry import MODELS; "
        "from convnextv2.engine.signals import stop_on_signals; "
        "MODELS.get('convnextv2.FCMAE') or sys.exit('no FCMAE'); "
        "stop_on_signals({'train_cfg': {'type': 'IterBasedTrainLoop'}}); "
        f"sys.exit(', '.join(m for m in {sorted(HEAVY)!r} if m in sys.modules) or 0)"
    )
    done = subprocess.run(
        [os.sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO.parent
    )
    assert done.returncode == 0, done.stderr
