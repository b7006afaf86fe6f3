"""Several processes by torchrun and Slurm: ports, nodes, ranks that die, one rule for the rate."""

import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import REPO, assert_same, config, free_port, last_state, run, run_shell

pytestmark = pytest.mark.slow

FAKE_SLURM = REPO / "tests/tools/fake_slurm.py"
WAITS = 300  # half of what processes wait for one that is gone (dist_cfg.timeout)
BATCH_OF_TWO = ["--cfg-options", "train_dataloader.batch_size=2"]


def train_command(script, work_dir, *args, name="fcmae-by-iter"):
    """A command that trains in two processes, batch 4 in all."""
    launch = ["PARTITION", "JOB", config(name)] if "slurm" in script else [config(name), 2]
    command = ["bash", REPO / "tools" / script, *launch, "--work-dir", work_dir, *args]
    return [*command, *BATCH_OF_TWO]


@pytest.fixture(scope="module")
def two(cwd):
    """The work dir of two processes that nobody disturbed."""
    status, output = run_shell(cwd, *train_command("dist_train.sh", "work_dirs/undisturbed"))
    assert status == 0, output
    return cwd / "work_dirs/undisturbed"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Variables with which the scripts find a cluster of one node, and ask for two processes."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("srun", "scontrol"):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE_SLURM} {name} "$@"\n')
        (folder / name).chmod(0o755)
    path = f"{folder}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "GPUS": "2", "GPUS_PER_NODE": "0", "SRUN_ARGS": "--time=1:00 --exclusive"}


# --- a rank that dies -------------------------------------------------------------------------


def test_job_ends_when_a_rank_is_killed_and_resumes_with_nothing_lost(cwd, two):
    begin = time.monotonic()
    command = train_command("dist_train.sh", "work_dirs/rank-killed")
    status, output = run_shell(cwd, *command, PROBE_KILL_AT="5")
    assert status == 1, output
    assert time.monotonic() - begin < WAITS
    # Which process, and by what.
    assert re.search(r"rank\s*: 1", output)
    assert "Signal 9 (SIGKILL) received" in output
    work_dir = cwd / "work_dirs/rank-killed"
    assert last_state(work_dir)[0] == "iter_4.pth"

    status, output = run_shell(cwd, *train_command("dist_train.sh", work_dir, "--resume"))
    assert status == 0, output
    assert_same(last_state(work_dir), last_state(two))


def on_two_nodes(cwd, work_dir, **environment):
    """[(status, output) of a node]: one process on each of two nodes, which are this machine."""
    environment |= {"NNODES": "2", "PORT": str(free_port())}
    command = train_command("dist_train.sh", work_dir)
    command[3] = 1
    with ThreadPoolExecutor() as pool:
        return list(
            pool.map(lambda rank: run_shell(cwd, *command, **environment, NODE_RANK=rank), "01")
        )


def test_both_nodes_end_when_a_rank_of_one_is_killed(cwd):
    begin = time.monotonic()
    (status, output), killed = on_two_nodes(cwd, "work_dirs/nodes", PROBE_KILL_AT="5")
    assert time.monotonic() - begin < WAITS
    assert (status, killed[0]) == (1, 1), output + killed[1]
    assert "Signal 9 (SIGKILL) received" in killed[1]
    assert re.search(r"error: .*Connection (reset|closed) by peer", output)
    assert last_state(cwd / "work_dirs/nodes")[0] == "iter_4.pth"


def test_both_nodes_restart_together_with_nothing_lost(cwd, two):
    work_dir = "work_dirs/nodes-restarted"
    nodes = on_two_nodes(cwd, work_dir, PROBE_KILL_AT="5", RESTARTS="1")
    assert [status for status, _ in nodes] == [0, 0], nodes
    assert_same(last_state(cwd / work_dir), last_state(two))


def test_jobs_on_one_machine_do_not_meet(cwd, two):
    commands = [train_command("dist_train.sh", f"work_dirs/side-by-side-{i}") for i in (1, 2)]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda command: run_shell(cwd, *command), commands))
    assert [status for status, _ in results] == [0, 0], results
    for i in (1, 2):
        assert_same(last_state(cwd / f"work_dirs/side-by-side-{i}"), last_state(two))


