"""Samples of segmentation for the model."""

from mmseg.datasets.transforms import PackSegInputs

from convnextv2.planes import to_planes
from convnextv2.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackLabelMask(PackSegInputs):
    """mmseg's ``PackSegInputs``, faster: the channels are taken apart by OpenCV."""

    def transform(self, results: dict) -> dict:
        """Pack image and labels."""
        return super().transform({**results, "img": to_planes(results["img"])})
