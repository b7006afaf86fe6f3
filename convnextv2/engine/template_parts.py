"""What follows from the settings of a template, whatever its task."""

from collections.abc import Iterator
from typing import Any

from convnextv2.engine.known_keys import arguments
from convnextv2.engine.template import LOADERS, Template
from convnextv2.engine.types import find_class, is_a, list_metrics

WARM_UP = 0.05  # of the run
PARTS = 10  # validations of a run, about
LOGGED = 50  # steps between two lines of the log, at most
IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
READER = "convnextv2.images.LoadImage"


def set_length(template: Template) -> None:
    """The loop, its length, and warm-up, validations and checkpoints as shares of that."""
    cfg, settings = template.cfg, template.settings
    iterations, epochs = settings["iterations"], settings["epochs"]
    setting, key, length, other = "iterations", "max_iters", iterations, "max_epochs"
    if iterations is None:
        setting, key, length, other = "epochs", "max_epochs", epochs, "max_iters"
    if (old := cfg.train_cfg.get(other)) is not None:
        template.wrong.append(f"train_cfg.{other} is {old}: set that by the setting of its name")
    template.rule("train_cfg", key, length, setting)
    kind = "EpochBasedTrainLoop" if epochs else "IterBasedTrainLoop"
    template.suppose("train_cfg", "type", kind)
    # Of a short run once, which may be shorter than a validation.
    interval = max(1, length // PARTS) if epochs else max(min(length, LOGGED), length // PARTS)
    template.suppose("train_cfg", "val_interval", interval)
    template.suppose("default_hooks.checkpoint", "interval", cfg.train_cfg.val_interval)
    template.suppose("default_hooks.checkpoint", "by_epoch", bool(epochs))
    template.suppose("default_hooks.logger", "log_metric_by_epoch", bool(epochs))
    logged = LOGGED if epochs else max(1, min(LOGGED, length // PARTS))
    template.suppose("default_hooks.logger", "interval", logged)
    template.suppose("log_processor", "by_epoch", bool(epochs))
    _set_schedulers(cfg.get("param_scheduler") or [], length, bool(epochs))
    sampler = "SeededSampler" if epochs else "SeededInfiniteSampler"
    template.suppose("train_dataloader.sampler", "type", f"convnextv2.{sampler}")


def _set_schedulers(schedulers: Any, length: int, by_epoch: bool) -> None:
    """Fill in the ends that are blank: of a warm-up, and of what lasts as long as the run."""
    for entry in schedulers if isinstance(schedulers, list) else [schedulers]:
        if "end" not in entry or entry["end"] is not None:
            continue
        share = WARM_UP if "start_factor" in entry else 1
        # A ramp has two steps; `WarmUpLR` sees to that where it counts epochs.
        entry["end"] = share * length if by_epoch else max(2, round(share * length))
        entry["by_epoch"] = by_epoch
        if by_epoch:
            entry["convert_to_iter_based"] = True


def set_rate(template: Template) -> None:
    """The learning rate: the recipe's, which follows the batch, or the user's as it is."""
    cfg = template.cfg
    chosen = cfg.get("lr") is not None
    template.rule("optim_wrapper.optimizer", "lr", template.settings["lr"], "lr")
    template.suppose("auto_scale_lr", "enable", not chosen)


def set_loaders(template: Template) -> None:
    """The batch, and processes that read."""
    template.rule("train_dataloader", "batch_size", template.settings["batch_size"], "batch_size")
    for name in LOADERS:
        loader = template.find(name)
        if loader is not None:
            template.suppose(name, "batch_size", template.settings["batch_size"])
            template.suppose(name, "persistent_workers", loader.get("num_workers", 0) > 0)


def set_places(template: Template, kind: str, keys: dict[str, str]) -> None:
    """Folders and files of the data sets; without a part for validation there is none.

    Args:
        template: The template.
        kind: Full name of the class of its data sets.
        keys: Of `train` and `val`: how the data set's entry calls each, with dots.
    """
    root = template.settings["data_root"]
    for name in LOADERS:
        part = "train" if name.startswith("train") else "val"
        places = template.settings[part]
        found = [(w, entry) for w, entry in template.datasets(name, kind) if "data_root" in entry]
        if places is None:
            if part == "train" and any(_is_blank(entry) for _, entry in found):
                template.wrong.append(f"train is None, but {name}.dataset does not say its data")
            continue
        if not found and template.cfg.get(name):
            template.wrong.append(
                f"{name}.dataset is no {kind.rpartition('.')[2]} with a data_root, so that {part} "
                f"takes no effect: set {part} = None"
            )
        for where, entry in found:
            template.rule_entry(entry, f"{where}.data_root", "data_root", root, "data_root")
            for key, place in keys.items():
                _set_place(template, f"{where}.{place}", places.get(key) or "", part)


def _set_place(template: Template, place: str, value: str, part: str) -> None:
    where, _, key = place.rpartition(".")
    entry = _descend(template.cfg, where)
    template.rule_entry(entry, place, key, value, part)


def _descend(cfg: Any, where: str) -> Any:
    """The group of a name with dots in which numbers are places of lists."""
    node = cfg
    for key in where.split("."):
        node = node[int(key)] if key.isdecimal() else node[key]
    return node


def _is_blank(entry: dict) -> bool:
    """Whether a data set's entry leaves it to the settings where its data are."""
    return entry.get("data_root", "") is None


def leave_validation(template: Template, kind: str) -> None:
    """Without `val`: train without validation; a test is that of the training images.

    Data sets for validation that a child wrote itself are kept. To call after `set_places`.
    """
    cfg, settings = template.cfg, template.settings
    if settings["val"] is not None:
        if settings["val"] == settings["train"]:
            template.note("val is the same as train: scores tell nothing of other images")
        return
    validated = [entry for _, entry in template.datasets("val_dataloader", kind)]
    if cfg.get("val_dataloader") and not any(map(_is_blank, validated)):
        return
    cfg["val_dataloader"] = cfg["val_cfg"] = cfg["val_evaluator"] = None
    trained = [entry for _, entry in template.datasets("train_dataloader", kind)]
    tested = [entry for _, entry in template.datasets("test_dataloader", kind)]
    for entry in tested:
        if trained and _is_blank(entry):
            places = ("data_root", "ann_file", "data_prefix")
            entry.update({key: trained[0][key] for key in places if key in trained[0]})
    if any(map(_is_blank, tested)):
        cfg["test_dataloader"] = cfg["test_cfg"] = cfg["test_evaluator"] = None
    template.note("val is None: nothing is validated in training, tests are of training images")


def list_evaluators(template: Template) -> Iterator[tuple[str, dict]]:
    """The metrics of validation and test, with where they are."""
    for name in ("val_evaluator", "test_evaluator"):
        yield from ((name, entry) for entry in list_metrics(template.cfg.get(name)))


def set_classes(template: Template, without: tuple[str, ...] = ()) -> None:
    """The number of classes of every head, however deep in the model.

    Args:
        template: The template.
        without: Full names of classes of heads whose number is another thing.
    """
    count = len(template.settings["classes"])
    for where, entry in find_heads(template, "num_classes"):
        if not is_a(_find_model(template, entry), *without):
            template.rule_entry(entry, f"{where}.num_classes", "num_classes", count, "classes")


def find_heads(template: Template, argument: str) -> Iterator[tuple[str, dict]]:
    """Heads and losses in the model whose class takes an argument, or whose entry has it."""
    for where, entry in _walk_heads(template.cfg["model"], "model"):
        if argument in entry or argument in _arguments(template, entry):
            yield where, entry


def _walk_heads(node: Any, where: str) -> Iterator[tuple[str, dict]]:
    if isinstance(node, (list, tuple)):
        for number, child in enumerate(node):
            yield from _walk_heads(child, f"{where}.{number}")
    elif hasattr(node, "items"):
        if "head" in where.rpartition("model.")[2] and ("type" in node or "num_classes" in node):
            yield where, node
        for key, child in list(node.items()):
            yield from _walk_heads(child, f"{where}.{key}")


def _find_model(template: Template, entry: dict) -> type | None:
    from mmengine.registry import MODELS

    return find_class(entry, MODELS, template.cfg.get("default_scope")) if entry else None


def _arguments(template: Template, entry: dict) -> set[str]:
    """What the class of a model's entry takes."""
    found = _find_model(template, entry)
    return set(arguments(found)) if found else set()


def set_bands(template: Template) -> None:
    """Channels, type of values, mean and std: of the readers, the backbone and the preprocessor.

    Mean and std of other images than ImageNet's kind are measured before training where nobody
    gives them.
    """
    from convnextv2 import bands as bands_of_config

    settings = template.settings
    bands, mean, std = settings["bands"], settings["mean"], settings["std"]
    dtype = settings["dtype"] or ("uint8" if bands == 3 else None)
    for where, step in template.steps():
        if _is_reader(template, step):
            template.rule_entry(step, f"{where}.in_channels", "in_channels", bands, "bands")
            if dtype is not None:
                template.rule_entry(step, f"{where}.dtype", "dtype", dtype, "dtype")
    template.rule("model.backbone", "in_channels", bands, "bands")
    statistics = (template.find("model.data_preprocessor") or {}).get("statistics")
    if mean is None and bands == 3 and dtype == "uint8" and not statistics:
        mean, std = IMAGENET
    if mean is not None:
        template.rule("model.data_preprocessor", "mean", list(mean), "mean")
        template.rule("model.data_preprocessor", "std", list(std), "std")
    bands_of_config.set_bands(template.cfg, bands, dtype, mean, std, statistics)


def _is_reader(template: Template, step: dict) -> bool:
    from mmengine.registry import TRANSFORMS

    return is_a(find_class(step, TRANSFORMS, template.cfg.get("default_scope")), READER)


def fill_blanks(template: Template, values: dict[str, object]) -> None:
    """Write values into the transforms that left these arguments blank."""
    for _, step in template.steps():
        for key, value in values.items():
            if key in step and step[key] is None:
                step[key] = value


def as_pair(size: Any) -> tuple[int, int]:
    """A setting's size as (height, width)."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
