"""Samples depend on their place in the run alone, whatever wrappers they pass; none is fatal."""

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from small_datasets import IMAGES, TASKS, make_dataset, write_images

from convnextv2.engine.runner import StrictRunner
from convnextv2.engine.seeded_dataset import SeededDataset, _LoadOrBlank
from convnextv2.engine.seeding import SeededIndex
from convnextv2.engine.types import walk_built_datasets
from convnextv2.images import LoadImage

WORKERS = [(0, False), (2, False), (2, True)]  # number, persistent
REASON = "truncated, or no image"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    write_images(folder)
    return folder


class Foreign:
    """A data set that knows nothing of mmengine's."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return {"inputs": torch.rand(3) + np.random.rand() + [10, 20, 30][index % 3]}


def make_loader(dataset, sampler="Sampler", workers=0, persistent=False, **settings):
    config = {
        "dataset": dataset,
        "sampler": {"type": f"convnextv2.Seeded{sampler}", "shuffle": True},
        "batch_size": 2,
        "num_workers": workers,
        "persistent_workers": persistent,
        **settings,
    }
    return StrictRunner.build_dataloader(config, seed=3)


def images(batches):
    """The bytes of each image of each batch."""
    return [[image.numpy().tobytes() for image in batch["inputs"]] for batch in batches]


@pytest.mark.parametrize(("workers", "persistent"), WORKERS)
@pytest.mark.parametrize(
    ("task", "wrapper"),
    [
        *itertools.product(TASKS, [None, "repeat", "concat", "mix"]),
        ("detection", "mosaic"),
        ("detection", "balanced"),  # the only one whose data set knows the categories of an image
    ],
)
def test_resumed_loaders_give_the_same_and_epochs_differ(
    folder, task, wrapper, workers, persistent
):
    init_default_scope("mmengine")
    dataset = make_dataset(task, wrapper, folder)

    def epochs(first, count):
        loader = make_loader(dataset, workers=workers, persistent=persistent)
        for epoch in range(first, first + count):
            loader.sampler.set_epoch(epoch)
            yield images(loader)

    whole = list(epochs(0, 3))
    assert list(epochs(2, 1)) == whole[2:]
    drawn = [{image for batch in epoch for image in batch} for epoch in whole]
    assert len(drawn[0]) == len(list(itertools.chain(*whole[0])))  # none twice
    assert not drawn[0] & drawn[1]
    assert not drawn[1] & drawn[2]


@pytest.mark.parametrize(("workers", "persistent"), WORKERS)
@pytest.mark.parametrize("task", TASKS)
def test_resumed_iterations_give_the_same(folder, task, workers, persistent):
    """As mmengine's loop of iterations goes on: by skipping what was trained already."""
    init_default_scope("mmengine")
    dataset = make_dataset(task, "repeat", folder)

    def iterations(skipped, count):
        loader = make_loader(dataset, "InfiniteSampler", workers, persistent)
        iterator = _InfiniteDataloaderIterator(loader)
        if hasattr(iterator, "skip_iter"):
            iterator.skip_iter(skipped)
        else:  # mmengine 0.10.7 loads what it skips
            for _ in range(skipped):
                next(iterator)
        return images(itertools.islice(iterator, count))

    whole = iterations(0, 12)
    assert iterations(7, 5) == whole[7:]
    assert len(set(itertools.chain(*whole))) == 24


def test_the_number_of_workers_and_the_draws_before_change_nothing(folder):
    init_default_scope("mmengine")
    dataset = make_dataset("detection", "repeat", folder)
    expected = images(make_loader(dataset))
    np.random.seed(99)
    torch.manual_seed(99)
    assert images(make_loader(dataset, workers=2)) == expected


def test_a_data_set_of_another_kind_is_seeded_too():
    first, again = (images(make_loader(Foreign(6))) for _ in range(2))
    assert first == again


def test_epochs_differ_with_a_foreign_runner_too(folder):
    init_default_scope("mmengine")
    loader = Runner.build_dataloader(
        {
            "dataset": make_dataset("pretraining", "repeat", folder),
            "sampler": {"type": "convnextv2.SeededSampler", "shuffle": False},
            "worker_init_fn": {"type": "convnextv2.keep_worker_seed"},
            "batch_size": 2,
            "num_workers": 2,
        },
        seed=3,
    )
    first, second = ({*itertools.chain(*images(loader))} for _ in range(2))
    assert not first & second


def test_mmdets_batches_of_one_orientation_and_shorter_epochs(folder):
    """Samplers ask `sampler.dataset`; `num_batch_per_epoch` puts a data set around ours."""
    init_default_scope("mmengine")
    dataset = make_dataset("detection", "concat", folder)
    settings = {"batch_sampler": {"type": "mmdet.AspectRatioBatchSampler"}}
    first, again = (images(make_loader(dataset, **settings)) for _ in range(2))
    assert first == again
    short = make_loader(dataset, num_batch_per_epoch=2)
    assert len(short) == 2
    assert images(short) == images(make_loader(dataset, num_batch_per_epoch=2))
    assert short.dataset.metainfo["classes"] == ("box",)


