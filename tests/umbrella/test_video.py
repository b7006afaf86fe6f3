"""Videos are read frame by frame, and damage is counted."""

import json
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from convnextv2.engine.errors import InputError
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.predictor import ImageModel
from convnextv2.results import Prediction
from convnextv2.video import Frames, NumberedFrames, VideoWriter, infer_video, is_numbered


def write(path, count=12):
    """A video of frames that grow brighter."""
    with VideoWriter(path, 10) as video:
        for i in range(count):
            video.add(np.full((48, 64, 3), 20 * i, np.uint8))
    return path


class Everywhere(ImageModel):
    """A predictor that finds how bright a frame is."""

    palette, classes = [(1, 2, 3)], ["thing"]

    def __init__(self, **load):
        task = SimpleNamespace(draw_found=self.draw, prepare=lambda sample: None)
        super().__init__(task, None, [LoadImage(**load), self.keep])

    def keep(self, results):
        return {**results, "inputs": results["img"]}

    def _run(self, batch, trim):
        for sample in batch:
            yield Prediction(sample["source"], sample["image"], float(sample["inputs"].mean()))

    def draw(self, picture, sample, palette, names, score_thr):
        return 255 - picture


class Kept:
    def __init__(self):
        self.found = []

    def add(self, prediction, number, name):
        self.found.append((number, name, prediction.sample))


def test_each_frame_is_found_written_and_drawn(tmp_path):
    results = Kept()
    path = write(tmp_path / "clip.mp4")
    line = infer_video(Everywhere(), str(path), "clip.mp4", results, tmp_path / "out", 0.3)
    assert line.startswith("clip.mp4: 12 frames")
    assert line.endswith(" 0 corrupt")
    numbers, names, values = zip(*results.found, strict=True)
    assert numbers == tuple(range(1, 13))
    assert names[0] == "clip.mp4/000001"
    assert np.abs(np.array(values) - 20 * np.arange(12)).max() < 6
    with Frames(str(tmp_path / "out/pictures/clip.mp4.mp4")) as drawn:
        assert drawn.fps == 10
        means = [frame.mean() for frame in drawn]
    assert np.abs(np.array(means) - (255 - 20 * np.arange(12))).max() < 9
    assert "partial" not in "".join(p.name for p in (tmp_path / "out/pictures").iterdir())


def test_missing_frames_are_counted(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.mp4")

    class Broken:
        """Two frames in the middle, and the last three, cannot be decoded."""

        def __init__(self):
            self.video, self.number = cv2.VideoCapture(str(path)), 0

        def read(self):
            self.number += 1
            good, frame = self.video.read()
            return (False, None) if self.number in (4, 5, 10, 11, 12) else (good, frame)

        def get(self, what):
            return self.video.get(what)

        def release(self):
            self.video.release()

    with Frames(str(path)) as frames:
        monkeypatch.setattr(frames, "_video", Broken())
        assert len(list(frames)) == 7
        assert frames.corrupt == 5


def threads():
    return [t for t in threading.enumerate() if t.name.startswith(("read_ahead", "background"))]


def test_the_next_frame_is_read_and_the_last_drawn_while_one_is_computed(tmp_path):
    path = write(tmp_path / "clip.mp4")
    read, drawn = threading.Event(), threading.Event()
    predictor = Everywhere()
    prepare, draw = predictor.task.prepare, predictor.task.draw_found
    seen = []

    def note_read(sample):
        seen.append(sample)
        if len(seen) == 2:
            read.set()
        return prepare(sample)

    def note_drawn(*args, **kwargs):
        drawn.set()
        return draw(*args, **kwargs)

    predictor.task.prepare, predictor.task.draw_found = note_read, note_drawn

    class Slow(Kept):
        """Goes on when the next frame was read and this one drawn."""

        def add(self, *found):
            assert read.wait(10)
            assert drawn.wait(10)
            super().add(*found)

    results = Slow()
    infer_video(predictor, str(path), "clip", results, tmp_path / "out", 0.3)
    assert len(results.found) == 12
    assert not threads()


@pytest.mark.parametrize("source", ["clip.mp4", "%02d.png"])
def test_what_fails_on_the_way_is_raised_and_leaves_no_thread(tmp_path, source):
    write(tmp_path / "clip.mp4")
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), np.zeros((8, 8, 3), np.uint8))

    def fail(*_, **__):
        raise OSError("disk full")

    predictor, results = Everywhere(), Kept()
    predictor.task.draw_found = fail
    with pytest.raises(OSError, match="disk full"):
        infer_video(predictor, str(tmp_path / source), "a", results, tmp_path / "out", 0.3)
    assert len(results.found) < 6  # at one of the next frames
    results.add = fail
    with pytest.raises(OSError, match="disk full"):
        infer_video(Everywhere(), str(tmp_path / source), "a", results, tmp_path / "out", 0.3)
    assert not threads()


