"""What a data set's folder should hold, and what of it is missing."""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Content:
    """A folder of images, or a json file: how many of them, and where their names come from.

    `names`: a pattern of the images' numbers from 1 on, or the json file in COCO's format,
    relative to the root, that lists them.
    """

    path: str
    count: int = 1
    names: str | None = None


@dataclass
class Archive:
    """A file's address, or name if users must fetch it, its checksum, and what comes out of it."""

    source: str
    checksum: str | None
    contents: list[Content]


def find_missing_files(archives: list[Archive], root: Path) -> list[str]:
    """A line for each folder or file of a data set that lacks something."""
    lines = (_missing_line(content, root) for archive in archives for content in archive.contents)
    return [line for line in lines if line]


def _missing_line(content: Content, root: Path) -> str | None:
    """What a folder or file lacks, with the names of the first three images; None: nothing."""
    path = root / content.path
    if path.suffix == ".json":
        if not path.is_file():
            return f"{content.path}: does not exist"
        return None if _ends_as_json(path) else f"{content.path}: truncated, or no json"
    found = find_names(path)
    if len(found) >= content.count:
        return None
    line = f"{content.path}: {len(found)} of {content.count} images"
    absent = sorted(_expected_names(content, root) - found) if found else []
    if absent:
        line += f", without {', '.join(absent[:3])}" + (" ..." if len(absent) > 3 else "")
    return line


def find_names(folder: Path) -> set[str]:
    """Names, without suffix, of the images below a folder that are not empty."""
    from convnextv2 import files

    paths = files.find_images(folder) if folder.is_dir() else []
    return {os.path.splitext(os.path.basename(p))[0] for p in paths if os.path.getsize(p) > 0}


def _expected_names(content: Content, root: Path) -> set[str]:
    """Names, without suffix, of the images that a folder should hold; none if not known."""
    if not content.names:
        return set()
    if not content.names.endswith(".json"):
        return {content.names.format(i + 1) for i in range(content.count)}
    try:
        images = json.loads((root / content.names).read_text())["images"]
        return {os.path.splitext(image["file_name"])[0] for image in images}
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # the file has a line of its own


def _ends_as_json(path: Path) -> bool:
    """Whether a large json object has its end, without reading all of it."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        return file.read().rstrip().endswith(b"}")
