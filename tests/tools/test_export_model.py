"""export_model.py: what leaves the project finds what the model in it finds, without its libraries.

That the networks themselves are mmdet's and mmseg's, the tests of those folders say; here the files
are run.
"""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from processes import config, run

from convnextv2 import runtime
from convnextv2.detection.exportable import ExportableDetector, compare_objects
from convnextv2.engine.errors import InputError
from convnextv2.predictor import Predictor
from convnextv2.pretrain.export import ExportableEncoder
from convnextv2.tools.deployment import export_model
from convnextv2.tools.deployment.page.models import ExportedModel
from convnextv2.tools.deployment.page.views import look

TOOL = "deployment/export_model.py"
# Runs the file beside the model where nothing but two packages can be imported.
ALONE = """
import sys
import numpy as np, onnxruntime
class Refuse:
    def find_spec(self, name, path=None, target=None):
        own = {"convnextv2_runtime", "numpy", "onnxruntime", *sys.stdlib_module_names}
        if name.split(".")[0] not in own:
            raise ImportError("refused: " + name)
sys.meta_path.insert(0, Refuse())
from convnextv2_runtime import Predictor
predictor = Predictor("model.onnx", threads=1)
images = [np.load(path) for path in sys.argv[1:]]
for path, found in zip(sys.argv[1:], predictor(images, batch_size=2)):
    np.save(path.replace("image", "labels"), found.sample.pred_sem_seg.data)
assert not {"torch", "cv2", "PIL", "mmengine", "convnextv2"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def photos():
    """Of three sizes, the first of which returns; BGR."""
    rng = np.random.default_rng(0)
    images = []
    for height, width in [(64, 80), (64, 80), (150, 200), (20, 50)]:
        image = rng.integers(0, 80, (height, width, 3), dtype=np.uint8)
        cv2.circle(image, (width // 3, height // 2), min(height, width) // 3, (250, 60, 60), -1)
        images.append(image)
    return images


def look_on_page(model, path):
    """What the web page shows of an exported file."""
    image = np.load(path)[..., ::-1]  # the page reads arrays as RGB
    np.save(path.with_name("page.npy"), image)
    return look(ExportedModel(str(model)), str(path.with_name("page.npy")))


@pytest.mark.slow
def test_a_segmenter_runs_where_two_packages_are(cwd, untrained, photos, tmp_path):
    pytest.importorskip("onnxscript")
    checkpoint = untrained("upernet")
    args = config("upernet"), checkpoint, "--out", tmp_path / "model.onnx"
    status, output = run(cwd, TOOL, *args)
    assert status == 0, output
    assert "compared with torch on 3 images" in output
    assert "torchvision" not in output
    files = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".txt")
    assert files == ["convnextv2_runtime", "model.onnx"]

    names = [f"image{number}.npy" for number in range(len(photos))]
    for name, image in zip(names, photos, strict=True):
        np.save(tmp_path / name, image)
    result = subprocess.run(
        [sys.executable, "-c", ALONE, *names], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    predictor = Predictor(str(config("upernet")), checkpoint, "cpu")
    for name, found in zip(names, predictor(photos), strict=True):
        labels = np.load(tmp_path / name.replace("image", "labels"))
        seen = look_on_page(tmp_path / "model.onnx", tmp_path / name)
        assert np.array_equal(seen.labels, labels[0])
        expected = found.sample.pred_sem_seg.data.numpy()
        assert labels.shape == expected.shape
        assert (labels != expected).mean() <= 1e-3


@pytest.mark.slow
def test_a_detectors_file_finds_what_mmdet_finds(photos, tmp_path):
    pytest.importorskip("onnxscript")
    cfg = Config.fromfile(config("mask-rcnn"))
    cfg.model.test_cfg.rcnn.update(score_thr=0.34, nms={"type": "nms", "iou_threshold": 0.5})
    # Of three levels, which is traced faster.
    cfg.model.neck.update(start_level=1, num_outs=3)
    cfg.model.rpn_head.anchor_generator.strides = [8, 16, 32]
    for name in ("bbox_roi_extractor", "mask_roi_extractor"):
        cfg.model.roi_head[name].featmap_strides = [8, 16, 32]
    init_default_scope("mmdet")
    torch.manual_seed(0)
    state_dict = MODELS.build(cfg.model).state_dict()
    for tensor in state_dict.values():
        if tensor.is_floating_point() and not tensor.any():
            tensor.normal_(std=0.1)  # GRN and biases are born as zeros
    torch.save({"state_dict": state_dict}, tmp_path / "a.pth")
    exportable = ExportableDetector(cfg, str(tmp_path / "a.pth"))
    out = tmp_path / "model.onnx"
    assert export_model.export(exportable, out, "onnx", photos[:1])
    predictor = runtime.Predictor(out)
    assert predictor.about == json.loads(json.dumps(exportable.about))
    assert predictor.classes == ["box", "disc"]
    nothing = np.zeros_like(photos[0])
    images = [photos[0], nothing, photos[1], *photos[2:]]
    np.save(tmp_path / "photo.npy", photos[0])
    view = look_on_page(out, tmp_path / "photo.npy")
    (alone,) = predictor(photos[0])
    found = alone.sample.pred_instances
    assert sorted(one.score for one in view.objects) == pytest.approx(sorted(found.scores))
    assert sorted(one.mask.area for one in view.objects) == sorted(found.masks.sum((1, 2)))
    numbers = []
    for image, found in zip(images, predictor(images, batch_size=3), strict=True):
        expected = exportable.predict(image)
        numbers.append(len(expected.pred_instances))
        for difference in exportable.compare(expected, found.sample):
            assert difference.found <= difference.allowed, difference
    assert sum(numbers) > 20


@pytest.mark.parametrize(("height", "width"), [(64, 96), (20, 50)])
def test_an_encoder_gives_the_features_of_its_backbone(untrained, tmp_path, height, width):
    cfg = Config.fromfile(config("fcmae-by-iter"))
    exportable = ExportableEncoder(cfg, untrained("fcmae-by-iter"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    found = exportable.predict(image)
    with torch.no_grad():
        model = exportable.model
        padded = np.pad(image, ((0, max(32 - height, 0)), (0, 0), (0, 0)), "edge")
        inputs = torch.from_numpy(padded).permute(2, 0, 1)[None]
        batch = model.data_preprocessor({"inputs": inputs})["inputs"]
        # With all that the encoder of a pre-training sees: every patch.
        mask = torch.ones(1, *(side // 32 for side in batch.shape[2:]), dtype=torch.bool)
        whole = batch[..., : mask.shape[1] * 32, : mask.shape[2] * 32]
        expected = model.forward_encoder(whole, mask)[0][0].numpy()
    if whole.shape == batch.shape:
        np.testing.assert_allclose(found.features, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.pooled, found.features.mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_an_encoders_images_are_those_of_its_data_set_in_any_wrapper(untrained):
    cfg = Config.fromfile(config("fcmae-by-iter"))
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline[0].update(channel_order="bgr", dtype="uint8")
    cfg.train_dataloader.dataset = {"type": "RepeatDataset", "times": 2, "dataset": dataset}
    image = ExportableEncoder(cfg, untrained("fcmae-by-iter")).about["image"]
    assert (image["channel_order"], image["dtype"]) == ("bgr", "uint8")


def test_nothing_is_written_that_is_no_copy(untrained, tmp_path, monkeypatch):
    cfg = Config.fromfile(config("fcmae-by-iter"))
    exportable = ExportableEncoder(cfg, untrained("fcmae-by-iter"))
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    out = tmp_path / "model.pt2"
    right = exportable.predict(image)
    differences = export_model.export(exportable, out, "torch", [image])
    assert [difference.what.split(",")[0] for difference in differences] == ["features", "pooled"]
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
    content = out.read_bytes()

    with pytest.raises(InputError, match="takes no images of 40 x 96"):
        export_model.export(exportable, out, "torch", [image[:40]])

    right.pooled[0] += 1
    monkeypatch.setattr(exportable, "predict", lambda image: right)
    with pytest.raises(InputError, match="not written, for the file is no copy"):
        export_model.export(exportable, out, "torch", [image])
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
    assert out.read_bytes() == content


def test_objects_that_only_one_has_are_counted():
    boxes = np.array([[0, 0, 9, 9], [20, 20, 40, 40], [20, 20, 40, 40]], np.float32)
    one = {"bboxes": boxes, "scores": np.array([0.9, 0.8, 0.7]), "labels": np.array([0, 1, 1])}
    assert [d.found for d in compare_objects(one, one)] == [0, 0, 0]
    fewer = {name: values[:2] for name, values in one.items()}
    assert compare_objects(one, fewer)[0].found == compare_objects(fewer, one)[0].found == 1 / 3
    none = {name: values[:0] for name, values in one.items()}
    assert compare_objects(none, one)[0].found == 1
    assert compare_objects(none, none) == []
    moved = {**one, "bboxes": boxes + np.float32(0.25)}
    assert compare_objects(one, moved)[1].found == 0.25
