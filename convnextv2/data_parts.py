"""One data set of a config, as the data checks see it; each kind is described by its task."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from convnextv2.engine.errors import describe
from convnextv2.engine.types import find_class, is_a
from convnextv2.files import IMAGE_SUFFIXES
from convnextv2.findings import Finding

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config
    from mmengine.dataset import BaseDataset

    from convnextv2.images import LoadImage

# Share of the images that may be missing: they are skipped. As of `UnreadableImagesHook`.
MOST_MISSING = 0.1


class Report(NamedTuple):
    """What a look into one image's files gave; it passes between processes.

    Attributes:
        findings: What is wrong.
        thumbnail: Of the image, as `near_duplicates.shrink` makes it; None if it was not read.
        values: Pixels of each value of its label mask.
        digest: Of the image file's bytes.
    """

    findings: list[Finding]
    thumbnail: np.ndarray | None = None
    values: dict[int, int] | None = None
    digest: bytes = b""


class Part:
    """A data set of a kind that no task describes: nothing of it is checked.

    Args:
        name: Of the part of the data, such as ``train``.
        entry: The data set's, in the config.

    Attributes:
        classes: Their names, where there are any.
        images: Paths of its images.
        thumbnails: Of the images that were read, by their path.
        findings: What is wrong, as far as it was looked for.
        dataset: Full name of the class that data sets of this kind descend from.
        unit: What `count` counts.
        before_training: Whether it is read before each training, and stops one that has no sense.
    """

    dataset: ClassVar[str] = ""
    unit: ClassVar[str] = "objects"
    before_training: ClassVar[bool] = True

    def __init__(self, name: str, entry: dict) -> None:
        self.name, self.entry = name, entry
        self.classes: list[str] = []
        self.images: list[str] = []
        self.thumbnails: dict[str, np.ndarray] = {}
        self.findings: list[Finding] = []

    def read(self) -> None:
        """Find classes, images, and what is wrong, without opening an image."""
        text = f"{self.name}: {self.entry['type']} is not known to this check"
        self.findings.append(Finding("warning", "data sets that this check does not know", text))

    def check_model(self, cfg: Config) -> None:
        """Hold the part against what else the config has: the model, the metric."""

    def sample(self) -> None:
        """Open a few files before a training, as far as that tells of fatal faults in seconds."""

    def look(self, index: int) -> Report:
        """Open the files of an image; runs in other processes, and changes nothing here."""
        return Report([])

    def add(self, index: int, report: Report) -> None:
        """Take in what `look` gave."""
        self.findings += report.findings
        if report.thumbnail is not None:
            self.thumbnails[self.images[index]] = report.thumbnail

    def finish(self) -> None:
        """Judge the whole, after all reports were taken in."""

    def count(self) -> dict[str, int]:
        """Of each class; empty if that has no sense or it could not be read."""
        return {}

    def sizes(self) -> list[float]:
        """The square root of each object's area, in pixels; empty if there are none."""
        return []

    def read_image(self, path: str) -> np.ndarray:
        """One of `images`, (H, W, C), as training reads it."""
        return self.load({"img_path": path})["img"]

    def draw(self, finding: Finding) -> np.ndarray | None:
        """A picture (H, W, 3), RGB, of what a finding with an image is about."""
        return None

    def has_class_names(self) -> bool:
        """Whether the classes are names, and no text that was meant to be one; else a finding."""
        classes = (self.entry.get("metainfo") or {}).get("classes")
        others = [name for name in classes or () if not isinstance(name, str)]
        if others:
            text = f"{self.name}: the class {others[0]!r} is no text; write {str(others[0])!r}"
            self.findings.append(Finding("fatal", "class names that are no text", text))
            return False
        if not isinstance(classes, str) or os.path.isfile(classes):  # names may come in a file
            return True
        text = f"{self.name}: classes is the text {classes!r}, which counts as {len(classes)} "
        text += f"classes of a letter each; write ({classes!r},), with a comma"
        self.findings.append(Finding("fatal", "classes given as text", text))
        return False

    def build(self, pipeline: list, **changes: object) -> BaseDataset | None:
        """The data set; None, with a finding, if it cannot be built.

        Args:
            pipeline: In the place of the entry's.
            changes: To the rest of the entry.
        """
        from mmengine.registry import DATASETS

        try:
            with redirect_stdout(io.StringIO()):  # pycocotools tells of its index
                dataset = DATASETS.build({**self.entry, "pipeline": pipeline, **changes})
        except Exception as error:  # the libraries raise whatever they stumble on
            text = f"{self.name}: the data set cannot be built: {describe(error)}"
            self.findings.append(Finding("fatal", "data sets that cannot be built", text))
            return None
        self.classes = list(dataset.metainfo.get("classes") or [])
        return dataset

    def load_steps(self) -> list[dict]:
        """The step of its pipeline that is a `LoadImage`, or none."""
        from mmengine.registry import TRANSFORMS

        loader = "convnextv2.images.LoadImage"
        steps = self.entry.get("pipeline", ())
        return [step for step in steps if is_a(find_class(step, TRANSFORMS), loader)][:1]

    @cached_property
    def load(self) -> LoadImage:
        """The pipeline's `LoadImage`; in the place of mmcv's loader, ours with its defaults."""
        from mmengine.registry import TRANSFORMS

        from convnextv2.images import LoadImage

        steps = self.load_steps()
        if steps:
            return TRANSFORMS.build(steps[0])
        return LoadImage(channel_order="bgr", dtype="uint8")


