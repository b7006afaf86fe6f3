"""Where the labelled images in tar shards lie: read from the tars' headers once, and kept."""

import hashlib
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from mmengine.logging import print_log

from convnextv2.files import is_hidden, written_whole
from convnextv2.pretrain.data.tar_shards import is_image, list_files

from .lists import LONGEST
from .table import ImageTable, TableBuilder

KEPT = 100_000  # images, below which reading the headers again takes a second
_FORM = 1  # of the kept files


class Index(NamedTuple):
    """The images, whose ``gt_label`` is a place among the labels as they are written.

    Attributes:
        table: Offset and size of each image, too.
        labels: The different ones.
        places: Where each was seen first.
    """

    table: ImageTable
    labels: list[str]
    places: list[str]


def read_index(shards: Sequence[tuple[str, Path]], cache_dir: Path, kept: int = KEPT) -> Index:
    """Find the labelled images in tar files.

    The headers of 14 million images take minutes to read. So what was found is kept, and taken
    again as long as the shards have the same sizes and times.

    Args:
        shards: Name and path of each; the name is the class of one without labels.
        cache_dir: Folder of what is kept.
        kept: So many images are worth it.

    Raises:
        FileNotFoundError, ValueError: As of `LabelledShards`.
    """
    path = cache_dir / f"index-{_name(shards)}.npz"
    if path.is_file():
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # read the headers, then
            print_log(f"{path} is damaged, and written anew", "current")
    index = _build(shards)
    if len(index.table) >= kept:
        try:
            _save(index, path)
        except OSError as error:
            print_log(f"where images lie in shards is not kept: {error}", "current")
    return index


def list_labelled(shard: Path, name: str) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """The images in a tar file, each with its label as it is written.

    Args:
        shard: Path of the tar file.
        name: The class of its images, if it has no labels.

    Raises:
        FileNotFoundError, ValueError: As of `LabelledShards`.
    """
    members = [member for member in list_files(shard) if not is_hidden(member.name.lstrip("/"))]
    images = [member for member in members if is_image(member.name)]
    labels = {m.name[:-4]: m for m in members if m.name.lower().endswith(".cls")}
    if not labels:
        yield from ((member, name) for member in images)
        return
    seen = set()
    with open(shard, "rb") as file:
        for member in images:
            sample = os.path.splitext(member.name)[0]
            if sample not in labels and _first(member.name) in labels:
                continue  # another part of that sample
            if sample in seen:
                raise ValueError(f"{shard} has two images of one sample, {sample}")
            if sample not in labels:
                raise ValueError(f"{shard}/{member.name} has no label: there is no {sample}.cls")
            seen.add(sample)
            yield member, _read_label(file, labels[sample], shard)


def _build(shards: Sequence[tuple[str, Path]]) -> Index:
    builder = TableBuilder("gt_label", "offset", "size")
    codes: dict[str, int] = {}
    places: list[str] = []
    for name, shard in shards:
        builder.add_folder(str(shard))
        for member, label in list_labelled(shard, name):
            if label not in codes:
                codes[label] = len(codes)
                places.append(f"{shard}/{member.name}")
            inside = member.name.lstrip("/")
            builder.add(inside, codes[label], member.offset_data, member.size)
    return Index(builder.build(), list(codes), places)


def _read_label(file: IO[bytes], member: tarfile.TarInfo, shard: Path) -> str:
    file.seek(member.offset_data)
    label = file.read(min(member.size, LONGEST)).decode("utf-8", "replace").strip()
    if not label or member.size > LONGEST:
        raise ValueError(f"{shard}/{member.name} is no label: it has {member.size} bytes")
    return label


def _first(name: str) -> str:
    """A member's name up to the first dot of its last part, as webdataset names samples."""
    folder, base = os.path.split(name)
    return os.path.join(folder, base.partition(".")[0])


def _name(shards: Sequence[tuple[str, Path]]) -> str:
    """A text that is another if a shard is; of shards that are not there, any."""
    facts: list[object] = [_FORM]
    for name, shard in shards:
        status = os.stat(shard) if shard.is_file() else None
        facts += [name, str(shard), status and [status.st_size, status.st_mtime_ns]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _save(index: Index, path: Path) -> None:
    texts = json.dumps([index.table.folders, index.labels, index.places]).encode()
    arrays: dict[str, Any] = {"texts": np.frombuffer(texts, np.uint8), "names": index.table.names}
    arrays |= {f"column {name}": column for name, column in index.table.columns.items()}
    with written_whole(path, wait=False) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)


def _load(path: Path) -> Index:
    with np.load(path, allow_pickle=False) as file:
        folders, labels, places = json.loads(file["texts"].tobytes())
        columns = {key[7:]: file[key] for key in file.files if key.startswith("column ")}
        return Index(ImageTable(folders, file["names"], columns), labels, places)
