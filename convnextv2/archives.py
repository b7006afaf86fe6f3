"""Unpack archives member by member to checked names; nothing is written elsewhere.

Python's own filter of tar members is not relied on: some of its versions let crafted files out.
"""

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from rich.progress import track

BLOCK = 2**20
MOST_MEMBERS = 2_000_000
LONGEST_READ = 4 * BLOCK  # tarfile reads extended headers whole, however long they claim to be
RATIO = 200  # unpacked to packed; images have about 1, annotations in json about 10
SMALL = 2**30  # bytes that any archive may unpack to
PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(struct.error, EOFError, ValueError, LookupError, OverflowError, RuntimeError),
)


class ArchiveError(ValueError):
    """An archive is damaged, or holds what is not unpacked."""


def unpack(archive: Path, folder: Path, max_bytes: int | None = None) -> None:
    """Unpack a zip or tar file below a folder; files that are there with their size are kept.

    All names are checked before anything is written. Each file appears under its name when it is
    complete.

    Args:
        archive: Zip, or tar as it is or packed by gzip, bzip2 or xz.
        folder: Made if it is not there.
        max_bytes: Most bytes to unpack; default: `RATIO` times the archive's, and 1 GiB at least.

    Raises:
        ArchiveError: It is damaged, encrypted, packed in an unknown way or unpacks to more than
            `max_bytes`, or a member is a link, a device or leads out of the folder, or two have
            one name.
        OSError: A file cannot be read or written.
    """
    with _named(archive), open(archive, "rb") as file:
        names = _Names(_budget(archive, max_bytes))
        description = f"unpacking {archive.name}"
        if archive.suffix == ".zip" or _starts_with(file, b"PK"):
            _unpack_zip(file, names, folder, description)
            return
        with _plain(file) as plain:
            _check_tar(plain, names)
            _unpack_tar(plain, folder, description)


def unpack_nested(archive: Path, folder: Path, max_bytes: int | None = None) -> None:
    """Unpack each tar file NAME.tar in a tar file into ``FOLDER/NAME``, as `unpack` does.

    Raises:
        ArchiveError, OSError: As of `unpack`.
    """
    with _named(archive), open(archive, "rb") as file:
        names = _Names(_budget(archive, max_bytes))
        for member in read_tar(file):
            _check_tar_member(names, member)
            names.add(PurePosixPath(member.name).stem, 0, is_folder=False)
            if not member.name.endswith(".tar"):
                raise ArchiveError(f"{member.name!r} in it is no tar file")
        file.seek(0)
        with _open_tar(file) as content:
            for member in track(content, f"unpacking {archive.name}", total=None):
                names.forget()
                inner = _open_member(content, member)
                _check_tar(inner, names)
                target = folder.joinpath(*_parts(PurePosixPath(member.name).stem))
                _unpack_tar(inner, target, None)


