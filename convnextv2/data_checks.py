"""The data checks that check_data.py reports and that train.py insists on.

What is checked of a data set is its kind's, a `Part` that its task describes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, Dataset

from convnextv2.class_counts import check_heads
from convnextv2.data_parts import Part, Report, try_pipeline
from convnextv2.engine.errors import InputError, describe
from convnextv2.engine.tasks import list_tasks
from convnextv2.engine.types import find_class, is_a, walk_datasets
from convnextv2.findings import Finding, describe_group, group_findings
from convnextv2.overlap import check_overlap

if TYPE_CHECKING:
    from mmengine.config import Config

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
WORKERS = 2  # processes that open files
FEW = 64  # files, for which no process is started

# What shows how far an iteration is: of what, its title, its length.
Progress = Callable[[Iterable, str, int], Iterable]


def refuse_fatal(cfg: Config) -> None:
    """Stop a training whose data have fatal faults; opens no image, and a few label masks.

    Raises:
        SystemExit: There are; the first are named.
    """
    parts = [part for part in list_parts(cfg, LOADERS[:2]) if part.before_training]
    findings: list[Finding] = []
    for part in parts:
        for step in (part.read, partial(part.check_model, cfg), part.sample):
            findings += guard(part.name, step)
    findings += [finding for part in parts for finding in part.findings]
    findings += check_heads(cfg.model, parts)
    fatal = [group for group in group_findings(findings) if group[0].level == "fatal"]
    lines = [line for group in fatal for line in describe_group(group)]
    if fatal:
        more = f"\n  and {len(lines) - 30} lines more" if len(lines) > 30 else ""
        raise SystemExit(
            "The data cannot be trained on:\n  " + "\n  ".join(lines[:30]) + more + "\n"
            "python tools/dataset_converters/check_data.py CONFIG names all of it and "
            "looks into the images too."
        )


def check_all(cfg: Config, progress: Progress) -> tuple[list[Part], list[Finding]]:
    """Everything that can be found out: each file is opened, and images pass the pipelines.

    Args:
        cfg: The whole config.
        progress: Shows how far it is.
    """
    listed, parts = list_parts(cfg), []
    findings: list[Finding] = []
    for part in listed:
        root = part.entry.get("data_root") or ""
        if part.name == "test" and not os.path.exists(root or "."):  # of a base, that none wants
            text = f"test: {root} does not exist; nothing but tools/test.py would read it"
            findings.append(Finding("note", "parts that are not there", text))
        else:
            parts.append(part)
    for part in parts:
        steps = (
            part.read,
            partial(part.check_model, cfg),
            partial(_open_files, part, progress),
            part.finish,
            partial(_pass_images, part),
        )
        for step in steps:
            findings += guard(part.name, step)
        findings += part.findings
    findings += check_heads(cfg.model, parts)
    if not any(finding.level == "fatal" for finding in findings):
        findings += try_loader(cfg, "train_dataloader")
    findings += guard("overlap", lambda: findings.extend(check_overlap(parts)))
    return parts, findings


def try_loader(cfg: Config, name: str) -> list[Finding]:
    """Take one batch of a loader, as training would; of data that have no fatal fault."""
    from convnextv2.engine.runner import StrictRunner

    entry = {key: value for key, value in cfg[name].items() if key != "prefetch_factor"}
    kind = "loaders that give no batch"
    try:
        with redirect_stdout(io.StringIO()):  # pycocotools tells of its index
            loader: Any = StrictRunner.build_dataloader(
                {**entry, "num_workers": 0, "persistent_workers": False}, seed=0
            )
        next(iter(loader))
    except StopIteration:
        text = (
            f"{name} has no batch: {len(loader.dataset)} images, batch_size={entry['batch_size']}"
        )
        text += ", and drop_last leaves out what is less"
        return [Finding("fatal", kind, text)]
    except Exception as error:  # of any step of wrappers, samplers and collate functions
        return [Finding("fatal", kind, f"{name} fails: {describe(error)}")]
    return []


def list_parts(cfg: Config, loaders: tuple[str, ...] = LOADERS) -> list[Part]:
    """The data sets of a config, each once, none of which was read.

    One that is both trained on and validated with comes twice, which `check_overlap` names.
    """
    from mmengine.registry import DATASETS, init_default_scope

    scope = cfg.get("default_scope", "mmengine")
    init_default_scope(scope)
    kinds = [kind for task in list_tasks() for kind in task.parts]
    parts: dict[tuple[bool, str], Part] = {}
    for loader in loaders:
        for _, entry in walk_datasets((cfg.get(loader) or {}).get("dataset")):
            found = find_class(entry, DATASETS, scope)
            kind = next((kind for kind in kinds if is_a(found, kind.dataset)), Part)
            same = str({key: value for key, value in entry.items() if key != "pipeline"})
            name = loader.split("_")[0]
            parts.setdefault((name == "train", same), kind(name, entry))
    return list(parts.values())


def guard(name: str, step: Callable[[], object]) -> list[Finding]:
    """Take a step of a check; that it fails is a finding, and no end of the others.

    Args:
        name: Of the part that it is about.
        step: Called without arguments.
    """
    try:
        step()
    except InputError:
        raise
    except Exception as error:  # whatever a library stumbles on in odd data
        text = f"{name}: not all could be checked: {describe(error)}"
        return [Finding("warning", "checks that came to no end", text)]
    return []


def _pass_images(part: Part) -> None:
    """Let images pass a part's pipeline, unless it is known to fail."""
    if not any(finding.level == "fatal" for finding in part.findings):
        part.findings += try_pipeline(part)


def _open_files(part: Part, progress: Progress) -> None:
    """Let a part look into all of its files, in a few processes if they are many."""
    number = len(part.images)
    for index, report in enumerate(progress(_look(part, number), f"reading {part.name}", number)):
        part.add(index, report)


def _look(part: Part, number: int) -> Iterator[Report]:
    workers = WORKERS if number > FEW else 0
    files: Any = _Files(part, number)
    batches: Any = DataLoader(
        files,
        batch_size=8,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=_stay_single if workers else None,
    )
    for reports in batches:
        yield from reports


class _Files(Dataset):
    """A part as a data set of torch's, so that its files are opened by other processes."""

    def __init__(self, part: Part, number: int) -> None:
        self.part, self.number = part, number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Report:
        try:
            return self.part.look(index)
        except Exception as error:  # nothing that one file holds ends the check of the others
            path = self.part.images[index]
            text = f"could not be checked: {describe(error)}"
            return Report([Finding("warning", "images that could not be checked", text, path)])


def _stay_single(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
