"""mmseg's data preprocessor for any number of bands."""

from mmseg.models import SegDataPreProcessor as MMSegDataPreProcessor

from convnextv2.preprocessing import BandNormalization
from convnextv2.registry import MODELS


@MODELS.register_module()
class SegDataPreProcessor(BandNormalization, MMSegDataPreProcessor):
    """mmseg's, with mean and std as of `BandNormalization`."""
