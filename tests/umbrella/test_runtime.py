"""What runs an exported model: its numpy is OpenCV's, torch's and mmdet's, and it needs no more."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from PIL import Image

from convnextv2 import runtime
from convnextv2.runtime import resizing, results

RUNTIME = Path(runtime.__file__).parent
ABOUT = {
    "form": runtime.FORM,
    "task": "segmentation",
    "kind": "labels",
    "classes": ["dark", "light"],
    "palette": [[0, 0, 0], [255, 255, 255]],
    "label_offset": 0,
    "image": {
        "channels": 3,
        "channel_order": "bgr",
        "dtype": "uint8",
        "steps": [{"step": "resize", "scale": [40, 40], "factor": None, "keep_ratio": True}],
        "smallest": 32,
    },
    "windows": None,
    "threshold": None,
}
# Allows Python's own, numpy, onnxruntime and what they need; refuses all else that is installed.
BLOCKED = """
import sys
import numpy, onnxruntime
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ({allowed}, *sys.stdlib_module_names):
            raise ImportError("refused: " + name)
known = set(sys.modules)
sys.meta_path.insert(0, Refuse())
assert not {{"torch", "cv2", "PIL", "mmengine", "convnextv2"}} & known, known
"""


@pytest.fixture
def model(tmp_path):
    """An ONNX file: dark where the mean is below 100."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["batch", 3, "height", "width"]
    nodes = [
        helper.make_node("ReduceMean", ["image", "axis"], ["mean"]),
        helper.make_node("Sub", ["limit", "mean"], ["dark"]),
        helper.make_node("Concat", ["dark", "mean0"], ["logits"], axis=1),
        helper.make_node("Sub", ["mean", "limit"], ["mean0"]),
    ]
    graph = helper.make_graph(
        [nodes[0], nodes[1], nodes[3], nodes[2]],
        "graph",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("logits", kind, ["batch", 2, "height", "width"])],
        [
            helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1]),
            helper.make_tensor("limit", kind, [], [100.0]),
        ],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(content, {runtime.KEY: json.dumps(ABOUT)})
    onnx.save(content, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_two_packages_are_enough(model, tmp_path):
    shutil.copytree(RUNTIME, tmp_path / "convnextv2_runtime")
    np.save(tmp_path / "a.npy", np.full((20, 30, 3), 200, np.uint8))
    (tmp_path / "a.png").write_bytes(b"a picture")
    script = BLOCKED.format(allowed="'convnextv2_runtime', 'numpy', 'onnxruntime'") + (
        "from convnextv2_runtime import Predictor\n"
        "image = numpy.zeros((50, 60, 3), numpy.uint8)\n"
        "image[:, 20:] = 255\n"
        "found, other = Predictor('model.onnx', threads=1)([image, 'a.npy'])\n"
        "labels = found.sample.pred_sem_seg.data\n"
        "assert labels.shape == (1, 50, 60)\n"
        "assert labels[0, :, :19].max() == 0 and labels[0, :, 21:].min() == 1\n"
        "assert (other.sample.pred_sem_seg.data == 1).all()\n"
        "tiled = Predictor('model.onnx').predict_by_tiles(image, 40, 8, batch_size=3)\n"
        "assert (tiled.sample.pred_sem_seg.data == (image[None, ..., 0] > 0)).all()\n"
        "try:\n"
        "    list(Predictor('model.onnx')('a.png'))\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "install pillow" in result.stdout


def test_what_cannot_be_read_is_left_out_and_named(model, tmp_path):
    predictor = runtime.Predictor(model)
    assert (predictor.task, predictor.classes) == ("segmentation", ["dark", "light"])
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    cv2.imwrite(str(good), np.full((9, 9, 3), (255, 0, 0), np.uint8))
    broken.write_bytes(b"no image")
    unreadable = []
    grey = np.zeros((8, 8, 1), np.uint8)
    (found,) = predictor([broken, good, grey], unreadable=unreadable)
    assert found.source == good
    assert found.image[0, 0].tolist() == [255, 0, 0]  # BGR, as OpenCV wrote it
    assert [str(error).split(":")[0] for error in unreadable] == [str(broken), "an array"]
    with pytest.raises(ValueError, match="expected \\(H, W, C\\) of 3 bands"):
        list(predictor(grey))
    with pytest.raises(FileNotFoundError, match="no model at"):
        runtime.Predictor(tmp_path / "nowhere.onnx")
    with pytest.raises(ValueError, match="is no ONNX model"):
        runtime.Predictor(broken)
    with pytest.raises(ValueError, match=r"was not written by this version's .*export_model"):
        runtime.read_about(json.dumps({"form": 99}), model)


def test_a_damaged_model_is_refused(model, tmp_path):
    onnx = pytest.importorskip("onnx")
    content, path = model.read_bytes(), tmp_path / "b.onnx"
    for length in (0, 1, len(content) // 3, len(content) // 2, len(content) - 40):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"b\.onnx (is no ONNX model|was not written|takes )"):
            runtime.Predictor(path)
    other = onnx.load(model)
    other.graph.input[0].name = other.graph.node[0].input[0] = "pixels"
    onnx.save(other, path)
    with pytest.raises(ValueError, match=r"b\.onnx takes pixels, expected one input, image"):
        runtime.Predictor(path)


def test_arrays_that_are_no_images_are_refused(model):
    predictor = runtime.Predictor(model)
    whole = np.zeros((40, 40, 3))
    for image, reason in [
        (whole.astype(bool), "values of type bool that are no finite numbers"),
        (whole.astype(complex), "values of type complex128"),
        (whole.astype(object), "values of type object"),
        (whole + np.nan, "values of type float64"),
        (whole[:0], r"shape \(0, 40, 3\), expected"),
        (whole[0], r"shape \(40, 3\), expected"),
        (whole[None], r"shape \(1, 40, 40, 3\), expected"),
        (np.broadcast_to(np.uint8(0), (3, 10**6, 3)), "3 x 1000000 pixels: one side"),
        (whole + 1e39, "values of type float64"),  # more than the network's numbers hold
    ]:
        with pytest.raises(ValueError, match=f"an array: {reason}"):
            list(predictor(image))
    for kind in (np.int64, np.float16, np.uint16):
        (found,) = predictor((whole + 200).astype(kind))
        assert (found.sample.pred_sem_seg.data == 1).all()


class Features:
    """A network that gives its images back, and what a file of it would say."""

    def __init__(self, **image):
        self.about = {**ABOUT, "kind": "features", "image": {**ABOUT["image"], **image}}

    def __call__(self, images):
        return {"features": images}


def test_what_is_no_image_is_refused_by_a_sentence(tmp_path):
    cases = {"pipe": ".png", "archive": ".npy", "text": ".npy", "thin": ".npy", "endless": ".npy"}
    paths = {name: tmp_path / f"{name}{suffix}" for name, suffix in cases.items()}
    os.mkfifo(paths["pipe"])  # to open it would wait for ever
    with open(paths["archive"], "wb") as file:
        np.savez(file, **{str(tmp_path / "secret.npy"): np.zeros(3)})
    np.save(paths["text"], np.full((4, 4, 3), "a"))
    np.save(paths["thin"], np.zeros((1, 4000, 3), np.uint8))
    with open(paths["endless"], "wb") as file:  # says that it has 3 TB
        head = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 3)}
        np.lib.format.write_array_header_1_0(file, head)
    (tmp_path / "bomb.png").write_bytes(_make_bomb())
    np.save(tmp_path / "nan.npy", np.full((4, 4, 3), np.nan, np.float32))
    paths |= {"bomb": tmp_path / "bomb.png", "nan": tmp_path / "nan.npy"}
    unreadable = []
    predictor = runtime.Predictor(Features())
    assert list(predictor(paths.values(), unreadable=unreadable)) == []
    assert [str(e).partition(": ")[0] for e in unreadable] == [str(p) for p in paths.values()]
    reasons = dict(zip(paths, map(str, unreadable), strict=True))
    assert "no regular one" in reasons["pipe"]
    assert "no array" in reasons["archive"]
    assert "one side is too short" in reasons["thin"]
    assert "no image: Image size (400000000 pixels) exceeds limit" in reasons["bomb"]
    with pytest.raises(ValueError, match="a dict is neither an array nor a path"):
        list(predictor([{}]))


def _make_bomb():
    """A PNG of a few bytes whose header says that it has 400 million pixels."""
    from struct import pack
    from zlib import crc32

    head = b"IHDR" + pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    data = b"IDATx"
    chunks = [pack(">I", len(c) - 4) + c + pack(">I", crc32(c)) for c in (head, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_files_have_the_values_that_training_loaded(tmp_path):
    from convnextv2.images import LoadImage

    rng = np.random.default_rng(0)
    for bands in (3, 2, 1):
        for order, found, dtype in [
            *[("rgb", np.uint16, "uint8"), ("bgr", np.uint8, "uint16")],
            ("rgb", np.float64, "float32"),
        ]:
            path = tmp_path / "a.npy"
            np.save(path, rng.integers(0, 256, (40, 40, bands)).astype(found))
            expected = LoadImage(bands, order, dtype)({"img_path": str(path)})["img"]
            predictor = runtime.Predictor(Features(channels=bands, channel_order=order))
            predictor.about["image"]["dtype"] = dtype
            (one,) = predictor(path)
            features = one.sample.features.transpose(1, 2, 0)
            assert np.array_equal(features, expected.astype(np.float32))
            flipped = order == "rgb" and bands == 3
            assert np.array_equal(one.image, expected[..., ::-1] if flipped else expected)
    np.save(path, np.zeros((40, 40, 1), np.float32))
    with pytest.raises(ValueError, match="values of type float32, expected uint8"):
        list(runtime.Predictor(Features(channels=1))(path))
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), rng.integers(0, 256, (40, 40), np.uint8))
    expected = LoadImage(1, "rgb", "uint8")({"img_path": str(grey)})["img"]
    (one,) = runtime.Predictor(Features(channels=1))(grey)
    assert np.array_equal(one.image, expected)


@pytest.mark.parametrize("text", ["[]", "no json", "[" * 100_000, '{"form": "1"}', None, "null"])
def test_a_file_that_says_nothing_of_itself_is_refused(text):
    with pytest.raises(ValueError, match=r"a\.onnx was not written by this version's"):
        runtime.read_about(text, "a.onnx")


def test_what_a_file_lacks_is_named():
    assert runtime.read_about(json.dumps(ABOUT), "a.onnx") == ABOUT
    image = ABOUT["image"]
    for wrong, name in [
        ({"palette": None}, "palette"),
        ({"kind": "dreams"}, "kind 'dreams'"),
        ({"image": []}, "image.channels, image.channel_order, image.steps, image.smallest"),
        ({"image": {**image, "steps": [{"step": "spin"}]}}, "image.steps 'spin'"),
        ({"image": {**image, "steps": [7]}}, "image.steps '7'"),
        ({"kind": "objects"}, "mask_threshold"),
    ]:
        with pytest.raises(ValueError, match=f"what is needed to run it: {name}$"):
            runtime.read_about(json.dumps({**ABOUT, **wrong}), "a.onnx")
    without = {name: value for name, value in ABOUT.items() if name != "windows"}
    with pytest.raises(ValueError, match=r": windows$"):
        runtime.read_about(json.dumps(without), "a.onnx")


def test_images_are_resized_as_opencv_does_it():
    rng = np.random.default_rng(0)
    sizes = [((48, 64), (80, 107)), ((48, 64), (24, 32)), ((9, 7), (82, 64)), ((1, 1), (5, 5))]
    for shape, size in [*sizes, ((40, 300), (13, 96)), ((64, 80), (64, 80)), ((5, 5), (37, 3))]:
        for channels in (1, 3, 4):
            image = rng.integers(0, 256, (*shape, channels), np.uint8)
            expected = cv2.resize(image, size[::-1]).reshape(*size, channels)
            assert np.array_equal(resizing.resize(image, size), expected), (shape, size, channels)
        deep = rng.integers(0, 65536, (*shape, 2), np.uint16)
        apart = np.abs(resizing.resize(deep, size).astype(int) - cv2.resize(deep, size[::-1]))
        assert apart.max() <= 4
        floats = rng.random((*shape, 2), np.float32)
        np.testing.assert_allclose(
            resizing.resize(floats, size), cv2.resize(floats, size[::-1]), atol=1e-5
        )


def test_images_are_resized_as_pillow_does_it():
    rng = np.random.default_rng(0)
    sizes = [((48, 64), (80, 107)), ((100, 75), (34, 25)), ((64, 60), (38, 38)), ((9, 7), (9, 3))]
    # Some releases of Pillow begin with the axis that shrinks most.
    for shape, size in [*sizes, ((90, 64), (24, 32)), ((5, 5), (1, 9))]:
        image = rng.integers(0, 256, (*shape, 3), np.uint8)
        picture = Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)
        apart = np.abs(resizing.resize_bicubic(image, size).astype(int) - np.asarray(picture))
        assert apart.max() <= (0 if (shape, size) in sizes else 2), (shape, size)
        band = rng.random(shape, np.float32) * 1000
        picture = Image.fromarray(band).resize(size[::-1], Image.Resampling.BICUBIC)
        found = resizing.resize_bicubic(band[..., None], size)[..., 0]
        np.testing.assert_allclose(found, np.asarray(picture), rtol=1e-4, atol=1e-2)


