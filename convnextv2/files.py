"""Files: written completely or not at all, and images listed."""

import json
import logging
import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".npy", ".png", ".tif", ".tiff", ".webp")


class AtomicLocalBackend(LocalBackend):
    """Local files that appear under their name only when completely written."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file beside the target, then rename it over the target."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with open(partial, "wb") as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


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
        if real not in seen:
            seen.add(real)
            for entry in _scan(folder, skipped):
                if entry.is_symlink():
                    links.append(entry)
                elif entry.is_dir():
                    folders.append(entry.path)
                elif _is_image_file(entry, skipped):
                    found[os.path.join(real, entry.name)] = entry.path
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
        good, reason = False, error.strerror
    if not good:
        skipped.append(f"{printable(entry.path)}: {reason}")
    return good
