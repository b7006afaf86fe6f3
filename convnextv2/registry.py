"""The registries of scope ``convnextv2``.

``type='convnextv2.X'`` builds from any mmengine, mmdet or mmseg config with nothing imported
beforehand: the scope's registries import the folders named in ``locations`` when first asked.
"""

from importlib import import_module

from convnextv2.environment import check_core

check_core()  # before mmengine is imported, which may be missing or there twice

from mmengine import registry  # noqa: E402

# Modules and packages that register something.
_LOCATIONS = [
    "convnextv2.backbone",
    "convnextv2.engine.checkpoints",
    "convnextv2.engine.fsdp",
    "convnextv2.engine.loops",
    "convnextv2.engine.seeding",
    "convnextv2.engine.signals",
    "convnextv2.images",
    "convnextv2.pretrain",
]


class _LazyRegistry(registry.Registry):
    """A registry with names whose modules are imported only when one of them is asked for.

    For what needs mmdet or mmseg: a pre-training asks the same registry and needs neither.
    """

    def __init__(self, *args: object, lazy: dict[str, str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def get(self, key: str) -> type | None:
        """mmengine's `Registry.get`."""
        if module := self._lazy.get(key.removeprefix("convnextv2.")):
            import_module(module)
        return super().get(key)


def _child(parent: registry.Registry) -> registry.Registry:
    return registry.Registry(parent.name, parent=parent, scope="convnextv2", locations=_LOCATIONS)


MODELS = _child(registry.MODELS)
DATASETS = _child(registry.DATASETS)
DATA_SAMPLERS = _child(registry.DATA_SAMPLERS)
TRANSFORMS = _child(registry.TRANSFORMS)
HOOKS = _child(registry.HOOKS)
LOOPS = _child(registry.LOOPS)
METRICS = _LazyRegistry(
    registry.METRICS.name,
    parent=registry.METRICS,
    scope="convnextv2",
    locations=_LOCATIONS,
    lazy={"CocoMetric": "convnextv2.detection.coco_metric"},
)
STRATEGIES = _child(registry.STRATEGIES)
OPTIM_WRAPPER_CONSTRUCTORS = _child(registry.OPTIM_WRAPPER_CONSTRUCTORS)
