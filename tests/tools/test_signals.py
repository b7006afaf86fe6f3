"""Training that a signal stops: where it goes on, with what command, what the shell is told."""

import re
import shlex
import signal

import pytest
from processes import REPO, assert_same, config, last_state, run, run_shell

pytestmark = pytest.mark.slow


def stopped(cwd, name, work_dir, where, *options):
    """Train until the signal; returns (status, output)."""
    args = [config(name), "--work-dir", work_dir, "--cfg-options", "log_level=INFO", *options]
    return run(cwd, "train.py", *args, PROBE_SIGNAL=where)


def go_on(cwd, output):
    """Run the command that the stopped run has named; returns its output."""
    named = shlex.split(re.search(r"To go on:\n(.*)", output)[1])
    assert named[-1] == "--resume"
    script = next(i for i, word in enumerate(named) if word.endswith("train.py"))
    status, output = run(cwd, "train.py", *named[script + 1 :])
    assert status == 0, output
    return output


@pytest.mark.parametrize(
    ("name", "where", "workers"),
    [
        ("fcmae-by-iter", "TERM@4", 0),
        ("fcmae-by-epoch", "INT@3", 0),  # in the middle of the second epoch of three batches
        ("mask-rcnn", "USR1@4", 2),
    ],
)
def test_stopped_by_a_signal_and_resumed_ends_with_the_same_weights(
    cwd, finished, name, where, workers
):
    """A run stopped in mid-epoch trains each image of the epoch once, as if nothing had been."""
    work_dir = cwd / f"work_dirs/signal {name}"  # a space, for the quotes
    workers = f"train_dataloader.num_workers={workers}"
    status, output = stopped(cwd, name, work_dir, where, workers)
    sent, at = where.split("@")
    assert status == 128 + getattr(signal, f"SIG{sent}"), output
    step = int(at) + 1
    assert f"everything is in {work_dir}/iter_{step}.pth" in output
    assert "Traceback" not in output
    assert len((work_dir / "losses_0.txt").read_text().split()) == step
    assert (work_dir / "report/curves.png").is_file()

    go_on(cwd, output)
    losses = [(d / "losses_0.txt").read_text().split() for d in (work_dir, finished(name))]
    assert losses[0] == losses[1]
    assert_same(last_state(work_dir), last_state(finished(name)))
    # The next regular checkpoint takes its place.
    assert not (work_dir / f"iter_{step}.pth").exists()


def test_a_validation_is_stopped_too_and_done_anew(cwd, finished):
    work_dir = cwd / "work_dirs/signal-val"
    status, output = stopped(cwd, "mask-rcnn", work_dir, "TERM@val")
    assert status == 143, output
    assert "coco/segm_mAP" not in output
    output = go_on(cwd, output)
    assert "the validation that was cut short is done anew" in output
    assert output.count("coco/segm_mAP:") == 2
    assert_same(last_state(work_dir), last_state(finished("mask-rcnn")))


def test_no_gradients_are_lost_where_several_iterations_make_a_step(cwd):
    options = ["optim_wrapper.accumulative_counts=4", "train_cfg.max_iters=5"]
    status, output = stopped(cwd, "fcmae-by-iter", "work_dirs/signal-gather", "TERM@1", *options)
    assert status == 143, output
    assert "iter_4.pth" in output


def test_all_processes_stop_at_the_same_step_and_the_launcher_tells(cwd):
    """The signal reaches one process only, in its fourth iteration."""
    command = ["bash", REPO / "tools/dist_train.sh", config("fcmae-by-iter"), 2]
    command += ["--work-dir", "work_dirs/signal-two", "--cfg-options"]
    command += ["train_dataloader.batch_size=2", "train_dataloader.num_workers=1"]
    status, output = run_shell(cwd, *command, PROBE_SIGNAL="USR1@3")
    assert status != 0, output
    assert len(re.findall("everything is in .*iter_4.pth", output)) == 1
    for rank in (0, 1):
        losses = (cwd / f"work_dirs/signal-two/losses_{rank}.txt").read_text().split()
        assert len(losses) == 4
    named = re.search(r"To go on:\n(.*)", output)[1]
    assert "dist_train.sh" in named
    assert named.endswith("--resume")


def test_a_process_that_hangs_ends_the_job(cwd):
    command = ["bash", REPO / "tools/dist_train.sh", config("fcmae-by-iter"), 2]
    command += ["--work-dir", "work_dirs/hangs", "--cfg-options", "env_cfg.dist_cfg.timeout=5"]
    status, output = run_shell(cwd, *command, PROBE_SLEEP_AT="3", timeout=120)
    assert status == 1, output
    assert re.search(r"[Tt]imed out", output)
