"""DETR's jitter, drawn before an image is read: one of several sizes, of the whole or of a crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmdet.datasets.transforms import Resize

from convnextv2.engine.errors import InputError
from convnextv2.registry import TRANSFORMS
from convnextv2.scaled_crops import (
    ScaledCrop,
    draw_flip,
    draw_window,
    find_scaled_shape,
    put_crop,
)

_AGAIN = "second_scale"  # where the results of a pipeline have what the crop is scaled to

Scales = Sequence[tuple[int, int]]


@TRANSFORMS.register_module()
class MultiScaleCrop:
    """Draw size and crop of an image before `LoadImage` reads it, as DETR's recipes have it.

    The image is mirrored or not; then, by equal chance, it is scaled to one of `scales`, or it is
    scaled to one of `crop_scales`, cropped, and the crop is scaled to one of `scales`. The draws
    are those of mmdet's ``RandomFlip``, ``RandomChoice``, ``RandomChoiceResize`` and
    ``RandomCrop``. `LoadImage` and `LoadObjects`, which have to follow, read the crop alone;
    `ResizeCrop` after them scales it the second time.

    Args:
        scales: Longer and shorter side of what is seen, in any order; the sides' ratio is kept.
        crop_scales: The same, of images that are cropped.
        crop_range: Least and largest side of a crop, as of ``absolute_range``.
        flip_prob: Of mirroring the image.

    Raises:
        InputError: When called: the image's size is not annotated.
    """

    def __init__(
        self, scales: Scales, crop_scales: Scales, crop_range: tuple[int, int], flip_prob: float
    ) -> None:
        self.scales, self.crop_scales = list(scales), list(crop_scales)
        self.crop_range, self.flip_prob = crop_range, flip_prob

    def __call__(self, results: dict) -> dict:
        if "height" not in results or "width" not in results:
            raise InputError("MultiScaleCrop: the data set gives no height and width of images")
        image_shape = results["height"], results["width"]
        flip_direction = draw_flip(self.flip_prob)
        results |= {"flip": flip_direction is not None, "flip_direction": flip_direction}
        if np.random.choice(2) == 0:
            high, wide = scaled_shape = find_scaled_shape(image_shape, _draw(self.scales))
            window = (0, 0, wide, high)
        else:
            scaled_shape = find_scaled_shape(image_shape, _draw(self.crop_scales))
            least, most = self.crop_range
            high, wide = (
                np.random.randint(min(side, least), min(side, most) + 1) for side in scaled_shape
            )
            window = draw_window(scaled_shape, (high, wide))
            results[_AGAIN] = _draw(self.scales)
        put_crop(results, ScaledCrop(image_shape, scaled_shape, window, flip_direction))
        return results

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"MultiScaleCrop({arguments})"


@TRANSFORMS.register_module()
class ResizeCrop(Resize):
    """mmdet's ``Resize`` of image and boxes to what `MultiScaleCrop` drew for a crop, if it did."""

    def __init__(self) -> None:
        super().__init__(scale=0, keep_ratio=True)

    def transform(self, results: dict) -> dict:
        """Scale the crop."""
        scale = results.pop(_AGAIN, None)
        if scale is None:
            return results
        self.scale = scale
        return super().transform(results)


def _draw(scales: Scales) -> tuple[int, int]:
    return scales[np.random.randint(len(scales))]
