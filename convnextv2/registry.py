"""The registries of scope ``convnextv2``.

``type='convnextv2.X'`` builds from any mmengine, mmdet or mmseg config with nothing imported
beforehand: the scope's registries import the folders named in ``locations`` when first asked, and
``detection`` and ``segmentation``, which need mmdet and mmseg, when the name is in none of those:
first the one that belongs to the default scope, and the other where nobody else has the name.
"""

import pkgutil
from functools import cache
from importlib import import_module

from mmengine import registry
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmengine.utils import get_object_from_string

SCOPE = "convnextv2"
# Modules and packages that register something and run without mmdet and mmseg.
_LOCATIONS = [
    "convnextv2.backbone",
    "convnextv2.engine.checkpoints",
    "convnextv2.engine.cpu_amp",
    "convnextv2.engine.drawing",
    "convnextv2.engine.early_stopping",
    "convnextv2.engine.fsdp",
    "convnextv2.engine.logger_hook",
    "convnextv2.engine.loops",
    "convnextv2.engine.measuring",
    "convnextv2.engine.report_hook",
    "convnextv2.engine.schedulers",
    "convnextv2.engine.seeding",
    "convnextv2.engine.signals",
    "convnextv2.engine.tiled_model",
    "convnextv2.engine.unreadable",
    "convnextv2.engine.validation_pictures",
    "convnextv2.images",
    "convnextv2.pretrain",
    "convnextv2.pretrain.supervised",
]
# By the scope of the library that they need.
_TASKS = {"mmdet": "convnextv2.detection", "mmseg": "convnextv2.segmentation"}


class ScopedRegistry(registry.Registry):
    """A registry that leads on what it does not have to the scope around it.

    mmengine builds what came from a base ``convnextv2::...`` as if every type in it were of this
    scope; those without a scope are the default scope's of the config, as in the base itself.
    """

    def get(self, key: str) -> type | None:
        """The class of a name: short, with this scope, or full."""
        name = key.removeprefix(f"{SCOPE}.")
        if "." in name:
            scope, rest = name.split(".", 1)
            if scope in _folders():  # a full name, of which a parent cuts off the first word
                return get_object_from_string(f"{SCOPE}.{scope}.{rest}")
            return super().get(key)
        self.import_from_location()
        outer = _outer_scope()
        if name not in self.module_dict and outer in _TASKS:
            _import_task(_TASKS[outer])
        if name not in self.module_dict and name == key and outer is not None:
            with self.switch_scope_and_registry(outer) as registry_of_outer:
                if found := registry_of_outer.get(key):
                    return found
        if name not in self.module_dict:
            for task in _TASKS.values():
                _import_task(task)
        return super().get(key)


def _outer_scope() -> str | None:
    """The innermost default scope other than this one."""
    scopes = [instance.scope_name for instance in DefaultScope._instance_dict.values()]
    return next((scope for scope in reversed(scopes) if scope != SCOPE), None)


@cache
def _folders() -> set[str]:
    """Names of the modules and packages of `convnextv2`."""
    return {module.name for module in pkgutil.iter_modules(import_module(SCOPE).__path__)} | {
        location.split(".")[1] for location in (*_LOCATIONS, *_TASKS.values())
    }


@cache
def _import_task(task: str) -> None:
    """Import every module of a task's folder, as far as what they need is installed."""
    for module in pkgutil.iter_modules(import_module(task).__path__, f"{task}."):
        name = module.name
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith(SCOPE):
                raise
            print_log(f"{name} registers nothing: {error}", logger="current")


def _child(parent: registry.Registry) -> registry.Registry:
    return ScopedRegistry(parent.name, parent=parent, scope=SCOPE, locations=_LOCATIONS)


# All of mmengine's: it logs a warning for each that a scope lacks.
RUNNERS = _child(registry.RUNNERS)
RUNNER_CONSTRUCTORS = _child(registry.RUNNER_CONSTRUCTORS)
LOOPS = _child(registry.LOOPS)
HOOKS = _child(registry.HOOKS)
STRATEGIES = _child(registry.STRATEGIES)
DATASETS = _child(registry.DATASETS)
DATA_SAMPLERS = _child(registry.DATA_SAMPLERS)
TRANSFORMS = _child(registry.TRANSFORMS)
MODELS = _child(registry.MODELS)
MODEL_WRAPPERS = _child(registry.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _child(registry.WEIGHT_INITIALIZERS)
OPTIMIZERS = _child(registry.OPTIMIZERS)
OPTIM_WRAPPERS = _child(registry.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child(registry.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child(registry.PARAM_SCHEDULERS)
METRICS = _child(registry.METRICS)
EVALUATOR = _child(registry.EVALUATOR)
TASK_UTILS = _child(registry.TASK_UTILS)
VISUALIZERS = _child(registry.VISUALIZERS)
VISBACKENDS = _child(registry.VISBACKENDS)
LOG_PROCESSORS = _child(registry.LOG_PROCESSORS)
INFERENCERS = _child(registry.INFERENCERS)
FUNCTIONS = _child(registry.FUNCTIONS)