# --- Slurm ------------------------------------------------------------------------------------


def test_slurm_trains_and_tests_as_torchrun_does(cwd, two, slurm):
    work_dir = "work_dirs/slurm"
    status, output = run_shell(cwd, *train_command("slurm_train.sh", work_dir), **slurm)
    assert status == 0, output
    assert_same(last_state(cwd / work_dir), last_state(two))
    options = re.search("srun (.*)", output)[1]
    for option in ("'--partition': 'PARTITION'", "'--job-name': 'JOB'", "'--ntasks': '2'"):
        assert option in options
    for option in ("'--kill-on-bad-exit': '1'", "'--time': '1:00'", "'--exclusive': ''"):
        assert option in options
    assert "--gres" not in options

    checkpoint = cwd / work_dir / "iter_8.pth"
    args = ["PARTITION", "JOB", config("fcmae-by-iter"), checkpoint, "--work-dir", "work_dirs/loss"]
    status, output = run_shell(cwd, "bash", REPO / "tools/slurm_test.sh", *args, **slurm)
    assert status == 0, output
    under_slurm = re.search(r"fcmae/loss: (\S+)", output)[1]
    status, output = run(cwd, "test.py", config("fcmae-by-iter"), checkpoint, *args[-2:])
    assert status == 0, output
    assert under_slurm == re.search(r"fcmae/loss: (\S+)", output)[1]


def test_slurm_scripts_ask_for_gpus_and_take_mmdets_work_dir(cwd, slurm):
    slurm = slurm | {"GPUS": "16", "GPUS_PER_NODE": "", "CPUS_PER_TASK": "7", "FAKE_TASKS": "1"}
    command = ["bash", REPO / "tools/slurm_train.sh", "P", "J", "no.py", "work_dirs/elsewhere"]
    status, output = run_shell(cwd, *command, "--amp", **slurm)
    assert status == 1
    options = re.search("srun (.*)", output)[1]
    for option in ("'--gres': 'gpu:8'", "'--ntasks-per-node': '8'", "'--cpus-per-task': '7'"):
        assert option in options


def test_processes_that_nothing_started_are_told_what_would(cwd):
    for launcher, script in (("pytorch", "dist_train.sh"), ("slurm", "slurm_train.sh")):
        args = config("fcmae-by-iter"), "--work-dir", "work_dirs/alone", "--launcher", launcher
        status, output = run(cwd, "train.py", *args)
        assert status == 1, output
        assert f"start the processes with tools/{script}" in output


# --- batch and rate ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "processes", "batch"), [("mask-rcnn", 1, 4), ("upernet", 2, 2)])
def test_rate_follows_the_batch_of_all_processes(cwd, name, processes, batch):
    """The base rate, 1e-3, is for 2 images; here are 4, of one process or of two."""
    work_dir = f"work_dirs/rate-{name}"
    options = ["param_scheduler=[]", f"train_dataloader.batch_size={batch}"]
    options += ["train_cfg.max_epochs=1" if name == "mask-rcnn" else "train_cfg.max_iters=1"]
    command = ["bash", REPO / "tools/dist_train.sh", config(name), processes]
    command += ["--work-dir", work_dir, "--cfg-options", *options]
    status, output = run_shell(cwd, *command)
    assert status == 0, output
    assert "LR is set based on batch size of 2 and the current batch size is 4" in output
    assert "learning rate 0.001 -> 0.002 for this batch" in output
    assert "base_lr: 2.0000e-03" in output
    _, state = last_state(cwd / work_dir)
    rates = {group["lr"] for group in state["optimizer"]["param_groups"]}
    assert max(rates) == pytest.approx(2e-3)


def test_resuming_with_another_batch_warns_that_the_rate_stays(cwd, finished):
    checkpoint = finished("upernet") / "iter_4.pth"
    args = [config("upernet"), "--work-dir", "work_dirs/other-batch", "--resume", checkpoint]
    for batch in (2, 4):
        options = [f"train_dataloader.batch_size={batch}", "train_cfg.max_iters=5"]
        status, output = run(cwd, "train.py", *args, "--cfg-options", *options)
        assert status == 0, output
        warning = "with the learning rate 0.001, which it keeps; the config and this number of"
        assert (warning in output) == (batch == 4)
