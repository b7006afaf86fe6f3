"""From a collated batch to normalised images on the model's device."""

from collections.abc import Sequence

import torch
from torch import Tensor

from convnextv2.preprocessing import BandNormalization
from convnextv2.registry import MODELS


@MODELS.register_module()
class FCMAEDataPreprocessor(BandNormalization):
    """Stack, move and normalise images of any number of channels, see `BandNormalization`.

    Args:
        mean: Mean of each channel, in the units of the files (0 to 255 for 8-bit images), in
            the order that the loading transform gives (RGB); None: measured before training.
        std: Standard deviation of each channel.
        statistics: File of tools/dataset_converters/compute_statistics.py; its mean and std are
            taken instead.
        in_channels: Channels of the images, where mean and std are measured.
        non_blocking: Do not wait for the copy to the device.

    Raises:
        FileNotFoundError: There is no file of `statistics`.
        ValueError: `mean` and `std` differ in length.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = (123.675, 116.28, 103.53),
        std: Sequence[float] | None = (58.395, 57.12, 57.375),
        statistics: str | None = None,
        in_channels: int = 3,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(mean, std, statistics, in_channels, non_blocking=non_blocking)

    def forward(self, data: dict, training: bool = False) -> dict:
        """``inputs`` (B, C, H, W), or a list of (C, H, W), becomes normalised float32."""
        data = dict(data)
        data.pop("unreadable", None)  # for `UnreadableImagesHook`
        # Moved first: of a list some are float32, and stacking makes all of them that.
        images = self.cast_data(data["inputs"])
        images = torch.stack(list(images)) if not isinstance(images, Tensor) else images
        data["inputs"] = self.normalize(images)
        return data

    def denormalize(self, images: Tensor) -> Tensor:
        """The inverse: normalised images (B, C, H, W) in the units of the files."""
        return images * self.std + self.mean
