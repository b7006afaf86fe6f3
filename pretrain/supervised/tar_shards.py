"""Labelled images in tar shards: with labels as webdataset writes them, or a tar for each class."""

from pathlib import Path
from typing import Any

from convnextv2.files import IMAGE_SUFFIXES
from convnextv2.pretrain.data.tar_shards import find_shards, read_part
from convnextv2.registry import DATASETS

from .classes import read_classes, resolve, shorten
from .folder import LabelledImages
from .shard_index import read_index
from .table import ImageTable

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
        cache_dir: Folder of the copies, and of what `read_index` keeps.

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
        table, labels, places = read_index(shards, self.cache_dir)
        if not len(table):
            where = shorten(self.shards)
            raise ValueError(f"no images in {where} (looked for {' '.join(IMAGE_SUFFIXES)})")
        classes, numbers = resolve(labels, places, classes)
        table.columns["gt_label"] = numbers[table.columns["gt_label"]]
        return table, classes

    def get_data_info(self, idx: int) -> dict:
        """What is known of an image, with its bytes as ``content``."""
        info = super().get_data_info(idx)
        return {**info, "content": read_part(info["folder"], info["offset"], info["size"])}