def test_the_middle_is_cut_out():
    image = np.arange(70).reshape(7, 10, 1)
    assert resizing.crop_centre(image, (3, 4))[..., 0].tolist()[0] == [23, 24, 25, 26]
    shorter = resizing.resize_shorter(np.zeros((100, 300, 3), np.uint8), (56, 56), 0.875)
    assert shorter.shape == (64, 192, 3)
    assert resizing.resize_shorter(shorter.transpose(1, 0, 2), (56, 56), 0.875).shape == (
        192,
        64,
        3,
    )


def test_sizes_are_mmcvs():
    rng = np.random.default_rng(0)
    for shape in rng.integers(1, 900, (200, 2)).tolist():
        image = np.zeros((*shape, 1), np.uint8)
        for scale in ((1333, 800), (96, 64), (64, 96), (512, 512)):
            expected = mmcv.rescale_size(shape[::-1], scale)[::-1]
            assert resizing.resized_size(shape, scale, None, True) == expected
            assert resizing.resized_size(shape, scale, None, False) == scale[::-1]
        expected = mmcv.imrescale(image, 0.5).shape[:2] if min(shape) > 1 else None
        if expected:
            assert resizing.resized_size(shape, None, (0.5, 0.5), False) == expected


def test_maps_are_resized_as_torch_does_it():
    maps = torch.randn(3, 9, 14, generator=torch.Generator().manual_seed(0))
    for size in ((9, 14), (20, 30), (5, 3), (1, 1), (64, 64)):
        expected = torch.nn.functional.interpolate(maps[None], size, mode="bilinear")[0]
        np.testing.assert_allclose(resizing.resize_maps(maps.numpy(), size), expected, atol=1e-5)


