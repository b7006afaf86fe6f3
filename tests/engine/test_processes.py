"""Ranks end with their launcher; signals reach a rank and not its workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convnextv2.engine.signals import SignalWatch, command_to_go_on

RANK = """
import sys, time
from convnextv2.engine.processes import end_with_launcher
end_with_launcher(sys.argv[1])
print("ready", flush=True)
time.sleep(60)
"""
LAUNCHER = """
import subprocess, sys, time
rank = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
print(rank.pid, flush=True)
time.sleep(60)
"""
WATCH = """
import os, sys, time
from convnextv2.engine.signals import SignalWatch
watch = SignalWatch()
watch.start()
worker = os.fork()
print("ready", worker, flush=True)
while True:
    time.sleep(0.05)
"""


def is_running(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("launcher", "survives"), [("pytorch", False), ("none", True)])
def test_a_rank_ends_with_its_launcher_and_a_shells_process_does_not(launcher, survives):
    parent = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, RANK, launcher], stdout=subprocess.PIPE, text=True
    )
    rank = int(parent.stdout.readline())
    assert parent.stdout.readline() == "ready\n"
    parent.kill()
    parent.wait()
    if survives:
        time.sleep(0.5)
        assert is_running(rank)
        os.kill(rank, signal.SIGKILL)
    else:
        assert wait_until(lambda: not is_running(rank))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_second_signal_ends_at_once_and_workers_hear_none():
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WATCH],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    workers = {int(process.stdout.readline().split()[1]) for _ in range(2)} - {0}
    (worker,) = workers
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(worker, number)
        os.kill(process.pid, signal.SIGUSR1)
        assert "SIGUSR1: the run stops after this step" in process.stderr.readline()
        time.sleep(0.2)
        assert process.poll() is None
        assert is_running(worker)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        assert is_running(worker)
    finally:
        process.kill()
        os.kill(worker, signal.SIGKILL)


def test_what_handled_signals_before_does_so_again():
    before = signal.getsignal(signal.SIGTERM)
    watch = SignalWatch()
    watch.start()
    assert signal.getsignal(signal.SIGTERM) != before
    watch.stop()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("given", [[], ["--resume"], ["--resume", "iter 2.pth"], ["--resume=x"]])
def test_the_command_to_go_on_is_quoted_and_resumes_once(monkeypatch, given):
    monkeypatch.setattr(sys, "argv", ["tools/train.py", "a b.py", *given, "--amp"])
    assert command_to_go_on().endswith("tools/train.py 'a b.py' --amp --resume")
    monkeypatch.setenv("CONVNEXTV2_COMMAND", r"bash tools/dist_train.sh a\ b.py 2")
    assert command_to_go_on() == "bash tools/dist_train.sh 'a b.py' 2 --resume"
