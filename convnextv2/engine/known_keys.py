"""Which keys an entry of a config takes, by what reads it."""

import inspect
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

EVERYWHERE = ("type", "_delete_", "_scope_")
# What mmengine's runners and this project's commands read at the top of a config.
RUNNER = (
    *("model", "work_dir", "train_dataloader", "val_dataloader", "test_dataloader", "train_cfg"),
    *("val_cfg", "test_cfg", "auto_scale_lr", "optim_wrapper", "param_scheduler", "val_evaluator"),
    *("test_evaluator", "default_hooks", "custom_hooks", "data_preprocessor", "load_from"),
    *("resume", "launcher", "env_cfg", "log_processor", "log_level", "visualizer"),
    *("default_scope", "randomness", "experiment_name", "strategy", "model_wrapper_cfg"),
    *("sync_bn", "find_unused_parameters", "custom_imports", "tta_model", "tta_pipeline"),
    *("compile", "cfg", "runner_type"),
)
LOADER = (
    *("dataset", "batch_size", "num_workers", "sampler", "batch_sampler", "collate_fn"),
    *("pin_memory", "pin_memory_device", "drop_last", "timeout", "worker_init_fn", "in_order"),
    *("multiprocessing_context", "prefetch_factor", "persistent_workers", "num_batch_per_epoch"),
)
# Entries without a `type` of their own, by the end of their path.
UNTYPED = {
    "train_cfg": (
        *("by_epoch", "max_epochs", "max_iters", "val_begin", "val_interval", "dynamic_intervals"),
    ),
    "val_cfg": ("fp16",),
    "test_cfg": ("fp16",),
    "train_dataloader": LOADER,
    "val_dataloader": LOADER,
    "test_dataloader": LOADER,
    "auto_scale_lr": ("enable", "base_batch_size"),
    "randomness": ("seed", "diff_rank_seed", "deterministic"),
    "env_cfg": ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"),
    "env_cfg.dist_cfg": ("backend", "timeout"),
    "env_cfg.mp_cfg": ("mp_start_method", "opencv_num_threads"),
    "default_hooks": (
        *("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint"),
        *("visualization", "seed_every_iter", "unreadable_images", "measure_statistics"),
    ),
    "optim_wrapper": (
        *("constructor", "paramwise_cfg", "optimizer", "clip_grad"),
        *("dtype", "loss_scale"),  # of AmpOptimWrapper, which `--amp` makes of it
    ),
    "optim_wrapper.clip_grad": ("max_norm", "max_value", "norm_type", "error_if_nonfinite"),
    "init_cfg": ("checkpoint", "prefix", "map_location", "strict"),
    "metainfo": ("classes", "palette"),
    "data_prefix": ("img", "img_path", "seg_map_path", "seg"),
}


def known_keys(cfg: "Config", path: list[str], entry: dict) -> set[str]:
    """Keys that an entry may have beside those that it has.

    Args:
        cfg: The whole config.
        path: Where the entry is in it; empty for the config itself.
        entry: What is there.
    """
    if not path:
        return set(RUNNER)
    known = set(EVERYWHERE)
    for end, keys in UNTYPED.items():
        # `train_cfg` of a model is another thing than that of the run.
        exact = end.endswith(("_cfg", "_dataloader", "_lr")) and end != "init_cfg"
        dotted = ".".join(path)
        if dotted == end or (not exact and dotted.endswith(f".{end}")):
            known.update(keys)
    kind = entry.get("type")
    if kind is not None:
        known.update(arguments(resolve(kind, cfg.get("default_scope") or "mmengine")))
    return known


def resolve(kind: object, scope: str) -> object:
    """The class or function that a config's `type` names; None if no registry has it.

    Args:
        kind: A name, with or without its scope, or the class itself.
        scope: Of a name without one.
    """
    if not isinstance(kind, str):
        return kind
    from mmengine import registry

    with suppress(ImportError):
        import_module(f"{scope}.registry")
    registries = [r for r in vars(registry).values() if isinstance(r, registry.Registry)]
    for root in (r for r in registries if r.parent is None):
        with suppress(Exception):  # mmengine raises where it finds nothing
            if (found := root.children.get(scope, root).get(kind)) is not None:
                return found
    return None


def arguments(kind: object) -> Iterator[str]:
    """Names of the arguments that a class or function takes.

    What a class hands on (``**kwargs``) are the arguments of its bases.
    """
    steps = [vars(c).get("__init__") for c in kind.__mro__] if inspect.isclass(kind) else [kind]
    for step in filter(None, steps):
        try:
            parameters = inspect.signature(step).parameters.values()
        except (TypeError, ValueError):
            return
        yield from (
            p.name
            for p in parameters
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"
        )
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return
