"""Mean and standard deviation of each channel over all pixels of a data set."""

import json
import math
from copy import copy
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from convnextv2.engine.types import walk_built_datasets
from convnextv2.files import printable
from convnextv2.images import LoadImage

BLOCK = 2**20  # so many values are looked at together, which bounds the memory


class PixelStatistics:
    """Count, mean and squared deviations of each channel, in float64.

    Attributes:
        images: Number of images so far.
        pixels: Number of pixels so far, of each channel.
        mean: (C,).
        std: (C,), of all pixels together, not the mean of each image's.
        dtypes: Names of the images' dtypes.
    """

    def __init__(self) -> None:
        self.images = self.pixels = 0
        self.mean: np.ndarray = np.zeros(0)
        self._deviations: np.ndarray = np.zeros(0)
        self.dtypes: set[str] = set()

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self._deviations / max(self.pixels, 1))

    @classmethod
    def of(cls, image: np.ndarray) -> "PixelStatistics":
        """Those of one image (H, W, C).

        Raises:
            ValueError: It has values that are not finite.
        """
        whole = cls()
        rows = max(1, BLOCK // image[0].size)
        for i in range(0, len(image), rows):
            pixels = image[i : i + rows].reshape(-1, image.shape[2])
            # Sums along rows in memory are several times as fast as along columns.
            values = np.ascontiguousarray(pixels.T).astype(np.float64)  # (C, pixels)
            part = cls()
            part.pixels, part.mean = len(pixels), values.mean(axis=1)
            if not np.isfinite(part.mean).all():
                raise ValueError("values that are not finite")
            values -= part.mean[:, None]
            part._deviations = np.einsum("cp,cp->c", values, values)
            whole.merge(part)
        whole.images, whole.dtypes = 1, {image.dtype.name}
        return whole

    def merge(self, other: "PixelStatistics") -> None:
        """Count the images of others in.

        Raises:
            ValueError: They have another number of channels.
        """
        if not self.pixels:
            self.mean = self._deviations = np.zeros(len(other.mean))
        if len(other.mean) != len(self.mean):
            raise ValueError(f"{len(other.mean)} channels, others have {len(self.mean)}")
        # Two parts' squared deviations from the common mean (Chan, Golub, LeVeque 1979).
        total = self.pixels + other.pixels
        between = other.mean - self.mean
        self._deviations = (
            self._deviations + other._deviations + between**2 * (self.pixels / total * other.pixels)
        )
        self.mean = self.mean + between * (other.pixels / total)
        self.images, self.pixels = self.images + other.images, total
        self.dtypes |= other.dtypes

    def describe_types(self) -> str:
        """What is wrong with images of different types; empty if they are of one."""
        if len(self.dtypes) < 2:
            return ""
        return (
            f"the images are of the types {', '.join(sorted(self.dtypes))}, whose values do not "
            "mean the same: set dtype of LoadImage, which makes all of one"
        )

    def as_json(self) -> str:
        """A json object of what was counted."""
        facts = {
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "channels": len(self.mean),
            "images": self.images,
            "pixels": self.pixels,
            "dtype": sorted(self.dtypes),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        return json.dumps(facts, indent=2) + "\n"


class ImageStatistics(Dataset):
    """The statistics of each image, as the data set's loading transform gives it.

    Three channels are counted as RGB, whichever order the transform gives.

    Args:
        dataset: Of any task, built; or a wrapper of several.
        max_images: Take so many of them, drawn at random but always the same; all if None.

    Raises:
        ValueError: A pipeline has not one `LoadImage`.
    """

    def __init__(self, dataset: Dataset, max_images: int | None = None) -> None:
        self.parts: list[Any] = list(walk_built_datasets(dataset))
        self.starts = np.cumsum([0, *(len(part) for part in self.parts)])  # lists their images
        self.loaders = [_find_loader(part) for part in self.parts]
        total = self.starts[-1]
        self.places = np.random.default_rng(0).permutation(total)[:max_images].tolist()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> tuple[str, PixelStatistics | str]:
        """Path, and the statistics or, if the image cannot be used, the reason."""
        number = int(np.searchsorted(self.starts, self.places[i], side="right")) - 1
        info = self.parts[number].get_data_info(self.places[i] - int(self.starts[number]))
        path = printable(info["img_path"])
        try:
            return path, PixelStatistics.of(self.loaders[number](info)["img"])
        except ValueError as error:
            return path, str(error).removeprefix(f"{path}: ")


def _find_loader(dataset: BaseDataset) -> LoadImage:
    transforms = getattr(getattr(dataset, "pipeline", None), "transforms", ())
    loaders = [transform for transform in transforms if isinstance(transform, LoadImage)]
    if len(loaders) != 1:
        raise ValueError("the data set's pipeline needs one convnextv2.LoadImage")
    load = copy(loaders[0])
    if load.in_channels == 3:
        load.channel_order = "rgb"
    return load


def measure(
    dataset: Dataset, workers: int = 0, max_images: int | None = None
) -> tuple[PixelStatistics, list[str]]:
    """Statistics of a data set's images, and lines about those that were left out.

    Random generators are left as they are. A progress bar is shown.

    Args:
        dataset: As of `ImageStatistics`.
        workers: Processes that read.
        max_images: As of `ImageStatistics`.

    Raises:
        ValueError: No image could be read, a channel is the same everywhere, or images differ in
            their number of channels.
    """
    images = ImageStatistics(dataset, max_images)
    statistics, unreadable = PixelStatistics(), []
    with torch.random.fork_rng(devices=[]):  # a loader draws a seed for its workers
        loader = DataLoader(images, batch_size=None, num_workers=workers)
        for path, found in track(loader, "measuring mean and std", total=len(images)):
            if isinstance(found, str):
                unreadable.append(f"{path}: {found}")
            else:
                statistics.merge(found)
    if not statistics.images:
        raise ValueError("no image could be read:\n  " + "\n  ".join(unreadable))
    if not statistics.std.all():
        raise ValueError(f"a channel is the same everywhere: std {statistics.std.tolist()}")
    return statistics, unreadable


def read_statistics(path: str | Path) -> tuple[list[float], list[float]]:
    """Mean and std from a file that tools/dataset_converters/compute_statistics.py wrote.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no statistics at {path.absolute()}; "
            "tools/dataset_converters/compute_statistics.py CONFIG writes them"
        )
    try:
        facts = json.loads(path.read_text())
        mean, std = facts["mean"], facts["std"]
        good = len(mean) == len(std) > 0 and all(map(math.isfinite, mean)) and min(std) > 0
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no file of tools/dataset_converters/compute_statistics.py: {error!r}"
        ) from error
    if not good:
        raise ValueError(f"{path}: mean and std must be finite, as many, and no std 0")
    return mean, std
