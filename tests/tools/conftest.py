"""A folder with tiny labelled images, in which the commands are run, and finished runs."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from processes import config, train


@pytest.fixture(scope="session")
def cwd(once):
    """A folder with ``shapes/``: 7 images to train on and 3 to test on, boxes and discs.

    In COCO format ``train.json``, ``val.json``; as label maps ``train_labels/``, ``val_labels/``,
    1 = box, 2 = disc, 0 = none of both.
    """
    return once("cwd", write_shapes)


@pytest.fixture(scope="session")
def scored(once, cwd):
    """The folder of the tests with more images: 32 to learn from, 16 of the same kind unseen."""
    once("scored", lambda _: write_more_shapes(cwd))
    return cwd


@pytest.fixture(scope="session")
def finished(once, cwd):
    """name -> work dir of a run of that config that nobody disturbed; each is trained once."""

    def get(name):
        work_dir = f"work_dirs/finished-{name}"
        once(f"finished-{name}", lambda _: train(cwd, name, work_dir))
        return cwd / work_dir

    return get


def write_shapes(cwd):
    rng = np.random.default_rng(0)
    for split, count in {"train": 7, "val": 3}.items():
        write_split(cwd / "shapes", split, count, rng)


def write_more_shapes(cwd):
    rng = np.random.default_rng(1)
    for split, count in {"many": 32, "unseen": 16}.items():
        write_split(cwd / "shapes", split, count, rng)
        folder = cwd / "shades" / split
        folder.mkdir(parents=True)
        for i in range(count):
            # One slope over the whole image, which any part of it gives away.
            corners = rng.uniform(0, 1, 3) @ np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
            image = cv2.resize(corners.reshape(2, 2) * 120, (160, 160)).round().astype(np.uint8)
            cv2.imwrite(str(folder / f"{i}.png"), cv2.merge([image] * 3))


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """name, data set's meta -> a checkpoint of that config's model that finds something."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def get(name, **meta):
        path = folder / f"{name}{len(meta)}.pth"
        if not path.exists():
            cfg = Config.fromfile(config(name))
            init_default_scope(cfg.default_scope)
            torch.manual_seed(0)
            state_dict = MODELS.build(cfg.model).state_dict()
            for tensor in state_dict.values():
                if tensor.is_floating_point() and not tensor.any():
                    tensor.normal_(std=0.1)  # GRN and biases are born as zeros
            torch.save({"state_dict": state_dict, "meta": {"dataset_meta": meta}}, path)
        return str(path)

    return get


def write_split(root, split, count, rng):
    images, annotations = [], []
    for folder in (root / split, root / f"{split}_labels"):
        folder.mkdir(parents=True)
    for i in range(count):
        height, width = (64, 80) if i % 2 else (80, 64)
        image = rng.integers(0, 80, (height, width, 3), dtype=np.uint8)
        labels = np.zeros((height, width), np.uint8)
        images.append({"id": i + 1, "file_name": f"{i}.png", "height": height, "width": width})
        for category in (1, 2, 1):
            x, y = (int(rng.integers(2, side - 32)) for side in (width, height))
            side = int(rng.integers(16, 30))
            outline = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
            if category == 2:
                angles = np.arange(16) * np.pi / 8
                circle = np.stack([np.cos(angles), np.sin(angles)], 1) + 1
                outline = ([x, y] + circle * side / 2).tolist()
            color = (250, 60, 60) if category == 1 else (60, 60, 250)
            for target, value in ((image, color), (labels, category)):
                cv2.fillPoly(target, [np.int32(np.round(outline))], value)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i + 1,
                    "category_id": category,
                    "bbox": [x, y, side, side],
                    "area": side * side,
                    "iscrowd": 0,
                    "segmentation": [np.ravel(outline).tolist()],
                }
            )
        cv2.imwrite(str(root / split / f"{i}.png"), image)
        cv2.imwrite(str(root / f"{split}_labels" / f"{i}.png"), labels)
    categories = [{"id": 1, "name": "box"}, {"id": 2, "name": "disc"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / f"{split}.json").write_text(json.dumps(content))
