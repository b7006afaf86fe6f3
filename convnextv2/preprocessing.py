"""Normalising images of any number of bands, by mean and std that are given or measured."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from convnextv2.statistics import read_statistics

NAMES = ("mean", "std")
_SET = (
    "the checkpoint has none: set mean and std of its training, or its file of statistics, in "
    "model.data_preprocessor"
)
_DO_NOT_SET = (
    "the checkpoint has measured ones: set mean, std and statistics of model.data_preprocessor to "
    "None, as in its training"
)


class BandNormalization(BaseDataPreprocessor):
    """What the data preprocessors of all tasks share; comes before the library's class.

    Mean and std are those that are given. Where none are, `MeasureStatisticsHook` measures them
    before training, and they are saved in the checkpoint, from which tests, inference and resumed
    trainings take them.

    Args:
        mean: Of each band, in the units of the files (0 to 65535 for 16-bit images); of three, in
            the order RGB.
        std: Standard deviation of each band.
        statistics: File of tools/dataset_converters/compute_statistics.py; its mean and std are
            taken instead.
        in_channels: Bands of the images, where mean and std are measured.
        bgr_to_rgb: Images of three bands come as BGR. Other numbers keep their order.
        kwargs: Of the library's class.

    Attributes:
        mean: (C, 1, 1), float32; not a number before it is measured.
        std: The same.
        measures: Whether they are not given.

    Raises:
        FileNotFoundError: There is no file of `statistics`.
        ValueError: `mean` and `std` differ in length, or only one is given.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        statistics: str | None = None,
        in_channels: int = 3,
        bgr_to_rgb: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if statistics is not None:
            mean, std = read_statistics(statistics)
        self.measures = mean is None and std is None
        unknown = [float("nan")] * in_channels
        given = (unknown, unknown) if self.measures else (mean or (), std or ())
        if len(given[0]) != len(given[1]):
            raise ValueError(f"mean has {len(given[0])} channels, std {len(given[1])}")
        for name, values in zip(NAMES, given, strict=True):
            buffer = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            # Checkpoints of published models have none.
            self.register_buffer(name, buffer, persistent=self.measures)
        self.bgr_to_rgb = bgr_to_rgb
        self._known = False

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise; the rest, padding and stacking, is the library's."""
        data = self.cast_data(data)
        inputs = [self.normalize(image) for image in data["inputs"]]
        return super().forward({**data, "inputs": inputs}, training)

    def normalize(self, images: Tensor) -> Tensor:
        """(images - mean) / std in float32, in the order RGB where there are three bands.

        Args:
            images: (..., C, H, W) of any type.

        Raises:
            ValueError: They have another number of bands, or mean and std are not known.
        """
        channels = images.shape[-3]
        if channels != len(self.mean):
            raise ValueError(f"the images have {channels} channels, mean and std {len(self.mean)}")
        if not self.is_known():
            raise ValueError(
                "mean and std were not measured: load a checkpoint of a training, which has them, "
                "or set model.data_preprocessor's mean and std, or statistics=FILE"
            )
        images = images.float()
        images = images.flip(-3) if self.bgr_to_rgb and channels == 3 else images
        return (images - self.mean) / self.std

    def is_known(self) -> bool:
        """Whether mean and std are given, measured or loaded."""
        # Asked of the device only until it is so.
        self._known = self._known or not bool(self.mean.isnan().any())
        return self._known

    def set_measured(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take over what was measured.

        Raises:
            ValueError: Of another number of bands.
        """
        if len(mean) != len(self.mean):
            raise ValueError(
                f"the images have {len(mean)} channels, model.data_preprocessor.in_channels is "
                f"{len(self.mean)}"
            )
        for buffer, values in ((self.mean, mean), (self.std, std)):
            buffer.copy_(torch.tensor(values, dtype=torch.float32).view(-1, 1, 1))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Load as torch does; where names are missing or too many, say what to do about it."""
        super()._load_from_state_dict(state_dict, prefix, *args)
        *_, missing, unexpected, _ = args
        for names, remedy in ((missing, _SET), (unexpected, _DO_NOT_SET)):
            names[:] = [f"{n} ({remedy})" if n == f"{prefix}mean" else n for n in names]


def find_mean_and_std(
    entry: dict, checkpoint: str | None = None
) -> tuple[list[float] | None, list[float] | None]:
    """Those that a config's data_preprocessor uses; None if it does not say.

    Args:
        entry: Of the data preprocessor.
        checkpoint: Has them where they were measured.

    Raises:
        FileNotFoundError: Its file of statistics does not exist.
    """
    from mmengine.registry import MODELS

    from convnextv2.engine.types import find_class
    from convnextv2.engine.weights import read_checkpoint

    found = find_class(entry, MODELS)
    if found is None or not issubclass(found, BandNormalization):
        return entry.get("mean"), entry.get("std")
    known = ("mean", "std", "statistics", "in_channels")
    used = found(**{key: entry[key] for key in known if key in entry})
    tensors = [getattr(used, name) for name in NAMES]
    if used.measures:
        saved = read_checkpoint(checkpoint) if checkpoint else {}
        tensors = [saved.get(f"data_preprocessor.{name}") for name in NAMES]
    # Through text: the shortest numbers that are the same in float32.
    mean, std = (t if t is None else [float(str(v)) for v in t.flatten().numpy()] for t in tensors)
    return mean, std
