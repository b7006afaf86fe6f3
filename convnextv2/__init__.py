"""ConvNeXt V2 for dense prediction in the OpenMMLab ecosystem."""

__version__ = "0.1.0"
