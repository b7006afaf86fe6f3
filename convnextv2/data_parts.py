"""One data set of a config, as the data checks see it; each kind is described by its task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from convnextv2.engine.types import find_class, is_a

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

# Level, ``fatal`` or ``warning``, and text.
Finding = tuple[str, str]


# Share of the images that may be missing: they are skipped. As of `UnreadableImagesHook`.
MOST_MISSING = 0.1


def find_missing_images(paths: Sequence[str | Path], name: str) -> list[Finding]:
    """Images that are no files; fatal if they are more than training skips.

    Args:
        paths: Of all images of a part of the data.
        name: Of that part, or of the file that lists them, for the texts.
    """
    missing = [path for path in paths if not Path(path).is_file()]
    level = "fatal" if len(missing) > MOST_MISSING * len(paths) else "warning"
    kinds = {True: "is no regular file", False: "does not exist"}
    return [(level, f"{name}: {path} {kinds[Path(path).exists()]}") for path in missing]


class Part:
    """A data set of a kind that no task describes: nothing of it is checked.

    Args:
        name: Of the part of the data, such as ``train``.
        entry: The data set's, in the config.

    Attributes:
        classes: Their names, where there are any.
        images: Paths of its images.
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
        self.findings: list[Finding] = []

    def read(self) -> None:
        """Find classes, images, and what is wrong, without opening an image."""
        text = f"{self.name}: {self.entry['type']} is not known to this check"
        self.findings.append(("warning", text))

    def check_files(self) -> Iterator[list[Finding]]:
        """Open every file, and yield what is wrong with each image."""
        yield from ()

    def count(self) -> dict[str, int]:
        """Of each class; empty if that has no sense or it could not be read."""
        return {}

    def sizes(self) -> list[float]:
        """The square root of each object's area, in pixels; empty if there are none."""
        return []

    def build(self, pipeline: list, **changes: object) -> BaseDataset | None:
        """The data set; None, with a finding, if it cannot be built.

        Args:
            pipeline: In the place of the entry's.
            changes: To the rest of the entry.
        """
        from mmengine.registry import DATASETS

        try:
            dataset = DATASETS.build({**self.entry, "pipeline": pipeline, **changes})
        except (OSError, ValueError, AssertionError) as error:
            self.findings.append(("fatal", f"{self.name}: {error}"))
            return None
        self.classes = list(dataset.metainfo.get("classes") or [])
        return dataset

    def load_steps(self) -> list[dict]:
        """The step of its pipeline that is a `LoadImage`, or none."""
        from mmengine.registry import TRANSFORMS

        loader = "convnextv2.images.LoadImage"
        steps = self.entry.get("pipeline", ())
        return [step for step in steps if is_a(find_class(step, TRANSFORMS), loader)][:1]

    def build_loader(self) -> Callable[[dict], dict]:
        """The pipeline's `LoadImage`; in the place of mmcv's loader, ours with its defaults."""
        from mmengine.registry import TRANSFORMS

        from convnextv2.images import LoadImage

        steps = self.load_steps()
        if steps:
            return TRANSFORMS.build(steps[0])
        return LoadImage(channel_order="bgr", dtype="uint8")
