"""Values that a config can hold, checked before anything is built from them."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from convnextv2.engine.errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config


class Rule(NamedTuple):
    """What the settings of some name may be; None is let through where nothing else is said."""

    pattern: str
    """Of dotted keys, as of file names."""
    lowest: float
    highest: float
    kind: type | tuple
    words: str
    """What is right, to be read after "must be"."""
    also: tuple = (None,)


INFINITE = float("inf")
TINY = 1e-300  # a number that must be more than zero


def _count(pattern: str, lowest: int = 1, also: tuple = (None,)) -> Rule:
    return Rule(pattern, lowest, INFINITE, int, f"a whole number, {lowest} or more", also)


# The first that fits a key holds.
RULES = (
    _count("*_dataloader.batch_size", also=()),
    _count("*_dataloader.num_workers", 0, also=()),
    _count("*_dataloader.prefetch_factor"),
    _count("train_cfg.max_iters", also=()),
    _count("train_cfg.max_epochs", also=()),
    _count("train_cfg.val_interval", also=()),
    _count("train_cfg.val_begin", 0, also=()),
    _count("default_hooks.checkpoint.interval", also=(-1,)),
    _count("default_hooks.checkpoint.max_keep_ckpts", also=(-1,)),
    _count("default_hooks.*.interval", also=()),
    _count("default_hooks.early_stopping.patience"),
    _count("default_hooks.validation_pictures.number", 0, also=()),
    _count("optim_wrapper.accumulative_counts", also=()),
    Rule("optim_wrapper.optimizer.lr", TINY, INFINITE, Real, "a number above 0", ()),
    Rule("optim_wrapper.optimizer.weight_decay", 0, INFINITE, Real, "a number, 0 or more", ()),
    Rule("optim_wrapper.clip_grad.max_norm", TINY, INFINITE, Real, "a number above 0", ()),
    Rule("auto_scale_lr.base_batch_size", TINY, INFINITE, Real, "a number above 0", ()),
    _count("randomness.seed", 0),
    _count("*.in_channels", also=(None, "list")),
    _count("*.num_classes", also=()),
    Rule("*.drop_path_rate", 0, 1, Real, "a number from 0 to 1", ()),
    Rule("model.mask_ratio", 0, 1, Real, "a number from 0 to 1", ()),
    Rule("*.crop_size.?", TINY, INFINITE, Real, "a number above 0", ()),
)
# Entries that hold others.
GROUPS = (
    *("model", "model.backbone", "train_dataloader", "val_dataloader", "test_dataloader"),
    *("train_dataloader.dataset", "val_dataloader.dataset", "test_dataloader.dataset"),
    *("optim_wrapper", "optim_wrapper.optimizer", "train_cfg", "default_hooks", "randomness"),
)
TEXTS = ("data_root", "ann_file", "work_dir", "load_from")


def check_settings(cfg: "Config") -> None:
    """Stop if settings have values that nothing can be made of; all are named at once.

    Raises:
        InputError: They have.
    """
    wrong = [f"  {line}" for line in _wrong_groups(cfg)]
    for key, value in _leaves(cfg):
        rule = next((rule for rule in RULES if fnmatchcase(key, rule.pattern)), None)
        if rule and not _fits(rule, value):
            wrong.append(f"  {key} must be {rule.words}, not {value!r}")
        if key.rsplit(".", 1)[-1] in TEXTS and not isinstance(value, (str, type(None))):
            wrong.append(f"  {key} must be a path, not {value!r}")
    if wrong:
        raise InputError("settings that cannot be:\n" + "\n".join(wrong))


def need_entries(cfg: "Config", path: str, *names: str) -> None:
    """Stop if a config lacks entries that a command works with.

    Args:
        cfg: The whole config.
        path: Its file, for the message.
        names: Of entries at the top.

    Raises:
        InputError: It does.
    """
    if missing := [name for name in names if cfg.get(name) is None]:
        raise InputError(f"{path} has no {', '.join(missing)}")


def _wrong_groups(cfg: "Config") -> Iterator[str]:
    for key in GROUPS:
        node: Any = cfg
        for part in key.split("."):
            node = node.get(part) if hasattr(node, "get") else None
        if node is not None and not hasattr(node, "get"):
            yield f"{key} must be a group of settings, dict(...), not {node!r}"


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and values of everything that holds no more keys; lists are leaves too."""
    for name, value in node.items() if hasattr(node, "items") else enumerate(node):
        key = f"{prefix}{name}"
        if not hasattr(value, "items"):
            yield key, value
        if hasattr(value, "items") or isinstance(value, (list, tuple)):
            yield from _leaves(value, f"{key}.")


def _fits(rule: Rule, value: Any) -> bool:
    if isinstance(value, (list, tuple)) and "list" in rule.also:
        return True  # its members have rules of their own, or none
    is_number = isinstance(value, rule.kind) and not isinstance(value, bool)
    if not is_number:
        return any(value is allowed for allowed in rule.also)
    return rule.lowest <= value <= rule.highest or value in rule.also
