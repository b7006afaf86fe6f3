"""Of files that are damaged in many ways exactly those are named, and too many stop the run."""

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from convnextv2.engine.runner import StrictRunner

DAMAGES = {
    "truncated.jpg": lambda good: good(".jpg")[:-300],
    "almost_whole.jpg": lambda good: good(".jpg")[:-2],
    "truncated.png": lambda good: good(".png")[:-300],
    "almost_whole.png": lambda good: good(".png")[:-20],
    "truncated.tif": lambda good: good(".tif")[:-300],
    "truncated.bmp": lambda good: good(".bmp")[:-300],
    "truncated.webp": lambda good: good(".webp")[:-100],
    "empty.jpg": lambda good: b"",
    "text.png": lambda good: b"no image at all",
    "header_only.jpg": lambda good: good(".jpg")[:20],
    "other_channels.npy": None,
}


@pytest.fixture
def folder(tmp_path):
    """100 good images, one of them a PNG with the ending of a JPEG, and the damaged ones."""
    rng = np.random.default_rng(0)
    images = tmp_path / "images"
    (images / "some").mkdir(parents=True)

    def good(suffix):
        image = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
        return cv2.imencode(suffix, image)[1].tobytes()

    for i in range(100):
        (images / "some" / f"{i}.jpg").write_bytes(good(".png" if i == 7 else ".jpg"))
    for name, damage in DAMAGES.items():
        if damage is None:
            np.save(images / name, np.zeros((64, 48, 2), np.uint8))
        else:
            (images / name).write_bytes(damage(good))
    return tmp_path


def run(folder, **hook):
    """Train for an epoch; returns what the log says."""
    pipeline = [
        {"type": "convnextv2.LoadImage"},
        {"type": "convnextv2.RandomResizedCrop", "size": 64},
        {"type": "convnextv2.PackFCMAEInputs"},
    ]
    arch = {"depths": [1, 1, 1, 1], "channels": [4, 4, 4, 4]}
    backbone = {"type": "convnextv2.ConvNeXtV2", "arch": arch}
    runner = StrictRunner(
        {"type": "convnextv2.FCMAE", "backbone": backbone, "decoder_dim": 8},
        str(folder / "work_dir"),
        train_dataloader={
            "batch_size": 16,
            "num_workers": 2,
            "collate_fn": {"type": "default_collate"},
            "sampler": {"type": "convnextv2.SeededSampler", "shuffle": True},
            "dataset": {
                "type": "convnextv2.UnlabelledImages",
                "data_root": str(folder / "images"),
                "pipeline": pipeline,
            },
        },
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        train_cfg={"by_epoch": True, "max_epochs": 1},
        default_hooks={
            "checkpoint": None,
            "logger": {"type": "LoggerHook", "interval": 1},
            "unreadable_images": {"type": "convnextv2.UnreadableImagesHook", **hook},
        },
        default_scope="mmengine",
        experiment_name=f"{folder.name}-{hook}",
    )
    try:
        runner.train()
    finally:
        logs = "".join(path.read_text() for path in (folder / "work_dir").rglob("*.log"))
        MMLogger._instance_dict.clear()
    return logs


def test_the_run_finishes_and_names_exactly_the_damaged(folder):
    log = run(folder, max_share=0.12)
    total = 100 + len(DAMAGES)
    before, summary = log.split(f"{len(DAMAGES)} of {total} images could not be read\n", 1)
    # Each at once, and once: who looks at the log need not wait for the end of an epoch.
    iterations = before.split("Epoch(train)")
    assert sum("skipped " in part for part in iterations) > 2
    skipped = [line.split("skipped ")[1] for line in before.splitlines() if "skipped " in line]
    assert sorted(line.split(": ")[0].rsplit("/", 1)[1] for line in skipped) == sorted(DAMAGES)
    lines = summary.splitlines()[: len(DAMAGES)]
    names = [line.strip().split(": ")[0].rsplit("/", 1)[1] for line in lines]
    assert sorted(names) == sorted(DAMAGES)
    assert "empty.jpg: the file is empty" in summary
    assert "other_channels.npy: 2 channels, expected 3" in summary


def test_more_than_the_share_stop_the_run_with_the_list(folder):
    with pytest.raises(RuntimeError, match=r"of 111 images could not be read, more than") as error:
        run(folder, max_share=0.05)
    assert len(str(error.value).splitlines()) == 1 + 6
