"""The graph that is exported finds what mmdet finds: the same boxes, scores, labels and masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from convnextv2 import runtime
from convnextv2.detection import export, export_ops
from convnextv2.detection.coco import decode_mask
from convnextv2.detection.exportable import ExportableDetector, compare_objects
from convnextv2.detection.tiled import ObjectsJoiner
from convnextv2.engine.errors import InputError
from convnextv2.runtime.join import WHOLE_IMAGE
from convnextv2.runtime.reduced import reduce_image
from convnextv2.runtime.tiles import TileGrid
from convnextv2.tiled import predict_tiles

BASES = Path(__file__).resolve().parents[2] / "configs/_base_/models"
NAMES = ["faster-rcnn", "mask-rcnn", "cascade-mask-rcnn"]
WIDTHS = [8, 16, 24, 32]


def make_config(name, **test_cfg):
    """A small detector of two classes, whose images are resized to 64 x 96 at most."""
    cfg = Config.fromfile(BASES / f"{name}_convnextv2_fpn.py")
    model = cfg.model
    model.backbone.arch = {"depths": [1, 1, 1, 1], "channels": WIDTHS}
    model.neck.update(in_channels=WIDTHS, out_channels=16)
    model.rpn_head.update(in_channels=16, feat_channels=16)
    model.rpn_head.anchor_generator.scales = [4]
    heads = model.roi_head.bbox_head
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(in_channels=16, fc_out_channels=32, num_classes=2)
    # Small, so that objects of small images come from all levels.
    model.roi_head.bbox_roi_extractor.update(out_channels=16, finest_scale=8)
    if "mask_head" in model.roi_head:
        model.roi_head.mask_roi_extractor.update(out_channels=16, finest_scale=8)
        model.roi_head.mask_head.update(
            in_channels=16, num_convs=1, conv_out_channels=16, num_classes=2
        )
    # More proposals than there are after suppression: some places stay empty.
    model.test_cfg.rpn.update(nms_pre=200, max_per_img=500)
    nms = {"type": "nms", "iou_threshold": 0.5}
    model.test_cfg.rcnn = {**model.test_cfg.rcnn, "nms": nms, "score_thr": 0.3, **test_cfg}
    pipeline = [
        {"type": "convnextv2.LoadImage", "channel_order": "bgr", "dtype": "uint8"},
        {"type": "Resize", "scale": (96, 64), "keep_ratio": True},
        {"type": "PackDetInputs", "meta_keys": ("ori_shape", "img_shape", "scale_factor")},
    ]
    dataset = {
        "type": "CocoDataset",
        "ann_file": "",
        "metainfo": {"classes": ("box", "disc")},
        "pipeline": pipeline,
    }
    cfg.merge_from_dict({"default_scope": "mmdet", "test_dataloader": {"dataset": dataset}})
    return cfg


def save_weights(cfg, path):
    """A checkpoint whose heads are sure of themselves, and find something."""
    init_default_scope("mmdet")
    torch.manual_seed(0)
    state_dict = MODELS.build(cfg.model).state_dict()
    for name, tensor in state_dict.items():
        if tensor.is_floating_point() and not tensor.any():
            tensor.normal_(std=0.1)
        for part, factor in {"fc_cls.weight": 10, "fc_reg": 5, "conv_logits": 30}.items():
            if part in name:
                tensor.mul_(factor)
        if name.endswith("fc_cls.bias"):
            tensor.copy_(torch.tensor([0.5, 0.5, -0.5]))  # the last is the background
    torch.save({"state_dict": state_dict}, path)
    return str(path)


class EagerGraph:
    """The network itself in the place of its file."""

    def __init__(self, exportable):
        self.network, self.about = exportable.network, exportable.about

    def __call__(self, images):
        with torch.no_grad():
            return {k: v.numpy() for k, v in self.network(torch.from_numpy(images)).items()}


@pytest.fixture(scope="module")
def images():
    """Of one size, of another, and very long."""
    rng = np.random.default_rng(0)
    sizes = [(64, 96), (64, 96), (64, 96), (83, 60), (200, 50)]
    coarse = [rng.integers(0, 256, (h // 8 + 1, w // 8 + 1, 3), np.uint8) for h, w in sizes]
    return [
        image.repeat(8, 0).repeat(8, 1)[:h, :w] for image, (h, w) in zip(coarse, sizes, strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_finds_what_mmdet_finds(name, images, tmp_path):
    cfg = make_config(name)
    exportable = ExportableDetector(cfg, save_weights(cfg, tmp_path / "a.pth"))
    found = list(runtime.Predictor(EagerGraph(exportable))(images))
    total = 0
    for image, one in zip(images, found, strict=True):
        expected = exportable.predict(image).pred_instances
        objects = one.sample.pred_instances
        total += len(expected)
        assert len(objects) == len(expected)
        assert set(vars(objects)) - {"_fields"} == set(expected.keys())
        for difference in exportable.compare(exportable.predict(image), one.sample):
            assert difference.found <= 1e-4, difference
        np.testing.assert_allclose(objects.scores, expected.scores, rtol=0, atol=1e-5)
        assert sorted(objects.labels) == sorted(expected.labels.tolist())
        if "mask" in name:
            assert objects.masks.shape == (len(expected), *image.shape[:2])
    assert total > 20

    # Several images at once, one of them without objects.
    blank = [images[0], np.zeros_like(images[0]), images[2]]
    alone = [next(runtime.Predictor(EagerGraph(exportable))(image)) for image in blank]
    together = list(runtime.Predictor(EagerGraph(exportable))(blank, batch_size=3))
    for one, other in zip(alone, together, strict=True):
        one, other = (vars(found.sample.pred_instances) for found in (one, other))
        for difference in compare_objects(one, other):
            assert difference.found <= 1e-3, difference


@pytest.mark.parametrize(
    ("name", "size", "number"),
    [("mask-rcnn", (200, 300), 200), ("faster-rcnn", (2000, 1500), 300)],
)
def test_many_objects_of_large_images_are_found(name, size, number, tmp_path):
    cfg = make_config(name, score_thr=0.05, max_per_img=number)
    cfg.test_dataloader.dataset.pipeline[1] = {"type": "Resize", "scale_factor": 1.0}
    exportable = ExportableDetector(cfg, save_weights(cfg, tmp_path / "a.pth"))
    assert exportable.about["image"]["steps"][0]["factor"] == [1.0, 1.0]
    shape = [side // 8 + 1 for side in size]
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    image = image.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]
    (found,) = runtime.Predictor(EagerGraph(exportable))(image)
    assert len(found.sample.pred_instances) == number
    for difference in exportable.compare(exportable.predict(image), found.sample):
        assert difference.found <= difference.allowed, difference


def test_by_tiles_it_finds_what_the_model_finds_by_tiles(tmp_path):
    cfg = make_config("mask-rcnn")
    exportable = ExportableDetector(cfg, save_weights(cfg, tmp_path / "a.pth"))
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (18, 24, 3), np.uint8).repeat(8, 0).repeat(8, 1)[:140, :190]
    grid = TileGrid(image.shape[:2], 64, 16)
    joiner = ObjectsJoiner(grid)
    read = lambda tile: image[tile[1] : tile[3], tile[0] : tile[2]]  # noqa: E731
    list(predict_tiles(exportable._predictor, read, joiner))
    (small,) = exportable._predictor(reduce_image(read, grid.image_shape, 64)[0])
    joiner.add_reduced(small.sample, 3)
    expected = joiner.join()
    assert len(expected) > 20
    assert any(len(found.tiles) > 1 for found in expected)
    assert any(WHOLE_IMAGE in found.tiles for found in expected)
    predictor = runtime.Predictor(EagerGraph(exportable))
    objects = predictor.predict_by_tiles(image, 64, 16, 3, whole_too=True).sample.pred_instances
    mine = {
        "bboxes": np.array([one.box for one in expected], np.float32),
        "scores": np.array([one.score for one in expected], np.float32),
        "labels": np.array([one.label for one in expected]),
        "masks": np.array([decode_mask(one.mask.to_coco(grid.image_shape)) for one in expected]),
    }
    other = vars(objects) | {"masks": np.array([decode_mask(mask) for mask in objects.masks])}
    for difference in compare_objects(mine, other):
        assert difference.found <= 1e-3, difference
    assert len(objects[objects.scores > objects.scores[3]].masks) == 3  # the best come first


@pytest.mark.parametrize("name", NAMES)
def test_what_a_runtime_makes_of_regions_of_no_size_does_not_matter(
    name, images, tmp_path, monkeypatch
):
    """OpenVINO makes NaN of them."""

    def spoil(level, numbers, rois, *options):
        found = export_ops.roi_align(level, numbers, rois, *options)
        nothing = (rois[:, 2:] <= rois[:, :2]).any(1)
        return found.masked_fill(nothing[:, None, None, None], float("nan"))

    monkeypatch.setattr(export, "roi_align", spoil)
    cfg = make_config(name)
    exportable = ExportableDetector(cfg, save_weights(cfg, tmp_path / "a.pth"))
    (found,) = runtime.Predictor(EagerGraph(exportable))(images[0])
    assert len(found.sample.pred_instances)
    for difference in exportable.compare(exportable.predict(images[0]), found.sample):
        assert difference.found <= 1e-4, difference


def test_an_image_may_have_no_objects(images, tmp_path):
    cfg = make_config("mask-rcnn", score_thr=1.0)
    exportable = ExportableDetector(cfg, save_weights(cfg, tmp_path / "a.pth"))
    for found in runtime.Predictor(EagerGraph(exportable))(images, batch_size=2):
        objects = found.sample.pred_instances
        assert len(objects) == 0
        assert objects.bboxes.shape == (0, 4)
        assert objects.masks.shape == (0, *found.image.shape[:2])


def test_soft_nms_becomes_a_hard_one(tmp_path):
    cfg = make_config("faster-rcnn", nms={"type": "soft_nms", "iou_threshold": 0.3})
    exportable = ExportableDetector(cfg, save_weights(cfg, tmp_path / "a.pth"))
    assert exportable.about["nms"] == {"iou_threshold": 0.5, "in_place_of_soft_nms": True}
    assert cfg.model.test_cfg.rcnn.nms.type == "soft_nms"  # the caller's is left alone


def test_what_would_be_another_model_is_refused(tmp_path):
    cfg = make_config("faster-rcnn", nms={"type": "nms", "class_agnostic": True})
    with pytest.raises(InputError, match="nms and soft_nms can be exported"):
        ExportableDetector(cfg, save_weights(cfg, tmp_path / "a.pth"))
    cfg = make_config("faster-rcnn")
    cfg.test_dataloader.dataset.pipeline.insert(2, {"type": "RandomFlip", "prob": 1.0})
    with pytest.raises(InputError, match="RandomFlip, which cannot be exported"):
        ExportableDetector(cfg, str(tmp_path / "a.pth"))
    cfg = make_config("faster-rcnn")
    cfg.model.rpn_head.loss_cls.use_sigmoid = False
    with pytest.raises(InputError, match="sigmoid"):
        ExportableDetector(cfg, save_weights(cfg, tmp_path / "b.pth"))
    for name, part in [
        ("faster-rcnn", "bbox"),
        ("mask-rcnn", "mask"),
        ("cascade-mask-rcnn", "bbox"),
    ]:
        cfg = make_config(name)
        cfg.model.roi_head[f"{part}_roi_extractor"].roi_layer.sampling_ratio = 2
        with pytest.raises(InputError, match=f"as {part}_roi_extractor cannot be exported: a"):
            ExportableDetector(cfg, save_weights(cfg, tmp_path / "c.pth"))
