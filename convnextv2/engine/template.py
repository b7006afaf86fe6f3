"""A template's config, and how what follows from its settings is written into it."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from convnextv2.engine.errors import InputError
from convnextv2.engine.types import find_class, is_a, walk_datasets

if TYPE_CHECKING:
    from mmengine.config import Config

MARK = "template"
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


class Template:
    """A template's config, while what follows from its settings is written into it.

    Attributes:
        cfg: The config.
        settings: Value of each setting that the task's templates have.
        wrong: Entries that contradict a setting.
    """

    def __init__(self, cfg: "Config", settings: dict[str, Any]) -> None:
        self.cfg = cfg
        self.settings = settings
        self.wrong: list[str] = []

    def rule(self, where: str, key: str, value: object, setting: str) -> None:
        """Write an entry that a setting rules; another value that somebody set there is refused.

        Args:
            where: The group of entries, with dots; one that the config lacks is passed over.
            key: In that group.
            value: What follows from the setting.
            setting: Its name.
        """
        entry = self.find(where)
        if entry is not None:
            self.rule_entry(entry, f"{where}.{key}".lstrip("."), key, value, setting)

    def rule_entry(self, entry: dict, where: str, key: str, value: object, setting: str) -> None:
        """`rule` in a group of entries that was found already; `where` is the whole name."""
        old = entry.get(key)
        if old is None:
            entry[key] = value
        elif _plain(old) != _plain(value):
            self.wrong.append(
                f"{where} is {_short(old)}, but {setting} makes it {_short(value)}: "
                f"set {setting}, and leave {where} out"
            )

    def suppose(self, where: str, key: str, value: object) -> None:
        """Write an entry that nobody has set."""
        entry = self.find(where)
        if entry is not None and entry.get(key) is None:
            entry[key] = value

    def find(self, where: str) -> Any:
        """The entries of a group; None if there is no such group."""
        node: Any = self.cfg
        for part in where.split(".") if where else ():
            node = node.get(part) if hasattr(node, "get") else None
        return node if hasattr(node, "get") else None

    def datasets(self, loader: str, kind: str) -> Iterator[tuple[str, dict]]:
        """A loader's data sets of a class, inside of wrappers too, with where they are."""
        from mmengine.registry import DATASETS

        entry = (self.cfg.get(loader) or {}).get("dataset")
        for where, inner in walk_datasets(entry, f"{loader}.dataset"):
            if is_a(find_class(inner, DATASETS, self.cfg.get("default_scope")), kind):
                yield where, inner

    def steps(self) -> Iterator[tuple[str, dict]]:
        """Every transform of every pipeline, inside of others too, with where it is."""
        for loader in LOADERS:
            entry = (self.cfg.get(loader) or {}).get("dataset")
            for where, inner in walk_datasets(entry, f"{loader}.dataset"):
                yield from _walk_steps(inner.get("pipeline"), f"{where}.pipeline")
        yield from _walk_steps(self.cfg.get("tta_pipeline"), "tta_pipeline")

    def note(self, text: str) -> None:
        """Log what a user should know of what follows."""
        from mmengine.logging import print_log

        print_log(text, logger="current", level=logging.INFO)

    def finish(self) -> None:
        """Stop if entries contradict settings; all are named.

        Raises:
            InputError: They do.
        """
        if self.wrong:
            lines = "\n".join(f"  {line}" for line in dict.fromkeys(self.wrong))
            raise InputError(f"entries that contradict the settings of the template:\n{lines}")


def _walk_steps(steps: Any, where: str) -> Iterator[tuple[str, dict]]:
    for number, step in enumerate(steps or ()):
        here = f"{where}.{number}"
        if isinstance(step, (list, tuple)):  # an alternative of TestTimeAug
            yield from _walk_steps(step, here)
        else:
            yield here, step
            yield from _walk_steps(step.get("transforms"), f"{here}.transforms")


def _plain(value: Any) -> Any:
    """Tuples as lists, so that what differs in that alone is equal."""
    if hasattr(value, "items"):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _short(value: object) -> str:
    text = str(_plain(value)) if not isinstance(value, str) else repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."