def test_a_stream_that_is_interrupted_counts_what_was_looked_at(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.mp4")
    opened = Frames.__init__
    monkeypatch.setattr(
        Frames, "__init__", lambda self, s: (opened(self, s), setattr(self, "is_file", False))[0]
    )
    results = Kept()

    def add(*found):
        if len(results.found) == 5:
            raise KeyboardInterrupt
        Kept.add(results, *found)

    results.add = add
    infer_video(Everywhere(), str(path), "clip", results, tmp_path / "out", 0.3)
    facts = json.loads((tmp_path / "out/pictures/clip.json").read_text())
    assert len(results.found) == 5
    assert facts["frames"] == 6  # the last of which was being written
    with Frames(str(tmp_path / "out/pictures/clip.mp4")) as drawn:
        assert len(list(drawn)) == 6
    assert not threads()


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableImageError, match=r"clip\.mp4: no video"):
        Frames(str(tmp_path / "clip.mp4"))
    write(tmp_path / "good.mp4")
    with pytest.raises(InputError, match="three bands of 8 bits"):
        infer_video(
            Everywhere(in_channels=5), str(tmp_path / "good.mp4"), "a", Kept(), tmp_path, 0.3
        )


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_colours_stay_what_they_are(tmp_path, order):
    with VideoWriter(tmp_path / "red.mp4", 10) as video:
        video.add(np.full((48, 64, 3), (255, 0, 0), np.uint8))
    predictor = Everywhere(channel_order=order)
    seen = []
    predictor.task.draw_found = lambda picture, *_, **__: seen.append(picture) or picture
    infer_video(predictor, str(tmp_path / "red.mp4"), "red", Kept(), tmp_path / "out", 0.3)
    assert np.abs(seen[0].mean((0, 1)) - (255, 0, 0)).max() < 9


def test_numbered_frames_are_a_video(tmp_path):
    """Frame 4 is missing, 5 no image, 7 of another size; others in the folder are no frames."""
    for number in (2, 3, 5, 6, 7, 10):
        side = 24 if number == 7 else 48
        image = np.full((side, side, 3), 20 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), image)
    for name in ("x003.png", "03.png", "004.jpg"):
        (tmp_path / name).write_bytes(b"no frame")
    (tmp_path / "005.png").write_bytes(b"no image")
    source = str(tmp_path / "%03d.png")
    assert is_numbered(source)
    results = Kept()
    line = infer_video(Everywhere(), source, "walk", results, tmp_path / "out", 0.3, 4)
    assert line.startswith("walk: 5 frames")
    assert "4 corrupt\n" in line  # 4, 5, 8 and 9
    assert line.endswith("005.png: truncated, or no image")
    found = [(n, f"walk/{n:06d}", 20.0 * n) for n in (2, 3, 6, 7, 10)]
    assert results.found == found
    facts = json.loads((tmp_path / "out/pictures/walk.json").read_text())
    assert (facts["frames"], facts["corrupt"], len(facts["unreadable"])) == (5, 4, 1)
    with Frames(str(tmp_path / "out/pictures/walk.mp4")) as drawn:
        assert [frame.shape for frame in drawn] == 5 * [(48, 48, 3)]


def test_patterns_of_numbers(tmp_path):
    for name in ("f9.png", "f10.png", "f09.png", "%d.png"):
        (tmp_path / name).touch()
    with NumberedFrames(str(tmp_path / "f%d.png")) as frames:
        assert list(frames._paths.values()) == [9, 10]
    assert not is_numbered(str(tmp_path / "%d.png"))  # an image of that name
    with pytest.raises(UnreadableImageError, match=r"g%04d\.png: no file has such a name"):
        NumberedFrames(str(tmp_path / "g%04d.png"))
    with pytest.raises(UnreadableImageError, match=r"none/%d\.png: No such file"):
        NumberedFrames(str(tmp_path / "none/%d.png"))
