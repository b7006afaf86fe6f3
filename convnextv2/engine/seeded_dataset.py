"""How a runner fetches samples: each draw seeded by its place in the run, no bad file fatal.

Whatever data sets and wrappers a config names, the runner puts `SeededDataset` around the whole
of them, so that no index arithmetic on the way inside can lose the seed.
"""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner.base_loop import BaseLoop
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from convnextv2.images import LoadImage, UnreadableImageError

from .seeding import SeededIndex, seed_cpu
from .types import walk_built_datasets

# A mixin of runners is none by itself; the type checker must know what it is mixed with.
if TYPE_CHECKING:
    from mmengine.runner import Runner as RunnerBase
else:
    RunnerBase = object

HOOKS = {
    "seed_every_iter": {"type": "convnextv2.SeedEveryIterHook"},
    "unreadable_images": {"type": "convnextv2.UnreadableImagesHook"},
    "measure_statistics": {"type": "convnextv2.MeasureStatisticsHook"},
}
UNKNOWN_SIZE = (224, 224)  # of a blank image that is resized whatever its size
MAX_DRAWS = 16  # after as many mmengine's data sets give up, too


class SeededSamplesMixin(RunnerBase):
    """For a runner: all its loaders fetch from a `SeededDataset`.

    In training, another image comes in the place of one that cannot be read. In validation and
    test, where every image counts, it is a blank one of the annotated size, so that its objects
    are missed, or one of any size where it has a class and no more; else another one too.
    `UnreadableImagesHook` names them.

    Three default hooks come by themselves, `HOOKS`. ``default_hooks=dict(NAME=None)`` leaves any
    default hook out.
    """

    @classmethod
    def build_dataloader(
        cls,
        dataloader: DataLoader | dict,
        seed: int | None = None,
        diff_rank_seed: bool = False,
    ) -> DataLoader:
        """Build a loader as mmengine does; one that is built already is left alone."""
        if not isinstance(dataloader, DataLoader):
            dataset = {"type": SeededDataset, "dataset": dataloader["dataset"]}
            dataloader = {**dataloader, "dataset": dataset}
        return super().build_dataloader(dataloader, seed, diff_rank_seed)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop as mmengine does."""
        return _with_blanks(super().build_val_loop(loop))

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop as mmengine does."""
        return _with_blanks(super().build_test_loop(loop))

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register mmengine's, those of the config and `HOOKS`."""
        hooks = {**HOOKS, **(hooks or {})}
        # mmengine understands None only for names of its own; its plain hook does nothing.
        super().register_default_hooks({name: hook or Hook() for name, hook in hooks.items()})


class SeededDataset(Dataset):
    """Any data set, or wrappers of several, whose every draw begins with generators seeded anew.

    What an index of `SeededSampler` or `SeededInfiniteSampler` draws depends on its seed alone. An
    index without a seed draws from the generators as they are. Attributes are those of the data
    set inside, so that samplers and hooks find what they look for (``metainfo``,
    ``get_data_info``, ...) and change what they mean to change (``pipeline``).

    A sample that is a dict gets ``unreadable``, a line ``PATH: REASON`` for each file that could
    not be read on the way to it, or "".

    Args:
        dataset: The data set, or its config.

    Raises:
        RuntimeError: When fetched: `MAX_DRAWS` unreadable images in a row.
    """

    def __init__(self, dataset: Any) -> None:
        built = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.__dict__.update(dataset=built, notes=[])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, SeededIndex):
            seed_cpu(index.seed)
        self.notes.clear()
        index = int(index)
        for _ in range(MAX_DRAWS):
            try:
                sample = self.dataset[index]
            except UnreadableImageError as error:
                self.notes.append(str(error))
                index = np.random.randint(len(self))
            else:
                lines = (note.replace("\n", " ") for note in self.notes)
                if not isinstance(sample, dict):
                    return sample
                return {**sample, "unreadable": "\n".join(lines)}
        raise RuntimeError("too many unreadable images in a row:\n" + "\n".join(self.notes))

    def __getattr__(self, name: str) -> Any:
        # Before it is unpickled in a worker process it has no data set to ask.
        if name.startswith("__") or "dataset" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.dataset, name, value)

    def use_blanks(self) -> None:
        """From now on take a blank image for an unreadable one whose size is annotated."""
        for dataset in walk_built_datasets(self.dataset):
            transforms = getattr(getattr(dataset, "pipeline", None), "transforms", [])
            for i, transform in enumerate(transforms):
                if isinstance(transform, LoadImage):
                    transforms[i] = _LoadOrBlank(transform, self.notes)


class _LoadOrBlank:
    """Loads images, and notes those in whose place it gives a blank one."""

    def __init__(self, load: LoadImage, notes: list[str]) -> None:
        self.load = load
        self.notes = notes

    def __call__(self, results: dict) -> dict:
        try:
            return self.load(results)
        except UnreadableImageError as error:
            size = _annotated_size(results)
            if size is None:
                raise
            self.notes.append(str(error))
        # Through the loader, so that the results have all that it gives; as an array, which may
        # have any number of channels.
        file = io.BytesIO()
        np.save(file, np.zeros((*size, self.load.in_channels), self.load.dtype or np.uint8))
        blank = self.load({**results, "img_path": "blank.npy", "content": file.getvalue()})
        return {**blank, "img_path": results["img_path"]}


def _annotated_size(results: dict) -> tuple[int, int] | None:
    """Height and width, from the annotations or the label map; of an image with a class, any."""
    if "height" in results and "width" in results:
        return results["height"], results["width"]
    if "gt_label" in results:
        return UNKNOWN_SIZE
    if not results.get("seg_map_path"):
        return None
    try:
        with Image.open(results["seg_map_path"]) as labels:
            return labels.height, labels.width
    except (OSError, ValueError, SyntaxError):  # the last of broken PNGs
        return None


def _with_blanks(loop: BaseLoop) -> BaseLoop:
    # Not `isinstance`: mmengine puts a data set of its own around where `num_batch_per_epoch` is.
    use_blanks = getattr(loop.dataloader.dataset, "use_blanks", None)
    if use_blanks:
        use_blanks()
    return loop
