"""Files: written completely or not at all, and images listed."""

import errno
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".npy", ".png", ".tif", ".tiff", ".webp")

# A file that another host has not ended in this many seconds will never be.
_ABANDONED = 24 * 3600
# Of a name in that of its partial file: file systems allow 255, and the host is to follow.
_NAME_BYTES = 120


class AtomicLocalBackend(LocalBackend):
    """Local files that appear under their name only when completely written."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file beside the target, then rename it over the target.

        Raises:
            OSError: As of `written_whole`; on a full disk it also says how many bytes were missing.
        """
        with written_whole(filepath) as partial, open(partial, "wb", buffering=0) as file:
            view = memoryview(obj)
            try:
                while view:
                    view = view[file.write(view) :]
            except OSError as error:
                _name_missing(error, len(obj), len(view))
                raise


@contextmanager
def written_whole(path: str | Path, wait: bool = True) -> Iterator[Path]:
    """A path to write to beside the target, renamed over it at the end; at an error removed.

    Args:
        path: Of the target; folders are made.
        wait: Until the disk has it, as some file systems notice only then that they are full.
            With millions of small files that takes hours.

    Raises:
        OSError: What the writing raised, with the target's path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = name_partial(path)
    try:
        yield partial
        move_whole(partial, path, wait)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def name_partial(path: Path) -> Path:
    """Where this process writes a file that will be renamed; `remove_abandoned` knows the form."""
    name = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES])
    return path.with_name(f".{name}.{socket.gethostname()}.{os.getpid()}.partial")


def move_whole(partial: Path, path: Path, wait: bool = True) -> None:
    """Give a complete file its name; see `written_whole`."""
    if wait:
        file = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    os.replace(partial, path)


def _name_missing(error: OSError, size: int, missing: int) -> None:
    """Say in an error of a full disk how much did not fit."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        error.strerror = f"{error.strerror}: {missing} of {size} bytes did not fit"


def remove_abandoned(folder: str | Path) -> list[Path]:
    """Remove what killed processes of this host, or long ago of others, left half written.

    Args:
        folder: Searched without its sub-folders.

    Returns:
        The paths that were removed.
    """
    removed = []
    for path in Path(folder).glob(".*.partial"):
        owner, _, pid = path.name.removesuffix(".partial").rpartition(".")
        here = owner.endswith(f".{socket.gethostname()}") and pid.isdecimal()
        if (here and not _is_alive(int(pid))) or time.time() - path.stat().st_mtime > _ABANDONED:
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


register_backend("convnextv2_atomic", AtomicLocalBackend)


def find_images(root: str | Path) -> list[str]:
    """Paths of all images below a folder, sorted; links are followed, each file comes once.

    Hidden files and folders are passed over: macOS and others leave such that only look like
    images. What has an image's name and is no file (a dangling link, a pipe), and folders that
    cannot be read, are named in the log.
    """
    found: dict[str, str] = {}  # by the real path
    skipped: list[str] = []
    links: list[os.DirEntry] = []
    seen: set[str] = set()
    folders = [os.fspath(root)]
    while folders:
        folder = folders.pop()
        real = os.path.realpath(folder)
        for entry in _scan(folder, skipped) if real not in seen else ():
            if entry.is_symlink():
                links.append(entry)
            elif entry.is_dir():
                folders.append(entry.path)
            elif _is_image_file(entry, skipped):
                found[os.path.join(real, entry.name)] = entry.path
        seen.add(real)
        while links and not folders:  # what is in the folder itself goes by its own name
            link = links.pop()
            if _leads_to_folder(link):
                folders.append(link.path)
            elif _is_image_file(link, skipped):
                found.setdefault(os.path.realpath(link.path), link.path)
    if skipped:
        names = "".join(f"\n  {line}" for line in sorted(skipped))
        print_log(f"{len(skipped)} skipped:{names}", "current", logging.WARNING)
    return sorted(found.values())


def is_hidden(path: str) -> bool:
    """Whether a file, or a folder on the relative path to it, begins with a dot."""
    parts = path.split("/")[-1:] if os.path.isabs(path) else path.split("/")
    return any(part.startswith(".") and part not in (".", "..") for part in parts)


def printable(path: str | Path) -> str:
    """A path for messages: bytes of its name that are no UTF-8 are written as ``\\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_list(path: str | Path) -> list[str]:
    """The file names in a text or json list, see `UnlabelledImages`, in its order.

    Names need not be UTF-8. Hidden files are left out, as `find_images` does it.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is none of a text, a json list and COCO's format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the list of images {path.absolute()} does not exist")
    text = path.read_text("utf-8-sig", "surrogateescape")
    if path.suffix != ".json":
        names = [line for raw in text.split("\n") if (line := raw.strip())]
        return [name for name in names if not is_hidden(name)]
    try:
        content = json.loads(text)
        if isinstance(content, dict) and "images" in content:
            content = [image["file_name"] for image in content["images"]]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: no json: {error}") from error
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}: no file in COCO's format: {error!r}") from error
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"{path}: neither a list of paths nor a file in COCO's format")
    return [name for name in content if not is_hidden(name)]


def _scan(folder: str, skipped: list[str]) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        skipped.append(f"{printable(folder)}: {error.strerror}")
        return []


def _leads_to_folder(link: os.DirEntry) -> bool:
    try:
        return link.is_dir()
    except OSError:  # links in a circle
        return False


def _is_image_file(entry: os.DirEntry, skipped: list[str]) -> bool:
    if not entry.name.lower().endswith(IMAGE_SUFFIXES):
        return False
    try:
        good, reason = entry.is_file(), "no regular file, or a link to none"
    except OSError as error:
        good, reason = False, str(error.strerror)
    if not good:
        skipped.append(f"{printable(entry.path)}: {reason}")
    return good
