"""Labelled images from folders of classes or a list of files."""

import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from convnextv2.data_parts import explain_missing, spread
from convnextv2.files import IMAGE_SUFFIXES, find_images, printable
from convnextv2.pretrain.data.one_type import ImagesOfOneType
from convnextv2.registry import DATASETS

from .classes import list_classes, read_classes, resolve
from .lists import read_list, read_listed_classes
from .table import ImageTable, TableBuilder

SAMPLE = 16  # images of a list that are looked for


@DATASETS.register_module()
class LabelledImages(ImagesOfOneType):
    """Images in folders of their classes, ``CLASS/IMAGE``, or those that a list names.

    What is deeper below a class' folder belongs to it. Folders as of ImageNet, ``CLASS`` being
    WordNet's number, are such folders. An item has ``img_path`` and ``gt_label``;
    ``metainfo["classes"]`` names the classes. Of one type, see `ImagesOfOneType`.

    Args:
        data_root: The folder of folders, or one above it.
        pipeline: Transforms; the first loads ``results['img_path']``.
        ann_file: The list, relative to `data_root` unless absolute, see `read_list` in lists.py.
            Its labels are names, or numbers of classes from 0 on.
        data_prefix: ``dict(img=FOLDER)``, itself relative to `data_root`: what the paths of the
            list are relative to, or where the folders of classes are.
        metainfo: ``dict(classes=...)``, see `read_classes` in classes.py: what is validated on
            names the folder that is trained on, so that numbers mean the same whatever folders
            it has itself. Without: all folders, sorted, or all names of the list, sorted.

    Raises:
        FileNotFoundError: A folder or the list does not exist, or has no images; or none of the
            files that are looked for, of those that the list names.
        ValueError: The list is none, names an image twice, or a label or a folder is no class.
    """

    def __init__(
        self,
        data_root: str = "",
        pipeline: list | None = None,
        ann_file: str = "",
        data_prefix: dict | None = None,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        metainfo = dict(metainfo or {})
        if metainfo.get("classes") is not None:
            metainfo["classes"] = read_classes(metainfo["classes"])
        super().__init__(
            data_root=data_root,
            pipeline=pipeline or [],
            ann_file=ann_file,
            data_prefix=data_prefix or {"img": ""},
            metainfo=metainfo,
            serialize_data=False,  # a table is small, and shared
            **kwargs,
        )

    def load_data_list(self) -> ImageTable:
        """The images in an order that is the same on every machine; finds the classes, too."""
        classes = self._metainfo.get("classes")
        table, self._metainfo["classes"] = self.list_images(classes)
        return table

    def list_images(self, classes: tuple[str, ...] | None) -> tuple[ImageTable, tuple[str, ...]]:
        """The images and the classes.

        Args:
            classes: Those of the config, if it has any.
        """
        root = Path(self.data_prefix["img"] or self.data_root)
        if not root.is_dir():
            raise FileNotFoundError(
                f"data_root {root.absolute()} does not exist; set the data set's data_root, of a "
                "template data_root and train.images, to the folder that holds the classes"
            )
        if self.ann_file:
            return list_named(self.ann_file, root, classes)
        return list_folders(root, classes)

    def get_cat_ids(self, idx: int) -> list[int]:
        """The class of an image, as mmengine's `ClassBalancedDataset` asks for it."""
        return [self.get_data_info(idx)["gt_label"]]


def list_folders(root: Path, classes: tuple[str, ...] | None) -> tuple[ImageTable, tuple[str, ...]]:
    """Images in folders of their classes, by class and path.

    Args:
        root: The folder of the folders.
        classes: Known ones, of which `root` may lack some, or None.
    """
    folders = list_classes(root)
    classes = classes or folders
    numbers = {name: number for number, name in enumerate(classes)}
    others = [name for name in folders if name not in numbers]
    where = printable(root.absolute())
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise ValueError(
            f"{where} has the folder {others[0]!r}{more}, which is none of the {len(classes)} "
            f"classes: take it elsewhere, or name it in metainfo=dict(classes=...)"
        )
    builder = TableBuilder("gt_label")
    for name in sorted(folders, key=numbers.__getitem__):
        folder = os.path.join(root, name)
        builder.add_folder(folder)
        for path in find_images(folder):
            builder.add(path[len(folder) + 1 :], numbers[name])
    if not len(builder):
        raise FileNotFoundError(
            f"no images in the folders of {where} (looked for {' '.join(IMAGE_SUFFIXES)})"
        )
    return builder.build(), classes


def list_named(
    ann_file: str, root: Path, classes: tuple[str, ...] | None
) -> tuple[ImageTable, tuple[str, ...]]:
    """Images that a list names, in its order.

    Args:
        ann_file: The list.
        root: The folder that its paths are relative to.
        classes: Known ones, or None.
    """
    classes = classes or read_classes(read_listed_classes(ann_file))
    builder = TableBuilder("gt_label")
    builder.add_folder(os.fspath(root))
    codes: dict[str, int] = {}
    places = []
    hashes = array("q")  # of the paths, which themselves would take much more
    for path, label, place in read_list(ann_file):
        if label not in codes:
            codes[label] = len(codes)
            places.append(place)
        path = os.path.normpath(path)
        hashes.append(hash(path))
        builder.add(path, codes[label])
    if not len(builder):
        raise FileNotFoundError(f"{ann_file} names no images")
    classes, numbers = resolve(list(codes), places, classes)
    table = builder.build()
    table.columns["gt_label"] = numbers[table.columns["gt_label"]]
    _refuse_twins(table, np.frombuffer(hashes, np.int64), ann_file)
    _look_for_files(table, ann_file)
    return table, classes


def _refuse_twins(table: ImageTable, hashes: np.ndarray, ann_file: str) -> None:
    """Refuse images that are named twice."""
    _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    twins = first[counts > 1].tolist()
    if not twins:
        return
    same = [table[place] for place in np.flatnonzero(hashes == hashes[twins[0]]).tolist()]
    alike = len({row["gt_label"] for row in same}) == 1
    more = f"; and so {len(twins) - 1} other images" if len(twins) > 1 else ""
    raise ValueError(
        f"{ann_file} names {printable(same[0]['img_path'])} {len(same)} times, with "
        f"{'the same label' if alike else 'different labels'}{more}"
    )


def _look_for_files(table: ImageTable, ann_file: str) -> None:
    """Refuse a list that fits no file, as far as a few of its paths tell."""
    paths = [table[place]["img_path"] for place in spread(len(table), SAMPLE)]
    reasons = [explain_missing(path) for path in paths]
    if all(reasons):
        raise FileNotFoundError(
            f"{ann_file} fits no file: none of {len(paths)} looked for is there, such as "
            f"{printable(paths[0])}, which {reasons[0]}; its paths are relative to "
            f"{printable(table.folders[0])}, which data_root and data_prefix=dict(img=...) say"
        )
