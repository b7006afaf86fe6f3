"""The task of a config, and what differs by task.

Each task's folder describes its own in ``task.py``, as `TASK`, and nothing else asks which task it
is. A new task is a folder with such a file, and its name in `FOLDERS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from convnextv2.engine.errors import InputError
from convnextv2.engine.types import find_class, is_a

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config
    from mmengine.dataset import BaseDataset
    from mmengine.evaluator import BaseMetric
    from mmengine.runner import BaseLoop
    from mmengine.structures import BaseDataElement
    from torch import nn

    from convnextv2.data_parts import Part
    from convnextv2.engine.template import Template
    from convnextv2.exports import Exportable
    from convnextv2.pictures import Palette
    from convnextv2.results import ResultsWriter, TrainedModel
    from convnextv2.reviews import Review
    from convnextv2.runtime.tiles import Joiner, TileGrid
    from convnextv2.tiled_results import TiledResults

# Settings of every task's templates.
SETTINGS = (
    *("data_root", "train", "val", "arch", "weights", "frozen_stages", "image_size", "scale"),
    *("bands", "dtype", "mean", "std", "iterations", "epochs", "batch_size", "lr"),
)
# Packages of `convnextv2` that have a `task.py`.
FOLDERS = ("pretrain", "pretrain.supervised", "detection", "segmentation")
EXPORT = "model_converters/export_backbone.py"


class Task:
    """What a task has that others have not.

    Attributes:
        name: As it is said in messages.
        model: Full name of the class that its models descend from.
        image_shape: (H, W) of the image with which its networks' costs are compared.
        parts: The kinds of its data sets that can be checked.
        preprocessor: Type of its models' data preprocessor for any number of bands.
        colour_steps: Full names of transforms that can do nothing with images but those of three
            bands of 8 bits.
        settings: Names of those of its templates; empty if it has no templates.
        optional: Those of them that may be None though others' may not.
        places: What `train` and `val` of its templates say, and whether they must.
        scores: Names of the metrics that tell how good a model is; the first ranks checkpoints.
        full_precision: Why its networks cannot be trained in bfloat16 on a CPU, None if they can.
    """

    name: ClassVar[str]
    model: ClassVar[str]
    image_shape: ClassVar[tuple[int, int]] = (224, 224)
    parts: ClassVar[tuple[type[Part], ...]] = ()
    preprocessor: ClassVar[str]
    colour_steps: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()
    places: ClassVar[Mapping[str, bool]] = {}
    scores: ClassVar[tuple[str, ...]] = ()
    full_precision: ClassVar[str | None] = None

    def fill_template(self, template: Template) -> None:
        """Write what follows from the settings into a template's config."""

    def open_review(self, dataset: BaseDataset, metrics: Sequence[BaseMetric]) -> Review | None:
        """A metric that scores nothing and keeps what a report says of a validation.

        Args:
            dataset: That is validated on; it may wrap others.
            metrics: That score it.
        """
        return None

    def make_exportable(self, cfg: Config, checkpoint: str) -> Exportable:
        """The model of a config as it leaves this project, with the weights of a checkpoint.

        Raises:
            InputError: Something of it cannot be exported.
        """
        raise InputError(f"models of {self.name} cannot be exported")

    def list_next(self, config: str, checkpoint: str, folder: str) -> dict[str, list[str]]:
        """The commands that come after a training, by what they are for.

        Args:
            config: Path of the run's config.
            checkpoint: Path of its best checkpoint, or of its last.
            folder: Where results may go.

        Returns:
            What for -> script below ``tools/`` and its arguments.
        """
        return {}


