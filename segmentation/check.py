"""Find faults in label masks before they cost a training run.

A finding is ``(level, text)``. ``fatal``: training would crash or learn something wrong without a
word. ``warning``: it works, but hardly as it was meant.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from convnextv2.data_parts import Finding, Part, find_missing_images
from convnextv2.images import UnreadableImageError


class MaskPart(Part):
    """A data set of images and label masks."""

    dataset = "mmseg.datasets.basesegdataset.BaseSegDataset"
    unit = "pixels"

    def read(self) -> None:
        """Look for the files of images and masks."""
        self._infos: list[dict] = []
        dataset = self.build([], lazy_init=False)
        if dataset is None:
            return
        self._infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        self._pixels = np.zeros(len(self.classes), int)
        self.images = [info["img_path"] for info in self._infos]
        self.findings = check_pairs(self._infos, self.name)
        self.findings += find_unpaired(self._infos, dataset.seg_map_suffix)

    def check_files(self) -> Iterator[list[Finding]]:
        """Decode each image and each mask."""
        load = self.build_loader()
        for info in self._infos:
            findings, size = [], None
            if Path(info["img_path"]).is_file():
                try:
                    size = load({"img_path": info["img_path"]})["img_shape"][::-1]
                except UnreadableImageError as error:
                    findings.append(("fatal", str(error)))
            if Path(info.get("seg_map_path") or "").is_file():
                more, counts = check_mask(
                    info["seg_map_path"], size, len(self.classes), info["reduce_zero_label"]
                )
                findings += more
                self._pixels += counts
            yield findings

    def count(self) -> dict[str, int]:
        """Pixels, of the masks that were read."""
        return dict(zip(self.classes, self._pixels.tolist(), strict=True)) if self._infos else {}


def check_pairs(data_list: list[dict], name: str, with_labels: bool = True) -> list[Finding]:
    """Check that there are images, and a mask for each.

    Args:
        data_list: mmseg's: ``img_path`` and ``seg_map_path`` of each image.
        name: Of the part of the data, for the texts.
        with_labels: Whether masks are needed.
    """
    if not data_list:
        return [("fatal", f"{name}: no images; look at data_prefix, ann_file and img_suffix")]
    labels = [entry["seg_map_path"] for entry in data_list if entry.get("seg_map_path")]
    missing = [path for path in labels if not Path(path).is_file()] if with_labels else []
    return [
        *find_missing_images([entry["img_path"] for entry in data_list], name),
        *(("fatal", f"{name}: {path} does not exist") for path in missing),
    ]


def find_unpaired(data_list: list[dict], suffix: str) -> list[Finding]:
    """Masks in the folders of those of `data_list` that belong to no image."""
    known = {Path(entry["seg_map_path"]) for entry in data_list if entry.get("seg_map_path")}
    return [
        ("warning", f"{path}: a mask without an image")
        for folder in sorted({path.parent for path in known})
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.name.endswith(suffix) and path not in known and not path.name.startswith(".")
    ]


def check_mask(
    path: str | Path,
    size: tuple[int, int] | None,
    num_classes: int,
    reduce_zero_label: bool = False,
    ignore_index: int = 255,
) -> tuple[list[Finding], np.ndarray]:
    """Read a mask as training does and look at its values.

    Args:
        path: Of the mask.
        size: (width, height) of its image, if that could be read.
        num_classes: Classes of the config.
        reduce_zero_label: Whether 0 stands for what is not labelled and classes begin at 1.
        ignore_index: Value of pixels that are left out.

    Returns:
        Findings, and the number of pixels (num_classes,) of each class.
    """
    counts = np.zeros(num_classes, int)
    try:
        with Image.open(path) as file:
            labels = np.array(file)
    except (OSError, ValueError, SyntaxError) as error:  # the last of broken PNGs
        return [("fatal", f"{path}: {error}")], counts
    if labels.ndim != 2:
        channels = f"{labels.shape[-1]} channels, expected one: class numbers, not colours"
        return [("fatal", f"{path}: {channels}")], counts
    if size and labels.shape[::-1] != tuple(size):
        have, image = ("x".join(map(str, s)) for s in (labels.shape[::-1], size))
        return [("fatal", f"{path}: {have} pixels, its image {image}")], counts
    values, pixels = np.unique(labels.astype(int), return_counts=True)
    first = int(reduce_zero_label)
    classes = (values >= first) & (values < num_classes + first)
    ignored = (values == ignore_index) | (reduce_zero_label & (values == 0))
    counts[values[classes & ~ignored] - first] = pixels[classes & ~ignored]
    if not (classes | ignored).all():
        wrong = ", ".join(map(str, values[~(classes | ignored)][:10]))
        text = f"{path}: the values {wrong}; the {num_classes} classes are {first} to "
        text += f"{num_classes - 1 + first}, and {ignore_index} is ignored"
        return [("fatal", text)], counts
    if not counts.any():
        return [("warning", f"{path}: every pixel is ignored")], counts
    return [], counts
