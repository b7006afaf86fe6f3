"""Unlabelled images in tar shards, as webdataset writes them, for pre-training."""

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any

from rich.progress import track

from convnextv2.archives import DAMAGE, read_tar
from convnextv2.downloads import once_a_machine
from convnextv2.files import IMAGE_SUFFIXES, is_hidden, written_whole
from convnextv2.registry import DATASETS
from convnextv2.transfers import Transfer, is_address

from .folder import UnlabelledImages


@DATASETS.register_module()
class UnlabelledShards(UnlabelledImages):
    """All images in tar files, local or by address; members that are no images are passed over.

    Where each image lies is read once from the tars' headers. So the images are shuffled, shared
    out to processes and resumed exactly as those of a folder are, by the same samplers: none is
    dropped and none repeated, whatever the number of processes.

    Args:
        shards: Path or address, or a list of them, with braces expanded
            (``data/train-{000..099}.tar``, ``https://host/train-{000..099}.tar``); or a folder,
            all of whose ``*.tar`` are meant. Addresses are copied to `cache_dir` before training,
            once for each machine; copies that are complete are used again. Others than http and
            https (s3, gs, hf, ``pipe:COMMAND``) and braces need webdataset (extra ``shards``).
        pipeline: Transforms; the first loads ``results['content']``, the bytes of a file.
        cache_dir: Folder of the copies.

    Raises:
        FileNotFoundError: A local shard does not exist.
        ImportError: webdataset is not installed and an address or braces are given.
        ValueError: A shard is no tar file, is truncated or compressed, or no shard has images.
    """

    def __init__(
        self,
        shards: str | list[str],
        pipeline: list,
        cache_dir: str = "data/shards",
        **kwargs: Any,
    ) -> None:
        self.shards = [shards] if isinstance(shards, str) else list(shards)
        self.cache_dir = Path(cache_dir)
        super().__init__(data_root="", pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Shard, offset and size of each image, in the order of the shards."""
        shards = find_shards(self.shards, self.cache_dir)
        images = [image for _, shard in shards for image in read_index(shard)]
        if not images:
            raise ValueError(
                f"no images in {', '.join(self.shards)} (looked for {' '.join(IMAGE_SUFFIXES)})"
            )
        return images

    def get_data_info(self, idx: int) -> dict:
        """What is known of an image, with its bytes as ``content``."""
        info = super().get_data_info(idx)
        return {**info, "content": read_part(info["shard"], info["offset"], info["size"])}


def find_shards(patterns: list[str], cache_dir: Path) -> list[tuple[str, Path]]:
    """The files that paths, folders, addresses and braces mean; see `UnlabelledShards`.

    Returns:
        Name, without folder and ``.tar``, and local path of each.
    """
    sources = [source for pattern in patterns for source in _expand(pattern)]
    local = fetch([source for source in sources if _is_address(source)], cache_dir)
    return [(_name(source), local.get(source, Path(source))) for source in sources]


def _name(source: str) -> str:
    return source.partition("?")[0].rsplit("/", 1)[-1].removesuffix(".tar")


def read_part(path: str | Path, offset: int, size: int) -> bytes:
    """The bytes of a file from `offset` on."""
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


def read_index(shard: Path) -> list[dict]:
    """Find the images in a tar file.

    Returns:
        For each a dict of ``shard``, ``offset`` and ``size`` in bytes, and ``img_path``, which is
        ``SHARD/MEMBER`` and only names it.
    """
    return [
        {
            "img_path": f"{shard}/{member.name}",
            "shard": str(shard),
            "offset": member.offset_data,
            "size": member.size,
        }
        for member in list_files(shard)
        if is_image(member.name)
    ]


def list_files(shard: Path) -> list[tarfile.TarInfo]:
    """The regular files in a tar file, in its order.

    Raises:
        FileNotFoundError: There is no such shard.
        ValueError: It is none, or cannot be read by offsets.
    """
    if not shard.is_file():
        raise FileNotFoundError(f"the shard {shard.absolute()} does not exist")
    try:
        # Without compression: only so can an image be read by its offset.
        with open(shard, "rb") as file:
            return [member for member in read_tar(file) if member.isfile()]
    except DAMAGE as error:
        raise ValueError(f"{shard} is no tar file, compressed, or truncated: {error}") from error


def is_image(name: str) -> bool:
    """Whether a member's name is an image's, and not a hidden one's."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not is_hidden(name.lstrip("/"))


def fetch(addresses: list[str], folder: Path) -> dict[str, Path]:
    """Copy shards into a folder, unless they are there; one process of each machine does it.

    Returns:
        The path of each address' copy.
    """
    # Shards of two data sets may have the same base name.
    digests = {address: hashlib.sha256(address.encode()).hexdigest()[:12] for address in addresses}
    paths = {
        address: folder / f"{digest}-{address.rsplit('/', 1)[-1]}"
        for address, digest in digests.items()
    }

    def copy_missing() -> None:
        missing = [address for address, path in paths.items() if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for address in track(missing, "copying shards"):
            _copy(address, paths[address])

    once_a_machine(copy_missing)
    return paths


def _copy(address: str, path: Path) -> None:
    try:
        with written_whole(path) as partial:
            _fetch(address, partial)
            read_index(partial)  # a connection that breaks off leaves a truncated one
    except (OSError, ValueError) as error:
        raise ValueError(f"{address} could not be copied to {path}: {error}") from error


def _fetch(address: str, path: Path) -> None:
    if is_address(address):
        Transfer(address, path).run()
        return
    with _webdataset().gopen(address) as source, open(path, "wb") as target:
        while block := source.read(2**20):
            target.write(block)


def _expand(pattern: str) -> list[str]:
    if os.path.isdir(pattern):
        names = [name for name in os.listdir(pattern) if name.endswith(".tar")]
        return [os.path.join(pattern, name) for name in sorted(names) if not is_hidden(name)]
    if "{" not in pattern or pattern.startswith("pipe:"):
        return [pattern]
    return _webdataset().shardlists.expand_urls(pattern)


def _is_address(source: str) -> bool:
    return "://" in source or source.startswith("pipe:")


def _webdataset() -> Any:
    try:
        import webdataset
    except ImportError as error:
        raise ImportError(
            "shards by address or with braces need webdataset: "
            "pip install 'convnextv2-dense[shards]'"
        ) from error
    return webdataset
