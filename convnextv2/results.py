"""What a model finds in images, and files of it that are on the disk before a command has ended."""

from __future__ import annotations

import json
from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from convnextv2.files import written_whole

if TYPE_CHECKING:
    import numpy as np
    from mmengine.dataset import BaseDataset
    from mmengine.structures import BaseDataElement
    from torch import nn

    Image = str | Path | np.ndarray


class Prediction(NamedTuple):
    """What a model found in one image."""

    source: Image
    """As it was given."""
    image: np.ndarray
    """(H, W, C) as the config loads it: BGR in all of ours."""
    sample: BaseDataElement
    """mmdet's or mmseg's, on the CPU, in pixels of `image`: ``pred_instances`` with ``bboxes``
    (n, 4), ``scores``, ``labels`` and, where the model has them, ``masks`` (n, H, W); or
    ``pred_sem_seg.data`` (1, H, W)."""


class TrainedModel(Protocol):
    """A model with what is known of its classes, such as a `Predictor`.

    Attributes:
        model: The network.
        classes: Their names.
        dataset: The config's test data set, none of whose files was read.
        trained_meta: What the checkpoint says of the data set that it was trained on.
        label_offset: What to add to a label for the data set's own files of labels.
    """

    model: nn.Module
    classes: list[str]
    dataset: BaseDataset
    trained_meta: dict
    label_offset: int


class ResultsWriter(AbstractContextManager):
    """Writes what is found in images, one after the other; its end is that of all of them."""

    @abstractmethod
    def add(self, prediction: Prediction, number: int, name: str) -> None:
        """Write what was found in an image.

        Args:
            prediction: What was found.
            number: The image's in this run, from 1.
            name: Its path below a folder that holds all images.
        """

    def __exit__(self, *error: object) -> None:
        """Complete the files."""

    def describe(self) -> str:
        """For the line about the number of images: what was found in all of them; may be empty."""
        return ""

    def warn(self) -> str:
        """What a reader of the files must know; may be empty."""
        return ""


class ResultsFile:
    """A json list that is written as it grows; a context manager.

    Each addition goes at once to a file of lines beside it. The list is made from these at the
    end, also at one by an error; the lines are then removed. A killed process leaves the lines.

    Args:
        path: Of the list, ends in ``.json``. Nothing is written before the first addition.

    Attributes:
        count: Objects so far; None before the first addition.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, path.with_suffix(".jsonl")
        self.count: int | None = None
        self._file: IO[str] | None = None

    def __enter__(self) -> ResultsFile:
        return self

    def add(self, entries: list[dict]) -> None:
        """Write the objects of one image, of which there may be none."""
        if self._file is None:
            self.lines.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.lines, "w")  # noqa: SIM115  see __exit__
        self._file.write("".join(f"{json.dumps(entry)}\n" for entry in entries))
        self._file.flush()
        self.count = (self.count or 0) + len(entries)

    def __exit__(self, *error: object) -> None:
        if self._file is None:
            return
        self._file.close()
        with (
            written_whole(self.path) as partial,
            open(self.lines) as lines,
            open(partial, "w") as file,
        ):
            file.write("[")
            for number, line in enumerate(lines):
                file.write(("," if number else "") + "\n" + line.rstrip("\n"))
            file.write("\n]\n")
        self.lines.unlink()
