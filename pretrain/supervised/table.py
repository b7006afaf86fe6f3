"""Millions of images in a few arrays, which the processes of a machine share after a fork.

A list of 14 million dicts takes gigabytes in each process, and each worker's reference counts copy
them; here an image takes its name and some 28 bytes.
"""

import os
from array import array
from collections.abc import Sequence
from typing import overload

import numpy as np


class ImageTable(Sequence):
    """What is known of each image; made by `TableBuilder`.

    An item is a dict of ``img_path``, ``folder`` (of `folders`) and a number for each column.
    A slice is a table, too, which shares the names.

    Attributes:
        folders: Folders, or shards, that hold the images.
        columns: Whole numbers of all images, by what they are.
    """

    def __init__(
        self, folders: list[str], names: np.ndarray, columns: dict[str, np.ndarray]
    ) -> None:
        self.folders = folders
        self.columns = columns
        self._names = names

    def __len__(self) -> int:
        return len(self.columns["start"])

    @overload
    def __getitem__(self, place: int) -> dict: ...

    @overload
    def __getitem__(self, place: slice) -> "ImageTable": ...

    def __getitem__(self, place: int | slice) -> "dict | ImageTable":
        if isinstance(place, slice):
            columns = {name: column[place] for name, column in self.columns.items()}
            return ImageTable(self.folders, self._names, columns)
        row = {name: int(column[place]) for name, column in self.columns.items()}
        start, length = row.pop("start"), row.pop("length")
        folder = self.folders[row.pop("folder")]
        name = os.fsdecode(self._names[start : start + length].tobytes())
        return {"img_path": os.path.join(folder, name), "folder": folder, **row}


class TableBuilder:
    """Collects images.

    Args:
        columns: Names of the whole numbers that each image has.
    """

    def __init__(self, *columns: str) -> None:
        self.folders: list[str] = []
        self._names = bytearray()
        self._columns = {name: array("q") for name in columns}
        self._lengths, self._folders = array("I"), array("i")

    def __len__(self) -> int:
        return len(self._lengths)

    def add_folder(self, path: str) -> None:
        """Begin with another folder, or shard, in which the next images are."""
        self.folders.append(path)

    def add(self, name: str, *numbers: int) -> None:
        """Add an image of the last folder.

        Args:
            name: Its path from there.
            numbers: One for each column.
        """
        encoded = os.fsencode(name)
        self._names += encoded
        self._lengths.append(len(encoded))
        self._folders.append(len(self.folders) - 1)
        for column, number in zip(self._columns.values(), numbers, strict=True):
            column.append(number)

    def build(self) -> ImageTable:
        """The table; the builder is of no use afterwards."""
        lengths = _to_array(self._lengths)
        columns = {name: _to_array(column) for name, column in self._columns.items()}
        columns["start"] = np.cumsum(lengths, dtype=np.int64) - lengths
        columns["length"] = lengths
        columns["folder"] = _to_array(self._folders)
        return ImageTable(self.folders, np.frombuffer(self._names, np.uint8), columns)


def _to_array(values: array) -> np.ndarray:
    return np.frombuffer(values, values.typecode)
