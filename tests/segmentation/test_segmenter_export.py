"""The graph of a segmenter that is exported labels pixels as mmseg does, whole and in windows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from convnextv2 import runtime
from convnextv2.engine.errors import InputError
from convnextv2.runtime.tiles import TileGrid
from convnextv2.segmentation.export import AdaptivePool, ExportableSegmenter
from convnextv2.segmentation.tiled import LabelsJoiner, find_labels
from convnextv2.tiled import predict_tiles

BASE = Path(__file__).resolve().parents[2] / "configs/_base_/models/upernet_convnextv2.py"
WIDTHS = [8, 16, 24, 32]
SIZES = [(64, 96), (64, 96), (83, 60), (150, 40), (9, 7)]


def make_config(classes=3, **test_cfg):
    """A small UperNet, whose images are resized to 64 x 96 at most."""
    cfg = Config.fromfile(BASE)
    cfg.model.backbone.arch = {"depths": [1, 1, 1, 1], "channels": WIDTHS}
    cfg.model.decode_head.update(in_channels=WIDTHS, channels=16, num_classes=classes)
    cfg.model.auxiliary_head.update(in_channels=24, channels=16, num_classes=classes)
    cfg.model.test_cfg = test_cfg or {"mode": "whole"}
    pipeline = [
        {"type": "convnextv2.LoadImage", "channel_order": "bgr", "dtype": "uint8"},
        {"type": "Resize", "scale": (96, 64), "keep_ratio": True},
        {"type": "PackSegInputs"},
    ]
    dataset = {
        "type": "BaseSegDataset",
        "metainfo": {
            "classes": ("none", "box", "disc"),
            "palette": [[0, 0, 0], [9, 0, 0], [1] * 3],
        },
        "pipeline": pipeline,
        "reduce_zero_label": True,
    }
    cfg.merge_from_dict({"default_scope": "mmseg", "test_dataloader": {"dataset": dataset}})
    return cfg


def save_weights(cfg, path):
    init_default_scope("mmseg")
    torch.manual_seed(0)
    state_dict = MODELS.build(cfg.model).state_dict()
    for tensor in state_dict.values():
        if tensor.is_floating_point() and not tensor.any():
            tensor.normal_(std=0.1)
    torch.save({"state_dict": state_dict}, path)
    return str(path)


class EagerGraph:
    """The network itself in the place of its file."""

    def __init__(self, exportable):
        self.network, self.about = exportable.network, exportable.about

    def __call__(self, images):
        with torch.no_grad():
            return {k: v.numpy() for k, v in self.network(torch.from_numpy(images)).items()}


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_the_graph_labels_as_mmseg_does(mode, tmp_path):
    cfg = make_config(mode=mode, crop_size=(64, 48), stride=(43, 33))
    exportable = ExportableSegmenter(cfg, save_weights(cfg, tmp_path / "a.pth"))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
    predictor = runtime.Predictor(EagerGraph(exportable))
    assert (predictor.task, predictor.label_offset) == ("segmentation", 1)
    assert predictor.classes == ["none", "box", "disc"]
    assert predictor.palette == [(0, 0, 0), (9, 0, 0), (1, 1, 1)]
    several = set()
    for image, found in zip(images, predictor(images, batch_size=2), strict=True):
        labels = found.sample.pred_sem_seg.data
        expected = exportable.predict(image).pred_sem_seg.data.numpy()
        assert labels.shape == expected.shape == (1, *image.shape[:2])
        assert (labels != expected).mean() <= 1e-3
        several |= set(np.unique(labels))
        (difference,) = exportable.compare(exportable.predict(image), found.sample)
        assert difference.found <= 1e-3
        found.sample.pred_sem_seg.data[0, :2] += 1
        (difference,) = exportable.compare(exportable.predict(image), found.sample)
        assert difference.found > difference.allowed
    assert len(several) > 1


def test_large_images_are_labelled_as_they_are(tmp_path):
    cfg = make_config()
    cfg.test_dataloader.dataset.pipeline[1] = {"type": "Resize", "scale_factor": 1.0}
    exportable = ExportableSegmenter(cfg, save_weights(cfg, tmp_path / "a.pth"))
    rng = np.random.default_rng(0)
    for height, width in [(200, 300), (2000, 1500)]:
        image = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
        image = image.repeat(8, 0).repeat(8, 1)[:height, :width]
        (found,) = runtime.Predictor(EagerGraph(exportable))(image)
        (difference,) = exportable.compare(exportable.predict(image), found.sample)
        assert difference.found <= difference.allowed
        assert len(np.unique(found.sample.pred_sem_seg.data)) > 1


@pytest.mark.parametrize("classes", [3, 1])
def test_by_tiles_it_labels_as_the_model_does_by_tiles(classes, tmp_path):
    cfg = make_config(classes)
    if classes == 1:
        for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
            head.update(out_channels=1, threshold=0.5)
            head.loss_decode.use_sigmoid = True
    exportable = ExportableSegmenter(cfg, save_weights(cfg, tmp_path / "a.pth"))
    image = np.random.default_rng(0).integers(0, 256, (18, 24, 3), np.uint8)
    image = image.repeat(8, 0).repeat(8, 1)[:140, :190]
    grid = TileGrid(image.shape[:2], 64, 16)
    joiner = LabelsJoiner(grid, find_labels(exportable._predictor.model))
    read = lambda tile: image[tile[1] : tile[3], tile[0] : tile[2]]  # noqa: E731
    list(predict_tiles(exportable._predictor, read, joiner))
    found = runtime.Predictor(EagerGraph(exportable)).predict_by_tiles(image, 64, 16, 3)
    labels = found.sample.pred_sem_seg.data
    assert labels.shape == (1, 140, 190)
    assert (labels[0] != joiner.join()).mean() <= 1e-3
    assert len(np.unique(labels)) > 1


def test_adaptive_pooling_is_torchs():
    rng = torch.Generator().manual_seed(0)
    for size in (1, 2, 3, 6, (2, 5)):
        for shape in ((1, 1), (2, 3), (6, 7), (16, 13)):
            x = torch.randn(2, 3, *shape, generator=rng, dtype=torch.float64)
            expected = torch.nn.functional.adaptive_avg_pool2d(x, size)
            torch.testing.assert_close(AdaptivePool(size)(x), expected)


def test_what_would_be_another_model_is_refused(tmp_path):
    cfg = make_config()
    cfg.model.data_preprocessor.test_cfg = {"size_divisor": 32}
    with pytest.raises(InputError, match="test_cfg pads images"):
        ExportableSegmenter(cfg, save_weights(cfg, tmp_path / "a.pth"))
    cfg = make_config()
    cfg.test_dataloader.dataset.pipeline[1].interpolation = "area"
    with pytest.raises(InputError, match="bilinear"):
        ExportableSegmenter(cfg, str(tmp_path / "a.pth"))
    cfg = make_config()
    del cfg.model.data_preprocessor.bgr_to_rgb
    cfg.model.data_preprocessor.type = "SegDataPreProcessor"
    with pytest.raises(InputError, match="those of this project can be exported"):
        ExportableSegmenter(cfg, save_weights(cfg, tmp_path / "b.pth"))
