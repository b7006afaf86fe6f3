"""Videos are read frame by frame, and damage is counted."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from convnextv2.engine.errors import InputError
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.results import Prediction
from convnextv2.video import Frames, VideoWriter, infer_video


def write(path, count=12):
    """A video of frames that grow brighter."""
    with VideoWriter(path, 10) as video:
        for i in range(count):
            video.add(np.full((48, 64, 3), 20 * i, np.uint8))
    return path


class Everywhere:
    """A predictor that finds how bright a frame is."""

    palette, classes = [(1, 2, 3)], ["thing"]

    def __init__(self, **load):
        self.load = LoadImage(**load)
        self.task = SimpleNamespace(draw_found=self.draw)

    def __call__(self, images, batch_size):
        yield from (Prediction(image, image, float(image.mean())) for image in images)

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


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableImageError, match=r"clip\.mp4: no video"):
        Frames(str(tmp_path / "clip.mp4"))
    write(tmp_path / "good.mp4")
    with pytest.raises(InputError, match="three bands of 8 bits"):
        infer_video(
            Everywhere(in_channels=5), str(tmp_path / "good.mp4"), "a", Kept(), tmp_path, 0.3
        )
