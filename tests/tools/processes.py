"""Run the project's commands as users do, in processes of their own.

A process that starts with torch and mmdet imported saves several seconds a run: `run` forks it
from a server that has imported other people's packages (and nothing of ours). `run_shell` starts
everything from nothing.
"""

import gc
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

REPO = Path(__file__).resolve().parents[2]
CONFIGS = Path(__file__).parent / "configs"
# Drop path is drawn by each process for its own images.
SAME_DRAWS = ["model.backbone.drop_path_rate=0"]
# No GPU, so that results do not depend on the machine; one thread for each process.
# Seconds after which a command is taken to hang: many times what any needs on a machine at rest.
HANGS = 600
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1"}

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["torch", "mmengine.runner", "mmdet.apis", "mmseg.apis"])


def free_port():
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(cwd, script, *args, **environment):
    """Run ``python tools/SCRIPT ARGS`` in a folder.

    Returns:
        (exit status, output); the status is negative if a signal ended it.

    Raises:
        TimeoutError: It did not end, however busy the machine may be.
    """
    output = Path(cwd, f"output-{os.urandom(4).hex()}.txt")
    argv = [str(REPO / "tools" / script), *map(str, args)]
    process = _SERVER.Process(target=_run, args=(cwd, argv, output, environment))
    process.start()
    process.join(HANGS)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"{script} is killed after {HANGS} s\n{output.read_text()}")
    return process.exitcode, output.read_text()


def run_shell(cwd, *command, timeout=HANGS, **environment):
    """Run any command in a folder; returns what `run` does."""
    path = environment.pop("PATH", os.environ["PATH"])
    environment |= {
        **ENVIRONMENT,
        "PYTHON": sys.executable,
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), path]),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    with tempfile.TemporaryFile("w+") as output:  # not a pipe, which orphans would keep open
        status = subprocess.run(
            [*map(str, command)],
            cwd=cwd,
            env=os.environ | environment,
            stdout=output,
            stderr=output,
            timeout=timeout,
        ).returncode
        output.seek(0)
        return status, output.read()


def config(name):
    return CONFIGS / f"tiny-{name}.py"


def train(cwd, name, work_dir, *args, options=(), **environment):
    """Run tools/train.py, which must succeed; returns the work dir."""
    if options:
        args = (*args, "--cfg-options", *options)
    status, output = run(
        cwd, "train.py", config(name), "--work-dir", work_dir, *args, **environment
    )
    assert status == 0, output
    return cwd / work_dir


def train_in_two_processes(cwd, work_dir, *options, **environment):
    """Train the small FCMAE by dist_train.sh, each process on half of the batch."""
    options = ["train_dataloader.batch_size=2", *SAME_DRAWS, *options]
    args = ["--work-dir", work_dir, "--cfg-options", *options]
    command = ["bash", REPO / "tools/dist_train.sh", config("fcmae-by-iter"), 2, *args]
    status, output = run_shell(cwd, *command, **environment)
    assert status == 0, output
    return cwd / work_dir


def last_state(work_dir):
    """Everything of the newest checkpoint that the rest of a run would depend on."""
    newest = work_dir / Path((work_dir / "last_checkpoint").read_text()).name
    content = torch.load(newest, map_location="cpu", weights_only=False)
    return newest.name, {k: content[k] for k in ("state_dict", "optimizer", "param_schedulers")}


def assert_same(got, expected, where=""):
    if isinstance(expected, dict):
        assert got.keys() == expected.keys(), where
        for key in expected:
            assert_same(got[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected), where
        for i, pair in enumerate(zip(got, expected, strict=True)):
            assert_same(*pair, f"{where}[{i}]")
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(got, expected), where
    else:
        assert got == expected, where


def _run(cwd, argv, output, environment):
    import torch

    gc.freeze()  # data sets collect garbage when they are built: not over all of mmdet
    torch.set_num_threads(1)
    os.environ |= ENVIRONMENT | environment
    os.chdir(cwd)
    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = argv
    sys.path.insert(0, os.path.dirname(argv[0]))
    runpy.run_path(argv[0], run_name="__main__")
