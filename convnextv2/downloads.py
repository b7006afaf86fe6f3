"""Download files that resume and are checked, and unpack archives that cannot write elsewhere."""

import hashlib
import http.client
import os
import tarfile
import urllib.error
import urllib.request
import zipfile
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress, track

BLOCK = 2**20


def download(address: str, path: Path, checksum: str | None, attempts: int = 5) -> None:
    """Download a file; what an interrupted run got is kept as ``PATH.part`` and gone on from.

    Args:
        address: http or https.
        path: Where to; nothing is done if it exists.
        checksum: ``sha1:HEX`` or ``md5:HEX``, as its publisher or users state it; None: not known.
        attempts: How often a broken connection is begun anew.

    Raises:
        SystemExit: The server does not give the file, or it is another than expected, in which
            case it is removed.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with Progress() as progress:
        task = progress.add_task(path.name, total=None)
        for attempt in range(attempts):
            try:
                _fetch(
                    address,
                    part,
                    lambda done, total: progress.update(task, completed=done, total=total),
                )
                break
            except urllib.error.HTTPError as error:
                raise SystemExit(f"{address}: the server says {error}") from error
            except (OSError, http.client.HTTPException) as error:
                if attempt == attempts - 1:
                    raise SystemExit(
                        f"{address} broke off after {_size(part)} bytes: {error}. "
                        "The same command goes on from there."
                    ) from error
    try:
        check(part, checksum)
    except SystemExit:
        part.unlink()  # or the next run would go on from it
        raise
    os.replace(part, path)


def check(path: Path, checksum: str | None) -> None:
    """Compare a file with its checksum.

    Raises:
        SystemExit: It differs.
    """
    if checksum is None:
        print(f"{path.name}: no checksum is published; those inside the archive will be compared")
        return
    kind, expected = checksum.split(":")
    digest = hashlib.new(kind)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise SystemExit(
            f"{path} has the {kind} {digest.hexdigest()}, expected {expected}: damaged, or another "
            "file; fetch it again"
        )


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar file below a folder; files that are there with their size are kept.

    Raises:
        SystemExit: It is damaged, or holds paths that lead out of the folder.
    """
    with _damage_named(archive):
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as content:
                for member in track(content.infolist(), f"unpacking {archive.name}"):
                    if not _is_there(folder / member.filename, member.file_size):
                        content.extract(member, folder)  # takes ".." and "/" out of names
        else:
            with tarfile.open(archive) as content:
                for member in track(content, f"unpacking {archive.name}", total=None):
                    _extract(content, member, folder)


def unpack_nested(archive: Path, folder: Path) -> None:
    """Unpack each tar file NAME.tar in a tar file into ``FOLDER/NAME``, as `unpack` does.

    Raises:
        SystemExit: It is damaged, or holds paths that lead out of the folder.
    """
    with _damage_named(archive), tarfile.open(archive) as content:
        for member in track(content, f"unpacking {archive.name}", total=None):
            target = folder / Path(member.name).stem
            with tarfile.open(fileobj=content.extractfile(member)) as inner:
                for image in inner:
                    _extract(inner, image, target)


@contextmanager
def _damage_named(archive: Path):
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise SystemExit(
            f"{archive} cannot be unpacked: {error}\nIf damaged, remove it and fetch it again."
        ) from error


def _extract(content: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    if not _is_there(folder / member.name, member.size):
        content.extract(member, folder, filter="data")


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _fetch(address: str, part: Path, report) -> None:
    have = _size(part)
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to be sent
            return
        raise
    with response:
        if response.status != 206:  # the server knows no ranges
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with open(part, "ab" if have else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                have += len(block)
                report(have, total)
    if total is not None and have != total:
        raise ConnectionError(f"{total - have} bytes are missing")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
