"""mmdet's data preprocessor for any number of bands."""

from mmdet.models.data_preprocessors import DetDataPreprocessor as MMDetDataPreprocessor

from convnextv2.preprocessing import BandNormalization
from convnextv2.registry import MODELS


@MODELS.register_module()
class DetDataPreprocessor(BandNormalization, MMDetDataPreprocessor):
    """mmdet's, with mean and std as of `BandNormalization`."""