def test_attributes_are_those_of_the_data_set_inside(folder):
    init_default_scope("mmengine")
    dataset = SeededDataset(make_dataset("detection", "concat", folder))
    assert len(dataset) == 2 * IMAGES
    assert dataset.metainfo["classes"] == ("box",)
    assert dataset.get_data_info(IMAGES)["img_id"] == 0
    assert dataset.cumulative_sizes == [IMAGES, 2 * IMAGES]
    assert not hasattr(dataset, "get_cat_ids")
    assert [len(inner) for inner in walk_built_datasets(dataset)] == [IMAGES, IMAGES]
    copy = pickle.loads(pickle.dumps(dataset))  # as a worker that is not forked gets it
    place = SeededIndex(7, 1)
    assert torch.equal(copy[place]["inputs"], dataset[place]["inputs"])


def test_hooks_that_switch_the_pipeline_reach_the_data_set(folder):
    init_default_scope("mmengine")
    loader = make_loader(make_dataset("pretraining", None, folder))
    # As mmdet's PipelineSwitchHook does it.
    loader.dataset.pipeline = Compose([{"type": "convnextv2.LoadImage"}])
    assert loader.dataset[0]["img"].shape == (48, 64, 3)


def test_none_leaves_a_hook_out_and_two_come_by_themselves(tmp_path):
    runner = StrictRunner(
        Score(),
        str(tmp_path),
        default_hooks={"unreadable_images": None, "timer": None, "ours": None},
        experiment_name=tmp_path.name,
    )
    names = [type(hook).__name__ for hook in runner.hooks]
    assert names.count("SeedEveryIterHook") == 1
    assert not {"UnreadableImagesHook", "IterTimerHook"} & set(names)
    assert "CheckpointHook" in names


# --- files that cannot be read ------------------------------------------------------------------


class Score(BaseModel):
    """Gives each image's name, size and whether it is blank."""

    def forward(self, inputs, data_samples, mode="tensor"):
        return [
            (Path(sample.img_path).name, tuple(image.shape), not image.any())
            for image, sample in zip(inputs, data_samples, strict=True)
        ]


class Collect(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        self.seen = results
        return {"count": len(results)}


@pytest.fixture
def damaged(folder, tmp_path):
    """The folder with an image that is none."""
    for path in folder.rglob("*.*"):
        copy = tmp_path / path.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "images/3.png").write_bytes(b"no image")
    return tmp_path


@pytest.mark.parametrize("dtype", [None, "uint8", "uint16", "float32"])
def test_a_blank_image_is_of_the_type_and_the_bands_of_the_others(dtype):
    notes = []
    load = _LoadOrBlank(LoadImage(in_channels=5, dtype=dtype), notes)
    image = load({"img_path": "nowhere.npy", "height": 4, "width": 6})["img"]
    assert (image.shape, image.dtype.name) == ((4, 6, 5), dtype or "uint8")
    assert len(notes) == 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("wrapper", [None, "repeat", "mix"])
@pytest.mark.parametrize("task", TASKS)
def test_another_image_comes_in_the_place_of_an_unreadable_one(damaged, task, wrapper, workers):
    init_default_scope("mmengine")
    dataset = make_dataset(task, wrapper, damaged)
    batches = list(make_loader(dataset, workers=workers))
    assert images(batches) == images(make_loader(dataset, workers=workers))
    notes = [text.splitlines() for batch in batches for text in batch["unreadable"]]
    assert sum(map(bool, notes)) == (2 if wrapper == "repeat" else 1)
    assert {line for lines in notes for line in lines} == {f"{damaged}/images/3.png: {REASON}"}
    assert sum(len(batch["inputs"]) for batch in batches) == (10 if wrapper == "repeat" else 5)


def test_nothing_but_unreadable_images_stops(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(b"")
    dataset = SeededDataset(make_dataset("pretraining", None, tmp_path))
    with pytest.raises(
        RuntimeError, match=r"(?s)too many .* in a row:\n.*a\.png: the file is empty"
    ):
        dataset[0]


@pytest.mark.parametrize("task", ["detection", "segmentation"])
@pytest.mark.parametrize("wrapper", [None, "concat"])
def test_validation_goes_on_with_a_blank_image_and_names_the_file(damaged, task, wrapper):
    dataset, (load, augment) = TASKS[task](damaged)
    whole = {**dataset, "pipeline": [*load, augment[-1]], "test_mode": True}
    if wrapper:
        whole = {"type": "ConcatDataset", "datasets": [whole]}
    runner = StrictRunner(
        Score(),
        str(damaged / "work_dir"),
        val_dataloader={
            "batch_size": 2,
            "num_workers": 1,
            "dataset": whole,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
        },
        val_cfg={},
        val_evaluator=Evaluator(Collect()),
        default_scope="mmengine",
        experiment_name=f"{damaged.name}",
    )
    runner.val()
    runner.val()
    log = "".join(path.read_text() for path in (damaged / "work_dir").rglob("*.log"))
    MMLogger._instance_dict.clear()
    results = runner.val_evaluator.metrics[0].seen
    assert results == [(f"{i}.png", (3, 48, 64), i == 3) for i in range(IMAGES)]
    line = f"{damaged}/images/3.png: {REASON}"
    assert log.count(f"skipped {line}") == 1
    assert f"1 of {IMAGES} images could not be read\n  {line}" in log
