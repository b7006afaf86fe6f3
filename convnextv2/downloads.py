"""Download files: whole and the right ones, or not at all."""

import fcntl
import hashlib
import os
import re
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress

from convnextv2.files import move_whole, written_whole
from convnextv2.transfers import DownloadError, Transfer

BLOCK = 2**20
# Environment variable that names a folder of weight files, for machines without a network.
WEIGHTS_FOLDER = "CONVNEXTV2_WEIGHTS"


def download(address: str, path: Path, checksum: str | None, attempts: int = 5) -> None:
    """Download a file; what an interrupted run got is kept as ``PATH.part`` and gone on from.

    Args:
        address: http or https.
        path: Where to; nothing is done if it exists.
        checksum: ``sha1:HEX`` or ``md5:HEX``, as its publisher or users state it; None: not known.
        attempts: How often a broken connection is begun anew.

    Raises:
        DownloadError: The server does not give the file.
        ValueError: It is another than expected, and was removed.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    transfer = Transfer(address, part, attempts)
    try:
        _run(transfer, path.name)
    except DownloadError as error:
        if not part.exists():
            raise
        raise DownloadError(f"{error}; the same command goes on from there") from error
    if checksum is None:
        print(f"{path.name}: no checksum is published; those inside the archive will be compared")
    try:
        for digest in [*transfer.digests, *([checksum] if checksum else [])]:
            check(part, digest)
    except ValueError:
        part.unlink()  # or the next run would go on from it
        raise
    move_whole(part, path)


def check(path: Path, checksum: str) -> None:
    """Compare a file with its checksum, ``KIND:HEX``; the beginning of the latter is enough.

    Raises:
        ValueError: It differs.
    """
    kind, expected = checksum.split(":")
    digest = hashlib.new(kind)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if not digest.hexdigest().startswith(expected):
        raise ValueError(
            f"{path} has the {kind} {digest.hexdigest()}, expected {expected}: damaged, or another "
            "file; fetch it again"
        )


def fetch_weights(address: str, option: str = "the path in place of the address") -> Path:
    """A local copy of a weight file, downloaded unless it is there; local rank 0 does it.

    A file of its name in the folder that the environment variable ``CONVNEXTV2_WEIGHTS`` names
    comes before all others, and no server is asked. What is downloaded has been compared with
    what its server says of it, and has the form of a weight file, to its end; nothing else takes
    its name or is kept. A hash in the name (``name-0123abcd.pth``, as torch's hub has them) is
    compared of both.

    Args:
        address: http or https; what follows a ``?`` belongs to it, but not to the file's name.
        option: How the user would name a copy of their own, for the error.

    Returns:
        Its path in that folder, or below torch's hub folder, which differs for different addresses.

    Raises:
        DownloadError: The server does not give the file; in every process.
        ValueError: It is no weight file, or not the right one; in every process.
    """
    copy = _find_copy(address)
    if copy is not None:
        once_a_machine(lambda: _check_copy(address, copy))
        return copy
    path = weights_path(address)
    once_a_machine(lambda: _fetch_weights(address, path, option))
    return path


def weights_path(address: str) -> Path:
    """Where `fetch_weights` keeps the file of an address."""
    import torch

    digest = hashlib.sha256(address.encode()).hexdigest()[:12]
    return Path(torch.hub.get_dir(), "checkpoints", f"{digest}-{_name_file(address)}")


def _name_file(address: str) -> str:
    """The name that a file of an address has, of letters that every file system takes."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(address).path.rsplit("/", 1)[-1])
    return re.sub(r"[^\w.+=-]", "_", name, flags=re.ASCII)[-100:]  # the suffix is its end


def _find_copy(address: str) -> Path | None:
    """The file of an address in the user's folder of weights, if there is one."""
    told = os.environ.get(WEIGHTS_FOLDER)
    if not told:
        return None
    folder = Path(told).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{WEIGHTS_FOLDER}={told}: there is no such folder")
    path = folder / _name_file(address)
    return path if path.is_file() else None


def _check_copy(address: str, path: Path) -> None:
    from mmengine.logging import print_log

    for digest in _digest_in_name(path.name):
        check(path, digest)
    print_log(f"{address} is taken from {path.absolute()}", logger="current")


def _tell_by_hand(address: str, path: Path, option: str) -> str:
    """What to do without a network, in three lines."""
    return (
        f"Which file is wanted: {_name_file(address)}, from {address}\n"
        f"Where to put it: into the folder of {WEIGHTS_FOLDER}=FOLDER, or as {path}\n"
        f"Which option names a copy elsewhere: {option}"
    )


def once_a_machine(action: Callable[[], object]) -> None:
    """Let local rank 0 do something that the others wait for.

    Without a process group every process does it: guard it by a lock.

    Raises:
        Exception: That of the action; `DownloadError` with its message in the other processes.
    """
    from mmengine.dist import all_gather_object, get_local_rank, is_distributed

    failure = None
    if get_local_rank() == 0:
        try:
            action()
        except Exception as error:
            failure = error
    if is_distributed():
        # Raised in one process alone, it would leave the others waiting.
        messages = all_gather_object(str(failure) if failure else "")
        if failure is None and any(messages):
            failure = DownloadError(next(filter(None, messages)))
    if failure:
        raise failure


def _fetch_weights(address: str, path: Path, option: str) -> None:
    if path.is_file():
        return
    from mmengine.logging import print_log

    from convnextv2.weight_files import check_form

    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(f".{path.name}.lock")):
        if path.is_file():  # another process has done it
            return
        print_log(f"downloading {address} to {path}", logger="current")
        with written_whole(path) as part:
            transfer = Transfer(address, part)
            try:
                _run(transfer, path.name)
                for digest in [*transfer.digests, *_digest_in_name(path.name)]:
                    check(part, digest)
                check_form(part, transfer.measured)
            except DownloadError as error:
                raise DownloadError(f"{error}\n{_tell_by_hand(address, path, option)}") from error
            except ValueError as error:
                reason = str(error).removeprefix(f"{part} ")  # of `check`
                raise ValueError(f"{address} was refused and not kept: it {reason}") from error


def _digest_in_name(name: str) -> list[str]:
    """The beginning of the SHA-256, as torch's hub and MM's model zoos append it to names."""
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    # Eight digits alone are rather a date.
    return [f"sha256:{match[1]}"] if match and not match[1].isdecimal() else []


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; where a file system has no locks, all at once."""
    with open(path, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield
            return
        for left in path.parent.glob(f"{path.stem}.*.partial"):  # by a killed process
            left.unlink(missing_ok=True)
        yield


def _run(transfer: Transfer, name: str) -> None:
    with Progress() as progress:
        task = progress.add_task(name, total=None)
        transfer.run(lambda done, total: progress.update(task, completed=done, total=total))