def test_masks_are_pasted_as_mmdet_does_it():
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    rng = torch.Generator().manual_seed(0)
    corners = torch.rand(60, 2, 2, generator=rng).sort(1).values * torch.tensor([70.0, 50.0])
    boxes = corners.flatten(1)
    boxes[0] = torch.tensor([0.0, 0.0, 70.0, 50.0])
    boxes[1] = torch.tensor([10.2, 20.4, 10.9, 21.0])  # less than a pixel
    masks = torch.rand(60, 1, 28, 28, generator=rng)
    masks = torch.nn.functional.avg_pool2d(masks, 7, 1, 3)
    expected = _do_paste_mask(masks, boxes, 50, 70, skip_empty=False)[0] >= 0.5
    found = results.paste(masks[:, 0].numpy(), boxes.numpy(), (50, 70), 0.5)
    assert found.any()
    assert (found != expected.numpy()).mean() < 1e-4


def test_objects_are_chosen_like_mmdets():
    objects = runtime.Instances(
        bboxes=np.arange(12).reshape(3, 4), scores=np.array([0.9, 0.5, 0.1]), labels=np.arange(3)
    )
    some = objects[objects.scores >= 0.5]
    assert (len(some), some.labels.tolist(), "masks" in some) == (2, [0, 1], False)
