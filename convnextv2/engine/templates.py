"""Templates: configs in which a few settings at the top rule the rest.

A template has the entry ``template`` and leaves blank, as None, what follows from its settings.
`read_config` first merges what a child of it and the command line set; then `fill_template` lets
the task write what follows. What remains is a config like any other, without the settings.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convnextv2.engine.errors import InputError, suggest
from convnextv2.engine.ineffective import find_unread
from convnextv2.engine.known_keys import RUNNER
from convnextv2.engine.tasks import Task, find_task
from convnextv2.engine.template import MARK, Template
from convnextv2.engine.template_settings import SETTINGS, find_wrong

if TYPE_CHECKING:
    from mmengine.config import Config

# Of the bases of templates, copied into what is read.
HELPERS = ("train_pipeline", "test_pipeline", "dataset", "head")


def fill_template(cfg: "Config", path: str = "", options: Sequence[str] = ()) -> None:
    """Write what follows from a template's settings into a config, in place.

    A config that is of no template, or was filled before, is left as it is.

    Args:
        cfg: With all that a child and the command line set.
        path: Of its file, in which names are looked up that nothing reads.
        options: ``KEY=VALUE`` of the command line.

    Raises:
        InputError: A setting cannot be, takes no effect, or contradicts an entry that follows
            from it; all are named.
    """
    if not is_template(cfg):
        return
    task = find_task(cfg)
    if task is None or not task.settings:
        raise InputError(f"{path}: the model of a template has another task than the template")
    _refuse_unread(task.settings, path, options)
    template = Template(cfg, _read_settings(cfg, task))
    task.fill_template(template)
    template.finish()
    for name in (MARK, *SETTINGS, *HELPERS):
        cfg.pop(name, None)


def is_template(cfg: "Config") -> bool:
    """Whether a config's settings are not written into the rest yet."""
    return hasattr(cfg.get(MARK), "items")


def _read_settings(cfg: "Config", task: Task) -> dict[str, Any]:
    """Value of each setting, of those that are None what the template usually takes."""
    settings = {name: cfg.get(name) for name in task.settings}
    for part in ("train", "val"):  # None in a base would let no child give a dict
        if hasattr(settings[part], "values") and not any(settings[part].values()):
            settings[part] = None
    given = {k: v for k, v in settings.items() if v is not None or k not in task.optional}
    if wrong := find_wrong(given, task.places):
        raise InputError("settings that cannot be:\n" + "\n".join(f"  {line}" for line in wrong))
    if settings["iterations"] is None and settings["epochs"] is None:
        settings |= {name: cfg[MARK].get(name) for name in ("iterations", "epochs")}
    if settings["lr"] is None:
        settings["lr"] = cfg[MARK].get("lr")
    settings["data_root"] = os.path.expanduser(settings["data_root"] or "")
    return settings


def _refuse_unread(settings: Sequence[str], path: str, options: Sequence[str]) -> None:
    """Stop if a name is set at the top that nothing reads, a misspelt setting for example."""
    lines = [
        f"  {name}{'' if name in SETTINGS else suggest(name, [*settings, *RUNNER])}"
        for name in find_unread(path, options, {MARK, *settings})
    ]
    if lines:
        raise InputError(
            "set, but nothing reads it:\n" + "\n".join(lines) + "\n"
            f"The settings of this template are {', '.join(settings)}."
        )
