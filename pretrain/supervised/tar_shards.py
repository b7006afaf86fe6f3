"""Labelled images in tar shards: with labels as webdataset writes them, or a tar for each class."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from convnextv2.files import IMAGE_SUFFIXES, is_hidden
from convnextv2.pretrain.data.tar_shards import (
    find_shards,
    is_image,
    list_files,
    read_part,
)
from convnextv2.registry import DATASETS

from .classes import read_classes, resolve, shorten
from .folder import LabelledImages
from .lists import LONGEST
from .table import ImageTable, TableBuilder

NAMES = "classes.json"  # beside the shards


@DATASETS.register_module()
class LabelledShards(LabelledImages):
    """Labelled images in tar files, local or by address, shuffled and resumed as a folder's are.

    As webdataset has it, the label of ``a/0001.jpg`` is in ``a/0001.cls``, a number or a name;
    other members, such as ``a/0001.json`` and ``a/0001.seg.png``, are passed over. A shard without
    any ``cls`` is a class itself, of the shard's name without ``.tar``, as of ImageNet-22K, whose
    releases have a tar for each of WordNet's numbers.

    Args:
        shards: See `UnlabelledShards`; also a folder, all of whose ``*.tar`` are meant.
        pipeline: Transforms; the first loads ``results['content']``, the bytes of a file.
        metainfo: ``dict(classes=...)``, see `read_classes` in classes.py. Without: as
            ``classes.json`` beside the first shard says, else by the labels.
        cache_dir: Folder of the copies.

    Raises:
        FileNotFoundError: A local shard does not exist.
        ImportError: webdataset is not installed and an address or braces are given.
        ValueError: A shard is no tar file, is truncated or compressed, an image has no label, two
            have one, a label is no class, or no shard has images.
    """

    def __init__(
        self,
        shards: str | list[str],
        pipeline: list | None = None,
        metainfo: dict | None = None,
        cache_dir: str = "data/shards",
        **kwargs: Any,
    ) -> None:
        self.shards = [shards] if isinstance(shards, str) else list(shards)
        self.cache_dir = Path(cache_dir)
        super().__init__(pipeline=pipeline, metainfo=metainfo, **kwargs)

    def list_images(self, classes: tuple[str, ...] | None) -> tuple[ImageTable, tuple[str, ...]]:
        """Shard, offset and size of each image, in the order of the shards."""
        shards = find_shards(self.shards, self.cache_dir)
        if shards and classes is None and (names := shards[0][1].with_name(NAMES)).is_file():
            classes = read_classes(names)
        builder = TableBuilder("gt_label", "offset", "size")
        codes: dict[str, int] = {}
        places: list[str] = []
        for name, shard in shards:
            builder.add_folder(str(shard))
            for member, label in list_labelled(shard, name):
                if label not in codes:
                    codes[label] = len(codes)
                    places.append(f"{shard}/{member.name}")
                builder.add(member.name, codes[label], member.offset_data, member.size)
        if not len(builder):
            where = shorten(self.shards)
            raise ValueError(f"no images in {where} (looked for {' '.join(IMAGE_SUFFIXES)})")
        classes, numbers = resolve(list(codes), places, classes)
        table = builder.build()
        table.columns["gt_label"] = numbers[table.columns["gt_label"]]
        return table, classes

    def get_data_info(self, idx: int) -> dict:
        """What is known of an image, with its bytes as ``content``."""
        info = super().get_data_info(idx)
        return {**info, "content": read_part(info["folder"], info["offset"], info["size"])}


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
