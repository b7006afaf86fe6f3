"""ConvNeXt V2 for dense prediction in the OpenMMLab ecosystem."""

from mmengine.config.utils import MODULE2PACKAGE

__version__ = "0.1.0"

# mmengine's table of the scopes that ``_base_ = 'SCOPE::...'`` knows, and of the packages that
# have their configs.
MODULE2PACKAGE["convnextv2"] = "convnextv2.installed_configs.package"
