"""Training and validation: which image goes where."""

import hashlib
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from convnextv2.engine.errors import InputError

from .image_index import bare

PARTS = ("train", "val")


def split(names: list[str], val: str, seed: int, group_by: str | None) -> dict[str, str]:
    """The part of each image, the same whenever names, share and seed are.

    Args:
        names: Paths below the folder of images.
        val: The share for validation, or a text file with the names of its images, with or
            without their folders and suffixes.
        seed: Of the draw.
        group_by: A regular expression, what it finds in the path (its first group, if it has
            one) is the image's group, or ``folder``. Groups are not divided. None: each image
            for itself.

    Raises:
        InputError: The list or the expression does not fit, or a part stays empty.
    """
    if not re.fullmatch(r"[\d.]+", val):
        return _by_list(names, Path(val))
    share = float(val) if re.fullmatch(r"0?\.\d+|0|1|[01]\.\d*", val) else 2.0
    if share >= 1:
        raise InputError(f"--val {val}: a share from 0 to under 1, or a file, was expected")
    if not share:
        return dict.fromkeys(names, "train")
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_group(name, group_by)].append(name)
    if len(groups) < 2:
        what = "group of images" if group_by else "image"
        raise InputError(f"there is one {what} only, which cannot be divided: say --val 0")
    drawn = sorted(groups, key=lambda g: hashlib.sha256(f"{seed}:{g}".encode()).hexdigest())
    parts, wanted, taken = {}, max(1.0, share * len(names)), 0
    for number, group in enumerate(drawn):
        # Never the last: something must be left to train on.
        part = "val" if taken < wanted - 0.5 and number < len(drawn) - 1 else "train"
        taken += len(groups[group]) if part == "val" else 0
        parts.update(dict.fromkeys(groups[group], part))
    return parts


def _by_list(names: list[str], path: Path) -> dict[str, str]:
    if not path.is_file():
        raise InputError(f"--val {path}: neither a share from 0 to 1 nor a file that exists")
    lines = path.read_text("utf-8-sig", "replace").splitlines()
    # Lists of Pascal VOC for one class have a second column.
    wanted = {bare(line.split()[0]) for line in lines if line.strip()}
    wanted |= {bare(line.strip()) for line in lines}
    parts = {}
    for name in names:
        readings = {bare(name), bare(PurePosixPath(name).name)}
        parts[name] = "val" if readings & wanted else "train"
    if set(parts.values()) != set(PARTS):
        where = "no" if "val" not in parts.values() else "every"
        raise InputError(f"--val {path}: {where} image is named there, such as {names[0]}")
    return parts


def _group(name: str, group_by: str | None) -> str:
    if group_by is None:
        return name
    if group_by == "folder":
        return str(PurePosixPath(name).parent)
    try:
        match = re.search(group_by, name)
    except re.error as error:
        raise InputError(f"--group-by {group_by!r} is no regular expression: {error}") from error
    if match is None:
        raise InputError(f"--group-by {group_by!r} finds nothing in {name}")
    return (match[1] if match.re.groups else match[0]) or ""
