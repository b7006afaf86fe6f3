"""Five bands of 16 bits with masks, and one of 16 bits with boxes, from pre-training to pictures.

The configs are those of the tests and of the demo, changed by `set_bands` alone, and their data.
"""

import json

import cv2
import numpy as np
import pytest
import tifffile
import torch
from processes import CONFIGS, REPO, run, train_in_two_processes

from convnextv2.bands import set_bands
from convnextv2.engine.config import read_config
from convnextv2.images import LoadImage

pytestmark = pytest.mark.slow

# Of TIFF: a page a band, bands together, bands one after the other.
TIFFS = (
    {"pages": True},
    {"photometric": "minisblack", "planarconfig": "contig"},
    {"photometric": "minisblack", "planarconfig": "separate"},
)


def write_tiff(path, image, kind):
    options = dict(TIFFS[kind])
    if options.pop("pages", False):
        with tifffile.TiffWriter(path) as file:
            for band in np.moveaxis(image, -1, 0):
                file.write(band, photometric="minisblack")
    else:
        image = image if options["planarconfig"] == "contig" else np.moveaxis(image, -1, 0)
        tifffile.imwrite(path, image, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``images/`` and ``masks/``, of five bands; ``grey/`` with boxes in ``train.json``."""
    root = tmp_path_factory.mktemp("bands")
    rng = np.random.default_rng(0)
    for split, count in {"train": 6, "val": 3}.items():
        for name in ("images", "masks", "grey"):
            (root / name / split).mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            bands = rng.integers(200, 3000, (64, 80, 5), dtype=np.uint16)
            mask = np.zeros((64, 80), np.uint8)
            x, y, side = (int(rng.integers(*ends)) for ends in ((0, 50), (0, 34), (16, 28)))
            bands[y : y + side, x : x + side, 3] += 20000  # seen in one band alone
            mask[y : y + side, x : x + side] = 1
            write_tiff(root / f"images/{split}/{i}.tif", bands, i % 3)
            cv2.imwrite(str(root / f"masks/{split}/{i}.png"), mask)
            cv2.imwrite(str(root / f"grey/{split}/{i}.png"), bands[..., 3])
            images.append({"id": i, "file_name": f"{i}.png", "height": 64, "width": 80})
            box = {"bbox": [x, y, side, side], "area": side * side, "iscrowd": 0}
            annotations.append({"id": i + 1, "image_id": i, "category_id": 1, **box})
        content = {"images": images, "annotations": annotations}
        content["categories"] = [{"id": 1, "name": "cell"}]
        (root / f"{split}.json").write_text(json.dumps(content))
    return root


def write_config(folder, source, bands, **dataset):
    """The config of a file, for so many bands of whatever type the files have."""
    cfg = read_config(str(source))
    for name in ("custom_imports", "custom_hooks"):
        cfg.pop(name, None)
    set_bands(cfg, bands, None)
    cfg.model.backbone.init_cfg = None
    for loader, split in {"train": "train", "val": "val", "test": "val"}.items():
        if f"{loader}_dataloader" in cfg:
            entry = cfg[f"{loader}_dataloader"]
            entry.update(num_workers=0, persistent_workers=False)
            entry.dataset.update(dataset | {"data_root": str(folder)})
            for key, value in entry.dataset.items():
                if isinstance(value, str):
                    entry.dataset[key] = value.replace("SPLIT", split)
            for key, value in (entry.dataset.get("data_prefix") or {}).items():
                entry.dataset.data_prefix[key] = value.replace("SPLIT", split)
    return cfg


def call(folder, *args, **environment):
    status, output = run(folder, *args, **environment)
    assert status == 0, output
    return output


def mean_of(checkpoint):
    tensors = torch.load(checkpoint, weights_only=False)["state_dict"]
    return tensors["data_preprocessor.mean"].flatten().numpy()


def assert_pictures(folder, count, width):
    paths = sorted(folder.rglob("*.png"))
    assert len(paths) == count
    for path in paths:
        picture = cv2.imread(str(path))
        assert picture.shape == (64, width, 3)
        assert picture.std() > 10  # something is to be seen


def test_five_bands_with_masks(folder):
    load = LoadImage(in_channels=5)
    paths = (folder / "images/train").iterdir()
    pixels = [load({"img_path": str(path)})["img"] for path in paths]
    expected = np.concatenate([p.reshape(-1, 5) for p in pixels]).mean(0)

    cfg = write_config(folder, CONFIGS / "tiny-fcmae-by-iter.py", 5)
    for name, split in {"train": "train", "test": "val"}.items():
        cfg[f"{name}_dataloader"].dataset.data_root = str(folder / "images" / split)
    cfg.default_hooks.reconstruction = {"type": "convnextv2.ReconstructionHook", "interval": 8}
    cfg.dump(str(folder / "pre.py"))
    output = call(folder, "train.py", "pre.py")
    assert output.count("measured on 6 training images") == 1
    pretrained = folder / "work_dirs/pre/iter_8.pth"
    np.testing.assert_allclose(mean_of(pretrained), expected, rtol=1e-6)

    cfg = write_config(
        folder,
        CONFIGS / "tiny-upernet.py",
        5,
        data_prefix={"img_path": "images/SPLIT", "seg_map_path": "masks/SPLIT"},
        img_suffix=".tif",
        reduce_zero_label=False,
        metainfo={"classes": ("none", "cell"), "palette": [[0, 0, 0], [255, 0, 0]]},
    )
    for name in ("train", "val", "test"):
        for step in cfg[f"{name}_dataloader"].dataset.pipeline:
            step.pop("reduce_zero_label", None)
    cfg.model.backbone.init_cfg = {"type": "Pretrained", "checkpoint": str(pretrained)}
    cfg.dump(str(folder / "seg.py"))
    output = call(folder, "dataset_converters/check_data.py", "seg.py", "--out", "check")
    assert "0 fatal, 0 warnings" in output
    assert cv2.imread(str(folder / "check/samples.png")) is not None
    output = call(folder, "train.py", "seg.py")
    assert output.count("PhotoMetricDistortion is left out: it needs three bands of uint8") == 1
    assert "66 of 66 tensors matched" in output
    checkpoint = folder / "work_dirs/seg/iter_6.pth"
    np.testing.assert_allclose(mean_of(checkpoint), expected, rtol=1e-6)
    # Resumed, they are those of the checkpoint, and not measured again.
    options = ["--cfg-options", "train_cfg.max_iters=8"]
    assert "measured on" not in call(folder, "train.py", "seg.py", "--resume", *options)

    shown = ["--show-bands", "4,3,2"]
    call(folder, "test.py", "seg.py", checkpoint, "--show-dir", "shown", *shown)
    assert_pictures(folder / "shown", 3, 2 * 80)
    call(folder, "infer.py", "seg.py", checkpoint, "images/val", "--out", "found", *shown)
    assert_pictures(folder / "found/pictures", 3, 80)
    assert len(list((folder / "found/labels").iterdir())) == 3

    # The file of statistics gives the same, and disagrees with a checkpoint that has its own.
    call(folder, "dataset_converters/compute_statistics.py", "seg.py", "--out", "s.json")
    np.testing.assert_allclose(json.loads((folder / "s.json").read_text())["mean"], expected)
    options = ["--cfg-options", "model.data_preprocessor.statistics=s.json"]
    status, output = run(folder, "test.py", "seg.py", checkpoint, *options)
    assert status == 1
    assert "set mean, std and statistics of model.data_preprocessor to None" in output


def test_one_band_of_16_bits_with_boxes(folder):
    cfg = write_config(
        folder,
        REPO / "configs/detection/faster-rcnn_convnextv2-atto_fpn_demo-trees.py",
        1,
        ann_file="SPLIT.json",
        data_prefix={"img": "grey/SPLIT/"},
        metainfo={"classes": ("cell",), "palette": [[0, 255, 0]]},
    )
    for name in ("val", "test"):
        cfg[f"{name}_evaluator"].ann_file = str(folder / "val.json")
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.update(max_iters=4, val_interval=4)
    cfg.default_hooks.checkpoint.interval = 4
    cfg.dump(str(folder / "det.py"))
    output = call(folder, "dataset_converters/check_data.py", "det.py", "--out", "check-det")
    assert "0 fatal, 0 warnings" in output
    output = call(folder, "train.py", "det.py")
    assert output.count("measured on 6 training images") == 1
    checkpoint = folder / "work_dirs/det/iter_4.pth"
    grey = [cv2.imread(str(p), -1) for p in (folder / "grey/train").iterdir()]
    assert mean_of(checkpoint) == pytest.approx([np.mean(grey)])
    call(folder, "test.py", "det.py", checkpoint, "--show-dir", "shown-det")
    assert_pictures(folder / "shown-det", 3, 2 * 80)
    options = ["--score-thr", "0.01"]
    call(folder, "infer.py", "det.py", checkpoint, "grey/val", "--out", "found-det", *options)
    assert_pictures(folder / "found-det/pictures", 3, 80)
    assert json.loads((folder / "found-det/results.json").read_text())


def test_two_processes_have_what_the_first_measured(cwd):
    options = ["model.data_preprocessor.mean=None", "model.data_preprocessor.std=None"]
    work_dir = train_in_two_processes(cwd, "work_dirs/measured", *options)
    images = [cv2.imread(str(path)) for path in (cwd / "shapes/train").iterdir()]
    pixels = np.concatenate([image.reshape(-1, 3)[:, ::-1] for image in images])
    np.testing.assert_allclose(mean_of(work_dir / "iter_8.pth"), pixels.mean(0), rtol=1e-6)