def read_tar(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The members of a tar file without compression, to its end.

    Raises:
        tarfile.TarError: It is damaged; tarfile itself takes a broken header for the end.
    """
    with _open_tar(file) as content:
        yield from content
        file.seek(content.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no end of the archive at byte {content.offset}")


def read_member(archive: Path, name: str, max_bytes: int = 2**28) -> bytes:
    """One file of a tar file that may be packed.

    Raises:
        ArchiveError: It is damaged, or does not hold that file.
    """
    with (
        _named(archive),
        open(archive, "rb") as file,
        _plain(file) as plain,
        _open_tar(plain) as content,
    ):
        member = content.getmember(name)
        if not member.isreg() or not 0 <= member.size <= max_bytes:
            raise ArchiveError(f"{name} in it is no file of at most {max_bytes} bytes")
        source = _open_member(content, member)
        return b"".join(iter(lambda: source.read(BLOCK), b""))


class _Names:
    """The names of an archive's members, and the bytes that they may have all together."""

    def __init__(self, budget: int) -> None:
        self.budget = self._limit = budget
        self._files: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()
        self._count = 0

    def forget(self) -> None:
        """Begin with another folder, within the same bytes."""
        self._files.clear()
        self._folders.clear()

    def add(self, name: str, size: int, is_folder: bool) -> None:
        """Take a member's name and size, or refuse it."""
        self._count += 1
        self.budget -= size
        if self._count > MOST_MEMBERS:
            raise ArchiveError(f"it has more than {MOST_MEMBERS} members")
        if size < 0:
            raise ArchiveError(f"{name!r} in it has {size} bytes")
        if self.budget < 0:
            raise ArchiveError(
                f"it unpacks to more than {self._limit} bytes: if it is no decompression bomb, "
                "set max_bytes"
            )
        parts = _parts(name)
        if not parts and not is_folder:
            raise ArchiveError(f"{name!r} in it is no name")
        if parts in self._files or (parts in self._folders and not is_folder):
            raise ArchiveError(f"two members of it have the name {name!r}")
        above = {parts[:i] for i in range(len(parts))}
        if clash := above & self._files:
            raise ArchiveError(f"{'/'.join(clash.pop())!r} in it is a file and a folder")
        self._folders |= above
        (self._folders if is_folder else self._files).add(parts)


def _parts(name: str) -> tuple[str, ...]:
    """A member's name as parts below a folder, or an error if it leads anywhere else."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    odd = re.search(r"[\\\x00-\x1f]", name) or re.match("[A-Za-z]:", name)
    if odd or name.startswith("/") or ".." in parts:
        raise ArchiveError(f"the name {name!r} in it could lead out of the folder")
    return parts


def _check_zip_member(names: _Names, member: zipfile.ZipInfo) -> bool:
    """Whether it is a file and no folder."""
    name = member.orig_filename
    names.add(name, member.file_size, member.is_dir())
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"{name!r} in it is a link or a device, which are not unpacked")
    if member.flag_bits & 0x41:
        raise ArchiveError(f"{name!r} in it is encrypted: unpack it with its password by hand")
    if member.compress_type not in KNOWN:
        raise ArchiveError(
            f"{name!r} in it is packed by the method {member.compress_type}, known are "
            "0 (stored), 8 (deflate), 12 (bzip2) and 14 (lzma)"
        )
    return not member.is_dir()


def _check_tar_member(names: _Names, member: tarfile.TarInfo) -> None:
    if not member.isreg() and not member.isdir():
        raise ArchiveError(f"{member.name!r} in it is a link or a device, which are not unpacked")
    names.add(member.name, member.size, member.isdir())


def _unpack_zip(file: IO[bytes], names: _Names, folder: Path, description: str) -> None:
    """Check all members of a zip file, and write its files."""
    with zipfile.ZipFile(file) as content:
        members = [m for m in content.infolist() if _check_zip_member(names, m)]
        for member in track(members, description):
            path = folder.joinpath(*_parts(member.filename))
            if _is_there(path, member.file_size):
                continue
            with content.open(member) as source:
                _write(source, path, member.file_size)


def _check_tar(file: IO[bytes], names: _Names) -> None:
    """Check all members of a tar file, and go back to its start."""
    for member in read_tar(file):
        _check_tar_member(names, member)
    file.seek(0)


def _unpack_tar(file: IO[bytes], folder: Path, description: str | None) -> None:
    """Write the files of a tar file whose members were checked."""
    with _open_tar(file) as content:
        for member in track(content, description, total=None) if description else content:
            path = folder.joinpath(*_parts(member.name))
            if member.isreg() and not _is_there(path, member.size):
                _write(_open_member(content, member), path, member.size)


def _open_tar(file: IO[bytes]) -> tarfile.TarFile:
    # A stream of ours has what tarfile uses to read, and not what it would use to write.
    return tarfile.open(fileobj=_Stream(file), mode="r:")  # type: ignore[call-overload]


def _open_member(content: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    source = content.extractfile(member)
    if source is None:
        raise ArchiveError(f"{member.name!r} in it is a folder, expected a file")
    return source


def _write(source: IO[bytes], path: Path, size: int) -> None:
    """Copy exactly `size` bytes into a file, which takes its name when it has them all."""
    from convnextv2.files import written_whole  # not at the top: mmengine takes a second

    # Without waiting for the disk: archives have millions of files.
    with written_whole(path, wait=False) as partial, open(partial, "wb") as file:
        left = size
        while block := source.read(BLOCK):
            left -= len(block)
            if left < 0:
                break
            file.write(block)
        if left:
            raise EOFError(f"{path.name!r} in it has not the {size} bytes that it should have")


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _budget(archive: Path, max_bytes: int | None) -> int:
    return max_bytes if max_bytes is not None else max(SMALL, RATIO * archive.stat().st_size)


def _plain(file: IO[bytes]) -> IO[bytes]:
    """What is in a packed file, or the file itself."""
    for start, unpacked in PACKED.items():
        if _starts_with(file, start):
            return unpacked(file)
    return file


def _starts_with(file: IO[bytes], start: bytes) -> bool:
    found = file.read(len(start))
    file.seek(0)
    return found == start


@contextmanager
def _named(archive: Path) -> Iterator[None]:
    """Put the archive's name before what is wrong with it; errors of the disk stay as they are."""
    try:
        yield
    except ArchiveError as error:
        raise ArchiveError(f"{archive} cannot be unpacked: {error}") from error
    except (*DAMAGE, OSError) as error:
        damage = isinstance(error, DAMAGE) or error.errno is None  # bz2's have no number
        if not damage:
            raise
        reason = str(error) or type(error).__name__
        raise ArchiveError(
            f"{archive} cannot be unpacked: {reason}; if damaged, remove it and fetch it again"
        ) from error


class _Stream:
    """A file as tarfile reads it, which refuses to read a header of any length into memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)
