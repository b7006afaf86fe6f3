"""Inference on any images: the command's files, and the Python call, equal to the libraries'."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from processes import config, run
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from convnextv2.images import UnreadableImageError
from convnextv2.pictures import complete_palette
from convnextv2.predictor import Predictor

SIZES = [(64, 80), (64, 80), (80, 64), (64, 80), (9, 7), (40, 300)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images of `SIZES` with a few shapes; BGR."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for i, (height, width) in enumerate(SIZES):
        image = rng.integers(0, 80, (height, width, 3), dtype=np.uint8)
        cv2.circle(image, (width // 3, height // 2), min(height, width) // 3, (250, 60, 60), -1)
        paths.append(str(folder / f"{i}.png"))
        cv2.imwrite(paths[-1], image)
    return paths


def fields(sample):
    if "pred_sem_seg" in sample:
        return {"labels": sample.pred_sem_seg.data}
    return dict(sample.pred_instances.items())


@pytest.mark.parametrize("name", ["mask-rcnn", "upernet"])
def test_the_python_call_finds_what_the_library_finds(name, untrained, photos):
    path = str(config(name))
    predictor = Predictor(path, untrained(name, classes=["box", "disc"]), "cpu")
    init, call = {
        "mask-rcnn": (init_detector, inference_detector),
        "upernet": (init_model, inference_model),
    }[name]
    model = init(path, untrained(name, classes=["box", "disc"]), device="cpu")
    if name == "upernet":
        photos = photos[:5]  # mmseg cannot do the last, which is resized to 96 x 13
    for found, photo in zip(predictor(photos), photos, strict=True):
        expected = fields(call(model, photo))
        assert found.source == photo
        assert fields(found.sample).keys() == expected.keys()
        assert all(len(value) for value in expected.values())
        for key, value in fields(found.sample).items():
            assert torch.equal(value, expected[key]), key
        pixels = expected["masks" if "masks" in expected else "labels"]
        assert pixels.shape[1:] == found.image.shape[:2]
        (from_array,) = predictor(cv2.imread(photo))
        for key, value in fields(from_array.sample).items():
            assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("name", ["mask-rcnn", "upernet"])
def test_neighbours_in_a_batch_change_nothing(name, untrained, photos):
    predictor = Predictor(config(name), untrained(name), "cpu")
    shapes = []
    test_step = predictor.model.test_step

    def remember(data):
        shapes.append([tuple(image.shape[1:]) for image in data["inputs"]])
        return test_step(data)

    predictor.model.test_step = remember
    alone = list(predictor(photos))
    assert {len(batch) for batch in shapes} == {1}
    shapes.clear()
    together = list(predictor(photos, batch_size=2))
    assert [len(batch) for batch in shapes] == [2, 1, 1, 1, 1]
    assert [found.source for found in together] == photos
    for one, other in zip(alone, together, strict=True):
        if name == "upernet":  # two logits can be as good as equal
            same = one.sample.pred_sem_seg.data == other.sample.pred_sem_seg.data
            assert same.float().mean() > 0.99
        else:
            one, other = (found.sample.pred_instances[:10] for found in (one, other))
            torch.testing.assert_close(one.scores, other.scores, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(one.bboxes, other.bboxes, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("mode", ["slide", "whole"])
def test_images_smaller_than_the_networks_stride_are_padded_by_their_edge(mode, untrained, photos):
    cfg = Config.fromfile(config("upernet"))
    del cfg.test_dataloader.dataset.pipeline[1]  # the resizing
    cfg.model.test_cfg.mode = mode
    predictor = Predictor(cfg, untrained("upernet"), "cpu")
    small = cv2.imread(photos[0])[20:41, 10:60]
    padded = cv2.copyMakeBorder(small, 0, 11, 0, 0, cv2.BORDER_REPLICATE)
    assert padded.shape == (32, 50, 3)
    got, expected = (found.sample.pred_sem_seg.data for found in predictor([small, padded]))
    assert got.shape == (1, 21, 50)
    assert torch.equal(got, expected[:, :21])
    assert next(predictor(small[:1, :1])).sample.pred_sem_seg.data.shape == (1, 1, 1)


def test_classes_are_the_checkpoints_then_the_configs(untrained):
    predictor = Predictor(config("upernet"), untrained("upernet"))
    assert predictor.classes == ["box", "disc"]
    assert predictor.palette == [(255, 0, 0), (0, 0, 255)]
    assert predictor.label_offset == 1
    meta = {"classes": ("cat", "dog"), "palette": [[1, 2, 3], [4, 5, 6]]}
    predictor = Predictor(config("upernet"), untrained("upernet", **meta))
    assert predictor.classes == ["cat", "dog"]
    assert predictor.palette == [(1, 2, 3), (4, 5, 6)]
    assert len(set(complete_palette(None, 200))) == 200
    assert complete_palette("random", 3) == complete_palette([(1, 1, 1)], 3)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("fcmae-by-iter", {}, "no config of classification, detection or segmentation"),
        ("upernet", {"missing": True}, r"Missing key.*backbone\.stages"),
        ("upernet", {"extra": True}, "Unexpected key.*extra"),
        ("upernet", {"device": "cuda:99"}, "no device 'cuda:99' here; cpu always works"),
        ("upernet", {"device": "toaster"}, "no device 'toaster' here"),
        ("upernet", {"code": True}, "refused: it holds .* which would run code"),
    ],
)
def test_what_cannot_work_is_refused(name, change, message, untrained, tmp_path):
    path = untrained("upernet")
    content = torch.load(path, weights_only=True)
    if "missing" in change:
        content["state_dict"] = {
            k: v for k, v in content["state_dict"].items() if "stages.0" not in k
        }
    if "extra" in change:
        content["state_dict"]["extra"] = torch.zeros(1)
    if "code" in change:
        content["meta"]["dataset_meta"]["classes"] = UnreadableImageError("any object")
    torch.save(content, tmp_path / "changed.pth")
    with pytest.raises(ValueError, match=f"(?s){message}"):
        Predictor(config(name), tmp_path / "changed.pth", change.get("device"))


def test_unreadable_images_raise_unless_they_are_collected(untrained, photos, tmp_path):
    content = (tmp_path / "photo.jpg", tmp_path / "truncated.jpg", tmp_path / "empty.png")
    cv2.imwrite(str(content[0]), cv2.imread(photos[0]))
    content[1].write_bytes(content[0].read_bytes()[:600])
    content[2].write_bytes(b"")
    predictor = Predictor(config("upernet"), untrained("upernet"))
    with pytest.raises(UnreadableImageError, match=r"truncated\.jpg: truncated, or no image"):
        list(predictor([photos[0], content[1]]))
    unreadable = []
    paths = [content[1], content[0], content[2], tmp_path / "none.png"]
    (found,) = predictor(paths, 4, unreadable)
    assert found.source == content[0]
    names = [str(error).split(":")[0] for error in unreadable]
    assert names == [str(path) for path in (content[1], content[2], paths[3])]


@pytest.fixture
def tree(tmp_path, photos):
    """Folders in which names return, and files that are no images."""
    for path in ("in/a.jpg", "in/a.png", "in/deep/er/a.png", "more/a.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / path), cv2.imread(photos[2]))
    (tmp_path / "in/deep/broken.jpg").write_bytes(b"no image")
    (tmp_path / "in/notes.txt").write_text("no image either")
    return tmp_path


@pytest.mark.slow
def test_the_command_writes_coco_results_and_pictures(tree, untrained):
    path = untrained("mask-rcnn")
    # Written into the folder that is read: the second run must not take its own pictures.
    args = config("mask-rcnn"), path, "in", "--out", "in/found", "--score-thr", 0.34
    for _ in range(2):
        status, output = run(tree, "infer.py", *args, "--batch-size", 2, "--device", "cpu")
        assert status == 0, output
        assert "3 of 4 images" in output
        assert "1 of 4 images could not be read" in output
        assert "in/deep/broken.jpg" in output
    names = ["a.jpg", "a.png", "deep/er/a.png"]
    pictures = (tree / "in/found/pictures").rglob("*.*")
    assert sorted(str(p.relative_to(tree / "in/found/pictures")) for p in pictures) == [
        f"{name}.png" for name in names
    ]

    results = json.loads((tree / "in/found/results.json").read_text())
    predictor = Predictor(config("mask-rcnn"), path, "cpu")
    for number, name in ((1, "a.jpg"), (2, "a.png"), (4, "deep/er/a.png")):
        got = [entry for entry in results if entry["file_name"] == name]
        (found,) = predictor(tree / "in" / name)
        expected = found.sample.pred_instances
        expected = expected[expected.scores >= 0.34]
        assert 0 < len(expected) < len(found.sample.pred_instances)
        assert len(got) == len(expected)
        for i, entry in enumerate(got):
            assert entry["image_id"] == number
            assert entry["category_name"] == ("box", "disc")[entry["category_id"] - 1]
            assert entry["score"] == pytest.approx(expected.scores[i].item(), abs=1e-5)
        boxes = torch.tensor([entry["bbox"] for entry in got])
        boxes[:, 2:] += boxes[:, :2]
        torch.testing.assert_close(boxes, expected.bboxes, rtol=1e-3, atol=1e-2)
        masks = np.stack([coco_mask.decode(entry["segmentation"]) for entry in got])
        assert (masks == expected.masks.numpy()).mean() > 0.999
        drawn = cv2.imread(str(tree / f"in/found/pictures/{name}.png"))
        assert drawn.shape == found.image.shape
        assert 0 < (drawn != found.image).any(2).mean() < 1
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i, "height": 80, "width": 64} for i in (1, 2, 3, 4)],
        "categories": [{"id": 1, "name": "box"}, {"id": 2, "name": "disc"}],
    }
    coco.createIndex()
    assert coco.loadRes(results).getImgIds() == [1, 2, 3, 4]


@pytest.mark.slow
def test_the_command_writes_label_maps_as_test_does(cwd, tree, untrained):
    args = config("upernet"), untrained("upernet")
    status, output = run(cwd, "infer.py", *args, "shapes/val", "--out", "inferred")
    assert status == 0, output
    status, output = run(cwd, "test.py", *args, "--work-dir", "work_dirs/i", "--out", "tested")
    assert status == 0, output
    for path in sorted((cwd / "shapes/val").iterdir()):
        tested = cv2.imread(str(cwd / "tested" / path.name), cv2.IMREAD_UNCHANGED)
        labels = cv2.imread(str(cwd / f"inferred/labels/{path.name}.png"), cv2.IMREAD_UNCHANGED)
        assert labels.dtype == np.uint8
        assert set(np.unique(labels)) <= {1, 2}
        assert np.array_equal(labels, tested)
        drawn = cv2.imread(str(cwd / f"inferred/pictures/{path.name}.png"))
        assert drawn.shape[:2] == labels.shape

    # Of several folders and files: named below the folder that holds them all, each image once.
    images = "in", "more", "in/a.jpg", "more/../in/a.png"
    status, output = run(tree, "infer.py", *args, *images, "--out", "found")
    assert status == 0, output
    written = sorted(str(p.relative_to(tree)) for p in (tree / "found/labels").rglob("*.png"))
    names = ["in/a.jpg", "in/a.png", "in/deep/er/a.png", "more/a.jpg"]
    assert written == [f"found/labels/{name}.png" for name in names]


@pytest.mark.slow
def test_only_a_run_without_any_image_fails(tree, untrained):
    def infer(*args, name="upernet"):
        return run(tree, "infer.py", config(name), untrained("upernet"), *args)

    status, output = infer("in/deep/broken.jpg", "--out", "found")
    assert status == 1, output
    assert "0 of 1 images" in output
    assert "broken.jpg: truncated, or no image" in output
    for args, message in [
        (("nowhere", "--out", "found"), "nowhere does not exist"),
        (("in/a.jpg", "--out", "in/notes.txt"), "in/notes.txt"),
        (("in/a.jpg", "--out", "found", "--device", "cuda:99"), "no device 'cuda:99' here"),
    ]:
        status, output = infer(*args)
        assert status == 1, output
        assert message in output
        assert "Traceback" not in output
    for option, value, message in [
        ("--score-thr", 30, "'30' is no number from 0 to 1"),
        ("--batch-size", 0, "'0' is no whole number, 1 or more"),
    ]:
        status, output = infer("in/a.jpg", "--out", "found", option, value)
        assert status == 2, output
        assert message in output


def test_videos_of_one_name_have_names_of_their_own(tmp_path):
    from convnextv2.tools.infer import is_video, name_videos

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.mp4").touch()
    one, other = (str(tmp_path / folder / "clip.mp4") for folder in ("a", "b"))
    frames, stream = str(tmp_path / "b/%04d.png"), "rtsp://camera/1"
    walk, run = str(tmp_path / "b/walk_%d.png"), str(tmp_path / "b/run_%d.png")
    assert all(is_video(source) for source in (one, other, frames, stream))
    names = name_videos([one, frames, stream, other])
    assert list(names.values()) == ["a/clip.mp4", "b", "stream-3", "b/clip.mp4"]
    assert list(name_videos([walk, run, one]).values()) == ["b/walk", "b/run", "a/clip.mp4"]
    assert name_videos([one]) == {one: "clip.mp4"}
