"""Files: written completely or not at all, and images listed."""

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".npy", ".png", ".tif", ".tiff", ".webp")


# A file that another host has not ended in this many seconds will never be.
_ABANDONED = 24 * 3600


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
def written_whole(path: str | Path) -> Iterator[Path]:
    """A path to write to beside the target, renamed over it at the end; at an error removed.

    Raises:
        OSError: What the writing raised, with the target's path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.partial")
    try:
        yield partial
        file = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(file)  # some file systems notice only here that they are full
        finally:
            os.close(file)
        os.replace(partial, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


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
    """Paths of all images below a folder, sorted."""
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
        if name.lower().endswith(IMAGE_SUFFIXES)
    )


def read_list(path: str | Path) -> list[str]:
    """The file names in a text or json list, see `UnlabelledImages`, in its order."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the list of images {path.absolute()} does not exist")
    if path.suffix != ".json":
        return [line for raw in path.read_text().splitlines() if (line := raw.strip())]
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: no json: {error}") from error
    if isinstance(content, dict) and "images" in content:
        content = [image["file_name"] for image in content["images"]]
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"{path}: neither a list of paths nor a file in COCO's format")
    return content
