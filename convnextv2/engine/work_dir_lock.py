"""One run at a time in a work dir, which begins without what killed runs left half written."""

import os
import socket
import sys
import time
from pathlib import Path

from mmengine.logging import print_log

from convnextv2.files import remove_abandoned

LOCK = ".lock"


def occupy(work_dir: str | Path) -> int | None:
    """Take a work dir for the life of this process.

    The lock is the system's: it ends with the process, however that ends, and the file that stays
    behind means nothing. It is not inherited by data-loader workers, which can outlive a killed
    process by seconds. On NFS it holds between hosts where the server's lock service runs.

    Returns:
        The descriptor that holds the lock, None where the system has no such locks. It is never
        closed: closing any descriptor of the file would give the lock away.

    Raises:
        SystemExit: Another run is at work there.
    """
    folder = Path(work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(folder / LOCK)
    for path in remove_abandoned(folder):
        print_log(f"removed {path}, which a killed run left half written", logger="current")
    return descriptor


def _lock(path: Path) -> int | None:
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # Not flock: its locks pass on to forked workers.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        owner = os.read(descriptor, 1000).decode(errors="replace").strip()
        raise SystemExit(
            f"{path.parent} is in use by another run ({owner or 'unknown'}): "
            "end that one first, or choose another work dir by --work-dir"
        ) from None
    except OSError as error:
        print_log(f"{path}: no lock here ({error}): start no second run", logger="current")
        return None
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    os.ftruncate(descriptor, 0)
    owner = f"process {os.getpid()} on {socket.gethostname()} since {since}\n"
    os.write(descriptor, owner.encode())
    return descriptor