class PredictingTask(Task, ABC):
    """A task of which predictions for an image can be drawn and written.

    A sample is what the framework's model returns for an image, with the ground truth beside it if
    it was loaded. A picture is (H, W, 3), uint8, RGB.
    """

    def list_next(self, config: str, checkpoint: str, folder: str) -> dict[str, list[str]]:
        """Test, find things in other images, and hand on the backbone."""
        run = [config, checkpoint]
        return {
            "test": ["test.py", *run, "--show-dir", f"{folder}/pictures"],
            "infer": ["infer.py", *run, "FOLDER_OF_IMAGES", "--out", f"{folder}/found"],
            "export": [EXPORT, *run, f"{folder}/backbone.safetensors"],
        }

    @abstractmethod
    def draw_truth(
        self, picture: np.ndarray, sample: BaseDataElement, palette: Palette, scale: int = 1
    ) -> np.ndarray:
        """The picture with the ground truth drawn into it.

        Args:
            picture: Already enlarged by `scale`.
            sample: On the CPU, in pixels before the enlargement.
            palette: A colour for each class.
            scale: Times that the picture was enlarged.
        """

    @abstractmethod
    def draw_found(
        self,
        picture: np.ndarray,
        sample: BaseDataElement,
        palette: Palette,
        scale: int = 1,
        names: Sequence[str] = (),
        score_thr: float = 0.0,
    ) -> np.ndarray:
        """The picture with what was found drawn into it.

        Args:
            picture: Already enlarged by `scale`.
            sample: On the CPU, in pixels before the enlargement.
            palette: A colour for each class.
            scale: Times that the picture was enlarged.
            names: Of the classes, to be written; without them no words are.
            score_thr: What scores less is left out, where the task has scores.
        """

    @abstractmethod
    def open_results(self, trained: TrainedModel, folder: Path, score_thr: float) -> ResultsWriter:
        """The writer of what a model finds in images of any origin.

        Args:
            trained: The model, and what is known of its classes.
            folder: To write into.
            score_thr: What scores less is left out, where the task has scores.
        """

    def open_joiner(self, model: nn.Module, grid: TileGrid) -> Joiner:
        """What puts together, in memory, what a model finds in the tiles of an image.

        Raises:
            InputError: What the task finds in tiles says nothing of the image.
        """
        raise self._refuse_tiles()

    def open_tiled_results(
        self, trained: TrainedModel, folder: Path, stamp: dict, score_thr: float
    ) -> TiledResults:
        """The same of images that are looked at by tiles.

        Args:
            trained: The model.
            folder: To write into.
            stamp: What the results depend on; an earlier run of the same is gone on with.
            score_thr: As of `open_results`.

        Raises:
            InputError: As of `open_joiner`.
        """
        raise self._refuse_tiles()

    def _refuse_tiles(self) -> InputError:
        return InputError(f"--tile: what {self.name} finds in tiles cannot be put together")

    @abstractmethod
    def open_test_results(self, datasets: Sequence[BaseDataset], folder: Path) -> BaseMetric:
        """A metric that scores nothing and writes the predictions for a test set.

        Args:
            datasets: That the test set is put together of.
            folder: To write into.

        Raises:
            SystemExit: The results would not be complete, or overwrite each other.
        """

    def leave_labels(self, entry: dict) -> None:
        """Change a data set's entry so that it does not look for the files of labels.

        Its pipeline is another matter, the same for every task.
        """

    def prepare(self, sample: dict) -> None:
        """Change a packed image so that the network can take it, whatever its size.

        Args:
            sample: What the test pipeline gave: ``inputs`` (C, H, W) and ``data_samples``.
        """

    def trim(self, sample: BaseDataElement) -> None:
        """Take out of a prediction what needs much memory and nobody asks for."""


@cache
def list_tasks() -> tuple[Task, ...]:
    """What each folder of `FOLDERS` says of its task; none needs mmdet or mmseg for that."""
    return tuple(import_module(f"convnextv2.{folder}.task").TASK for folder in FOLDERS)


def find_task(cfg: Config) -> Task | None:
    """The task of a config, by its model's class; None of a model of none of the tasks."""
    from mmengine.registry import MODELS

    found = find_class(cfg.get("model"), MODELS, cfg.get("default_scope"))
    return next((task for task in list_tasks() if is_a(found, task.model)), None)


def find_score(cfg: Config, metrics: Iterable[str]) -> str | None:
    """The name, among those of a validation's metrics, by which the task ranks checkpoints."""
    task = find_task(cfg)
    for name in task.scores if task else ():
        # A prefix tells the data sets of one validation apart.
        if found := [key for key in metrics if key == name or key.endswith(f"/{name}")]:
            return found[0]
    return next(iter(metrics), None)


def add_review(task: Task, loop: BaseLoop | None) -> Review | None:
    """Have a loop of validation or test reviewed; None where the task or the loop has none.

    Args:
        task: Of the model.
        loop: Built; it evaluates with mmengine's own evaluator.
    """
    from mmengine.evaluator import Evaluator

    evaluator: Any = getattr(loop, "evaluator", None)
    if loop is None or type(evaluator) is not Evaluator:  # others share out their metrics
        return None
    review = task.open_review(loop.dataloader.dataset, list(evaluator.metrics))
    if review is not None:
        review.dataset_meta = evaluator.dataset_meta
        evaluator.metrics.append(review)
    return review
