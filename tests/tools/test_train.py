"""Training as users start it: killed, resumed, in two processes, by mim."""

import os
import shutil
from importlib import metadata

import numpy as np
import pytest
import torch
from processes import (
    REPO,
    SAME_DRAWS,
    assert_same,
    config,
    last_state,
    run,
    run_shell,
    train,
    train_in_two_processes,
)

from convnextv2.engine.work_dir_lock import occupy

pytestmark = pytest.mark.slow


# --- a run that is killed and resumed ends with the weights of one that was not ---------------


# Wrappers that add nothing: the draws must be those of the data set alone.
WRAPPERS = {
    "repeat": "dict(type='RepeatDataset', times=1, dataset=inner)",
    "concat": "dict(type='ConcatDataset', datasets=[inner])",
    "balanced": "dict(type='ClassBalancedDataset', oversample_thr=1e-9, dataset=inner)",
}


def wrap(cwd, name, wrapper):
    """The config of that name with its training data in a wrapper."""
    path = cwd / f"{name}-{wrapper}.py"
    path.write_text(
        f"_base_ = {str(config(name))!r}\n"
        "inner = {{_base_.train_dataloader.dataset}}\n"
        f"dataset = {WRAPPERS[wrapper]}\n"
        "dataset['_delete_'] = True\n"
        "train_dataloader = dict(dataset=dataset)\n"
    )
    return path


@pytest.mark.parametrize(
    ("name", "kill_at", "workers", "wrapper"),
    [
        ("fcmae-by-iter", 5, 0, "concat"),
        ("fcmae-by-iter", 5, 2, None),
        ("fcmae-by-epoch", 7, 0, None),
        ("fcmae-by-epoch", 7, 2, "repeat"),
        ("mask-rcnn", 9, 0, None),
        ("mask-rcnn", 9, 2, "balanced"),
        ("upernet", 5, 0, None),
        ("upernet", 5, 2, "repeat"),
    ],
)
def test_killed_and_resumed_ends_with_the_same_weights(
    cwd, finished, name, kill_at, workers, wrapper
):
    options = [f"train_dataloader.num_workers={workers}"]
    path = wrap(cwd, name, wrapper) if wrapper else config(name)
    args = path, "--work-dir", f"work_dirs/killed-{name}-{workers}"
    status, output = run(
        cwd, "train.py", *args, "--cfg-options", *options, PROBE_KILL_AT=str(kill_at)
    )
    assert status == -9, output
    work_dir = cwd / args[2]
    before = len((work_dir / "losses_0.txt").read_text().split())
    assert before == kill_at
    assert len(list(work_dir.glob("[ei]*_*.pth"))) >= 2  # of the best there may be one more
    # A kill can also leave mmengine's note of the newest checkpoint empty, or a checkpoint half
    # written. A published one (mmengine's `published_keys`) is none to go on from.
    (work_dir / "last_checkpoint").write_text("")
    (work_dir / ".iter_99.pth.1.partial").write_bytes(b"half")
    (work_dir / "iter_99-0a1b2c3d.pth").write_bytes(b"published")

    status, output = run(cwd, "train.py", *args, "--resume", "--cfg-options", *options)
    assert status == 0, output
    after = len((work_dir / "losses_0.txt").read_text().split()) - before
    reference = finished(name)
    total = len((reference / "losses_0.txt").read_text().split())
    assert total - kill_at <= after < total  # it went on, and did not begin anew
    assert_same(last_state(work_dir), last_state(reference))


def test_resume_begins_where_there_is_nothing_to_resume(cwd):
    work_dir = cwd / "work_dirs/fresh"
    work_dir.mkdir(parents=True)
    (work_dir / "last_checkpoint").write_text("")
    train(cwd, "fcmae-by-iter", work_dir, "--resume", options=["train_cfg.max_iters=1"])
    assert (work_dir / "iter_1.pth").is_file()


def test_resume_from_a_checkpoint_by_its_path(cwd, finished):
    reference = finished("fcmae-by-iter")
    checkpoint = reference / "iter_4.pth"
    work_dir = train(cwd, "fcmae-by-iter", "work_dirs/by-path", "--resume", checkpoint)
    assert len((work_dir / "losses_0.txt").read_text().split()) == 4
    assert_same(last_state(work_dir), last_state(reference))


# --- two processes do what one with twice the batch does ---


@pytest.fixture(scope="module")
def two(cwd):
    return train_in_two_processes(cwd, "work_dirs/two")


def test_two_processes_train_as_one_with_twice_the_batch(cwd, two):
    one = train(cwd, "fcmae-by-iter", "work_dirs/one", options=SAME_DRAWS)
    halves = [np.loadtxt(two / f"losses_{rank}.txt") for rank in (0, 1)]
    assert not np.allclose(*halves, rtol=1e-6), "the processes saw the same images"
    losses = np.loadtxt(one / "losses_0.txt")
    assert losses.shape == (8,)
    np.testing.assert_allclose(np.mean(halves, axis=0), losses, rtol=1e-5)
    (_, got), (_, expected) = last_state(two), last_state(one)
    for name, tensor in expected["state_dict"].items():
        torch.testing.assert_close(got["state_dict"][name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_processes_are_restarted_when_one_dies(cwd, two):
    restarted = train_in_two_processes(cwd, "work_dirs/restarted", RESTARTS="1", PROBE_KILL_AT="5")
    # 5 iterations, then on from the checkpoint at 4.
    assert len(np.loadtxt(restarted / "losses_1.txt")) == 5 + 4
    assert_same(last_state(restarted), last_state(two))


# --- mim ---


def test_mim_trains_by_bare_name_again_and_again(cwd):
    pytest.importorskip("mim")
    if "openmim" in {dist.name for dist in metadata.distributions()}:
        pytest.skip("openmim finds no editable install")
    try:
        metadata.version("convnextv2-dense")
    except metadata.PackageNotFoundError:
        pytest.skip("convnextv2-dense is not installed")
    # Inside the checkout, where mim looks for configs by name; git ignores it.
    work_dir = REPO / "work_dirs" / "test-mim"
    shutil.rmtree(work_dir, ignore_errors=True)
    # Not `python -m mim`: it would take the checkout's egg-info for the installed package.
    command = ["mim", "train", "convnextv2-dense"]
    command += ["fcmae_convnextv2-atto_demo-trees.py", "--gpus", "0", "--work-dir", work_dir]
    command += ["--cfg-options", f"train_dataloader.dataset.data_root={cwd / 'shapes/train'}"]
    command += ["train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False"]
    command += ["train_dataloader.batch_size=2", "train_cfg.max_iters=1"]
    try:
        for _ in range(2):
            status, output = run_shell(REPO, *command)
            assert status == 0, output
            assert (work_dir / "iter_1.pth").is_file()
            (work_dir / "iter_1.pth").unlink()
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)
        if not any(work_dir.parent.iterdir()):
            work_dir.parent.rmdir()


def test_a_second_run_in_a_work_dir_is_refused(cwd):
    work_dir = cwd / "work_dirs/in use"
    lock = occupy(work_dir)
    try:
        status, output = run(cwd, "train.py", config("upernet"), "--work-dir", work_dir)
        assert status == 1, output
        assert f"in use is in use by another run (process {os.getpid()} on " in output
        assert not list(work_dir.glob("*.pth"))
    finally:
        os.close(lock)