def find_missing_images(paths: Sequence[str | Path], name: str) -> list[Finding]:
    """Images that are no files, or hold nothing; fatal if they are more than training skips.

    Args:
        paths: Of all images of a part of the data.
        name: Of that part, or of the file that lists them, for the texts.
    """
    listed = cache(_list_stems)
    missing = [(path, why) for path in map(str, paths) if (why := explain_missing(path, listed))]
    level = "fatal" if len(missing) > MOST_MISSING * len(paths) else "warning"
    kind = f"images of {name} that are missing or empty"
    return [Finding(level, kind, f"{name}: {path} {why}", image=path) for path, why in missing]


def explain_missing(path: str, listed: Callable[[str], dict] | None = None) -> str:
    """Why a path is no file to read from, with what might have been meant; empty if it is one.

    Args:
        path: Of the file.
        listed: Lists a folder as `_list_stems`, and may remember it.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        if os.path.islink(path):
            return f"is a broken link, to {os.readlink(path)}"
        return f"does not exist{_suggest_file(path, listed or _list_stems)}"
    if not os.path.isfile(path):
        return "is no regular file"
    return "" if status.st_size else "is empty: the file has 0 bytes"


def find_broken_links(root: str | Path) -> Iterator[Finding]:
    """Names of images below a folder that lead nowhere, and are passed over."""
    for folder, _, names in os.walk(root, followlinks=False):
        for name in sorted(names):
            path = os.path.join(folder, name)
            linked = name.lower().endswith(IMAGE_SUFFIXES) and os.path.islink(path)
            if linked and (why := explain_missing(path)):
                yield Finding("warning", "links that lead to no image", f"{path} {why}")


def _suggest_file(path: str, listed: Callable[[str], dict]) -> str:
    """A file that may be meant by a path that leads nowhere."""
    if "\\" in path and os.path.isfile(path.replace("\\", "/")):
        return ": its backslashes are no separators of folders here; write /"
    folder, name = os.path.split(path)
    near = listed(folder).get(os.path.splitext(name)[0].lower(), [])
    if near:
        return f"; there is {near[0]}"
    inner = os.path.split(folder)[1]
    if inner and os.path.isfile(os.path.join(os.path.split(folder)[0], name)):
        return f"; there is one in the folder above {inner}"
    return ""


def _list_stems(folder: str) -> dict[str, list[str]]:
    """The names in a folder by their stems in small letters."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:
        return found
    for name in names:
        if not name.startswith("."):
            found.setdefault(os.path.splitext(name)[0].lower(), []).append(name)
    return found


def spread(number: int, most: int) -> list[int]:
    """At most so many of the places 0 to number - 1, evenly."""
    if number <= most:
        return list(range(number))
    return [round(i * (number - 1) / max(most - 1, 1)) for i in range(most)]


def try_pipeline(part: Part, most: int = 48, draws: int = 4) -> Iterator[Finding]:
    """Pass images through the whole of a part's pipeline, as training would.

    Args:
        part: It was read, and has no fatal finding.
        most: Images, taken evenly.
        draws: Times that an image may be given up, as by a random crop without objects.
    """
    from convnextv2.images import UnreadableImageError

    dataset = part.build(part.entry.get("pipeline") or [], lazy_init=False)
    if dataset is None:
        return
    for index in spread(len(dataset), most):
        path = dataset.get_data_info(index).get("img_path", "")
        try:
            if not _is_drawn(dataset, index, draws):
                kind = f"images of {part.name} that the pipeline gives up"
                text = f"given up by the pipeline in each of {draws} draws: no object is left, as "
                text += "after FilterAnnotations"
                yield Finding("warning", kind, text, path, path)
        except UnreadableImageError:  # named by who looked at each image
            continue
        except Exception as error:  # of whatever step
            kind = f"images of {part.name} on which the pipeline fails"
            yield Finding("fatal", kind, f"the pipeline fails: {describe(error)}", path, path)


def _is_drawn(dataset: Any, index: int, draws: int) -> bool:
    return any(dataset.prepare_data(index) is not None for _ in range(draws))
