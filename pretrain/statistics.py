"""Mean and standard deviation of each channel over all pixels of a data set."""

import json
import math
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from .transforms import LoadImage, UnreadableImageError


class PixelStatistics:
    """Count, mean and squared deviations of each channel, in float64, image after image.

    Attributes:
        images: Number of images so far.
        pixels: Number of pixels so far, of each channel.
        mean: (C,).
        std: (C,), of all pixels together, not the mean of each image's.
        dtypes: Names of the images' dtypes.
    """

    def __init__(self) -> None:
        self.images = self.pixels = 0
        self.mean = self._deviations = np.zeros(0)
        self.dtypes: set[str] = set()

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self._deviations / max(self.pixels, 1))

    def add(self, image: np.ndarray) -> None:
        """Count an image (H, W, C) in.

        Raises:
            ValueError: It has another number of channels than those before, or values that are
                not finite.
        """
        values = image.reshape(-1, image.shape[-1]).astype(np.float64)
        if self.images and values.shape[1] != len(self.mean):
            raise ValueError(f"{values.shape[1]} channels, others have {len(self.mean)}")
        mean = values.mean(axis=0)
        if not np.isfinite(mean).all():
            raise ValueError("values that are not finite")
        deviations = np.square(values - mean).sum(axis=0)
        if not self.images:
            self.mean = self._deviations = np.zeros(values.shape[1])
        # Two parts' squared deviations from the common mean (Chan, Golub, LeVeque 1979).
        total = self.pixels + len(values)
        between = mean - self.mean
        self._deviations = (
            self._deviations + deviations + between**2 * (self.pixels * len(values) / total)
        )
        self.mean = self.mean + between * (len(values) / total)
        self.images, self.pixels = self.images + 1, total
        self.dtypes.add(image.dtype.name)

    def as_json(self) -> str:
        """A json object of what was counted."""
        facts = {
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "channels": len(self.mean),
            "images": self.images,
            "pixels": self.pixels,
            "dtype": sorted(self.dtypes),
        }
        return json.dumps(facts, indent=2) + "\n"


class DecodedImages(Dataset):
    """The images of a data set as its loading transform gives them, nothing else done to them.

    Args:
        dataset: An `UnlabelledImages` or `UnlabelledShards`.
        max_images: Take so many of them, evenly spread; all if None.

    Raises:
        ValueError: The pipeline does not begin by loading with a `LoadImage`.
    """

    def __init__(self, dataset: BaseDataset, max_images: int | None = None) -> None:
        loaders = [t for t in dataset.pipeline.transforms if isinstance(t, LoadImage)]
        if len(loaders) != 1:
            raise ValueError("the data set's pipeline needs one convnextv2.LoadImage")
        self.load = loaders[0]
        self.dataset = dataset
        count = min(len(dataset), max_images or len(dataset))
        self.places = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> tuple[str, np.ndarray | str]:
        """Path, and the image (H, W, C) or, if it cannot be read, the reason."""
        info = self.dataset.get_data_info(self.places[i])
        path = info["img_path"]
        try:
            return path, self.load(info)["img"]
        except UnreadableImageError as error:
            return path, str(error).removeprefix(f"{path}: ")


def read_statistics(path: str | Path) -> tuple[list[float], list[float]]:
    """Mean and std from a file that tools/compute_statistics.py wrote.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no statistics at {path.absolute()}; tools/compute_statistics.py CONFIG writes them"
        )
    try:
        facts = json.loads(path.read_text())
        mean, std = facts["mean"], facts["std"]
        good = len(mean) == len(std) > 0 and all(map(math.isfinite, mean)) and min(std) > 0
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no file of tools/compute_statistics.py: {error!r}") from error
    if not good:
        raise ValueError(f"{path}: mean and std must be finite, as many, and no std 0")
    return mean, std
