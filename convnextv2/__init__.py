"""ConvNeXt V2 for dense prediction in the OpenMMLab ecosystem."""

from convnextv2.environment import check_core

__version__ = "0.1.0"

check_core()  # before mmengine is imported, which may be missing or there twice

from mmengine.config.utils import MODULE2PACKAGE  # noqa: E402

# mmengine's table of the scopes that ``_base_ = 'SCOPE::...'`` knows, and of the packages that
# have their configs.
MODULE2PACKAGE["convnextv2"] = "convnextv2.installed_configs.package"
