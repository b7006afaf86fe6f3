"""The registries of scope ``convnextv2``.

``type='convnextv2.X'`` builds from any mmengine, mmdet or mmseg config with nothing imported
beforehand: the scope's registries import the folders named in ``locations`` when first asked.
"""

from mmengine import registry

# Modules and packages that register something.
_LOCATIONS = [
    "convnextv2.backbone",
    "convnextv2.engine.checkpoints",
    "convnextv2.engine.fsdp",
    "convnextv2.engine.seeding",
    "convnextv2.engine.unreadable",
    "convnextv2.images",
    "convnextv2.pretrain",
]


def _child(parent: registry.Registry) -> registry.Registry:
    return registry.Registry(parent.name, parent=parent, scope="convnextv2", locations=_LOCATIONS)


MODELS = _child(registry.MODELS)
DATASETS = _child(registry.DATASETS)
DATA_SAMPLERS = _child(registry.DATA_SAMPLERS)
TRANSFORMS = _child(registry.TRANSFORMS)
FUNCTIONS = _child(registry.FUNCTIONS)
HOOKS = _child(registry.HOOKS)
METRICS = _child(registry.METRICS)
STRATEGIES = _child(registry.STRATEGIES)
OPTIM_WRAPPER_CONSTRUCTORS = _child(registry.OPTIM_WRAPPER_CONSTRUCTORS)
