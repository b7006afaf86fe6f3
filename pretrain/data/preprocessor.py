"""From a collated batch to normalised images on the model's device."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from convnextv2.registry import MODELS

from .statistics import read_statistics


@MODELS.register_module()
class FCMAEDataPreprocessor(BaseDataPreprocessor):
    """Stack, move and normalise images of any number of channels.

    Args:
        mean: Mean of each channel, in the units of the files (0 to 255 for 8-bit images), in
            the order that the loading transform gives (RGB).
        std: Standard deviation of each channel.
        statistics: File of tools/dataset_converters/compute_statistics.py; its mean and std are
            taken instead.
        non_blocking: Do not wait for the copy to the device.

    Raises:
        FileNotFoundError: There is no file of `statistics`.
        ValueError: `mean` and `std` differ in length.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        statistics: str | None = None,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking)
        if statistics is not None:
            mean, std = read_statistics(statistics)
        if len(mean) != len(std):
            raise ValueError(f"mean has {len(mean)} channels, std {len(std)}")
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """``inputs`` (B, C, H, W), or a list of (C, H, W), becomes normalised float32."""
        data = dict(data)
        data.pop("unreadable", None)  # for `UnreadableImagesHook`
        images = data["inputs"]
        images = torch.stack(list(images)) if not isinstance(images, Tensor) else images
        images = self.cast_data(images).float()
        if images.shape[1] != len(self.mean):
            raise ValueError(
                f"the images have {images.shape[1]} channels, mean and std {len(self.mean)}"
            )
        data["inputs"] = (images - self.mean) / self.std
        return data

    def denormalize(self, images: Tensor) -> Tensor:
        """The inverse: normalised images (B, C, H, W) in the units of the files."""
        return images * self.std + self.mean
