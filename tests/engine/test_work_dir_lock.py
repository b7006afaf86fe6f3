"""Work dirs: one run at a time, nothing half written left behind, a full disk named."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from convnextv2.engine.work_dir_lock import occupy
from convnextv2.files import AtomicLocalBackend, remove_abandoned

HOLD = """
import os, sys, time
from convnextv2.engine.work_dir_lock import occupy
occupy(sys.argv[1])
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""


def test_a_second_run_is_refused_and_after_a_kill_the_next_begins_at_once(tmp_path):
    """The forked child stands for a data-loader worker, which outlives its rank by seconds."""
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    )
    child = int(first.stdout.readline())
    try:
        owner = f"process {first.pid} on {socket.gethostname()} since "
        with pytest.raises(SystemExit, match=owner):
            occupy(tmp_path)
        first.kill()
        first.wait()
        os.kill(child, 0)
        os.close(occupy(tmp_path))
    finally:
        first.kill()
        os.kill(child, signal.SIGKILL)


def test_what_dead_processes_left_half_written_is_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    names = {
        f".iter_1.pth.{host}.{dead.pid}.partial": False,
        f".iter_2.pth.{host}.{os.getpid()}.partial": True,
        f".iter_3.pth.elsewhere.{dead.pid}.partial": True,
        ".iter_4.pth.elsewhere.1.partial": False,  # days ago
        "iter_5.pth": True,
    }
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    os.utime(tmp_path / ".iter_4.pth.elsewhere.1.partial", (time.time() - 1e6,) * 2)
    remove_abandoned(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {n for n, stays in names.items() if stays}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_bytes_that_were_missing(tmp_path, monkeypatch, code):
    """The disk takes 60 of 100 bytes."""

    class Disk:
        room = 60

        def __init__(self, path, *args, **kwargs):
            self.file = os.open(path, os.O_WRONLY | os.O_CREAT)

        def __enter__(self):
            return self

        def __exit__(self, *args):
            os.close(self.file)

        def write(self, view):
            if not self.room:
                raise OSError(code, os.strerror(code))
            self.room -= (written := os.write(self.file, view[: self.room]))
            return written

    path = tmp_path / "iter_2.pth"
    AtomicLocalBackend().put(b"old", path)
    monkeypatch.setattr("convnextv2.files.open", Disk, raising=False)
    with pytest.raises(OSError, match="40 of 100 bytes did not fit") as caught:
        AtomicLocalBackend().put(bytes(100), path)
    assert (caught.value.errno, caught.value.filename) == (code, str(path))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
