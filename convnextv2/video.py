"""Video files, numbered frames, cameras and streams, frame by frame."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from convnextv2.background import AHEAD, Background
from convnextv2.engine.errors import InputError
from convnextv2.files import AtomicLocalBackend, move_whole, printable
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.pictures import to_rgb

if TYPE_CHECKING:
    from convnextv2.predictor import Predictor
    from convnextv2.results import Prediction, ResultsWriter

_NUMBER = re.compile(r"%(0\d+)?d")
MISSES = 25  # frames in a row that cannot be read, after which a stream has ended


class Frames:
    """The frames of a video (H, W, 3), uint8, BGR; a context manager.

    Args:
        source: Path of a file, address of a stream, or ``camera:NUMBER``.

    Attributes:
        is_file: Whether it ends by itself.
        fps: Frames a second; 25 where the source does not say it.
        read: Frames so far, of those that were looked at.
        corrupt: Frames that could not be decoded: those in between, and those that a file's header
            promises beyond the last.
        unreadable: Errors of frames that have a name: none.

    Raises:
        UnreadableImageError: It cannot be opened.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        number = source.removeprefix("camera:")
        self.is_file = source == number and "://" not in source
        self._video = cv2.VideoCapture(int(number) if source != number else source)
        if not self._video.isOpened():
            raise UnreadableImageError(f"{printable(source)}: no video, camera or stream to open")
        self.fps = self._video.get(cv2.CAP_PROP_FPS) or 25.0
        self.read = self.corrupt = 0
        self.unreadable: list[Exception] = []

    def predict(
        self, predictor: Predictor, batch_size: int
    ) -> Generator[tuple[int, Prediction], None, None]:
        """What is found in each frame, with its number, from 1; frames are read ahead in a thread.

        Raises:
            InputError: The model looks at other bands.
        """
        load = predictor.load
        if isinstance(load, LoadImage) and not (
            load.in_channels == 3 and load.dtype in (None, "uint8")
        ):
            raise InputError("videos have three bands of 8 bits, this model's images have others")
        turn = -1 if getattr(load, "channel_order", "bgr") == "rgb" else 1
        pixels = (np.ascontiguousarray(frame[..., ::turn]) for frame in self)
        with closing(predictor(pixels, batch_size, ahead=AHEAD * batch_size)) as predictions:
            for found in predictions:
                self.read += 1
                yield self.read, found

    def __iter__(self) -> Iterator[np.ndarray]:
        misses = given = 0
        while misses < MISSES:
            good, frame = self._video.read()
            if good:
                self.corrupt += misses
                misses = 0
                given += 1
                yield frame
            else:
                misses += 1
        if self.is_file:
            promised = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
            self.corrupt = max(self.corrupt, promised - given)

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *error: object) -> None:
        self._video.release()


class NumberedFrames:
    """Images that are the frames of a video, in the order of their numbers.

    Args:
        pattern: Path with a number in its last part, as ffmpeg and OpenCV write it:
            ``frames/%06d.png``; ``%d`` is a number without leading zeros.

    Attributes:
        is_file, fps, read, corrupt: See `Frames`. Numbers that are left out count as corrupt.
        unreadable: The errors of those that are there and cannot be read.

    Raises:
        UnreadableImageError: There are none.
    """

    is_file = True

    def __init__(self, pattern: str) -> None:
        folder, name = os.path.split(pattern)
        before, digits, after = _NUMBER.split(name, maxsplit=1)
        number = rf"(\d{{{int(digits)},}})" if digits else r"(0|[1-9]\d*)"
        form = re.compile(re.escape(before) + number + re.escape(after))
        try:
            names = os.listdir(folder or ".")
        except OSError as error:
            raise UnreadableImageError(f"{printable(pattern)}: {error.strerror}") from error
        found = {int(match[1]): name for name in names if (match := form.fullmatch(name))}
        if not found:
            raise UnreadableImageError(f"{printable(pattern)}: no file has such a name")
        self._paths = {os.path.join(folder, found[key]): key for key in sorted(found)}
        self._missing = max(found) - min(found) + 1 - len(found)
        self.fps, self.read = 25.0, 0
        self.unreadable: list[Exception] = []

    @property
    def corrupt(self) -> int:
        """Frames that are left out or cannot be read."""
        return self._missing + len(self.unreadable)

    def predict(
        self, predictor: Predictor, batch_size: int
    ) -> Generator[tuple[int, Prediction], None, None]:
        """What is found in each frame that can be read, with the frame's number; see `Frames`."""
        paths, ahead = list(self._paths), AHEAD * batch_size
        with closing(predictor(paths, batch_size, self.unreadable, ahead=ahead)) as predictions:
            for found in predictions:
                self.read += 1
                yield self._paths[str(found.source)], found

    def __enter__(self) -> NumberedFrames:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is open."""


def name_frames(pattern: str) -> str:
    """A path for results of numbered frames: what stands before the number, or their folder."""
    before = _NUMBER.split(pattern, maxsplit=1)[0]
    return before.rstrip("._-/") or "."


def is_numbered(source: str) -> bool:
    """Whether a path stands for numbered frames; a file of just that name is an image."""
    return bool(_NUMBER.search(os.path.basename(source))) and not os.path.exists(source)


class VideoWriter:
    """An mp4 file that gets its name when it is complete; a context manager.

    Args:
        path: Of the file; folders are made.
        fps: Frames a second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        # OpenCV goes by the suffix.
        self._partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
        self._writer: Any = None

    def add(self, picture: np.ndarray) -> None:
        """Add a frame (H, W, 3), RGB; of another size than the first it is resized."""
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._size = picture.shape[1], picture.shape[0]
            self._writer = cv2.VideoWriter(str(self._partial), code, self.fps, self._size)
            if not self._writer.isOpened():
                raise OSError(f"{self.path}: OpenCV cannot write videos here")
        if self._size != (picture.shape[1], picture.shape[0]):
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(np.ascontiguousarray(picture[..., ::-1]))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.release()
            move_whole(self._partial, self.path)


def infer_video(
    predictor: Predictor,
    source: str,
    name: str,
    results: ResultsWriter,
    out: Path,
    score_thr: float,
    batch_size: int = 1,
    bands: tuple[int, ...] | None = None,
) -> str:
    """Find, draw and write what is in each frame; returns a line about the frames.

    Frames are written as images named ``NAME/000001`` are, the drawn ones as
    ``pictures/NAME.mp4``. A stream goes on until it ends or the command is interrupted.

    Args:
        predictor: The model.
        source: See `Frames`, and `NumberedFrames`.
        name: For files.
        results: Of the predictor's task.
        out: Folder to write to.
        score_thr: What scores less is left out.
        batch_size: Frames to compute at once.
        bands: What to show of them, see `show_bands`.

    Raises:
        InputError: The model looks at other bands than those of a video.
        UnreadableImageError: The video cannot be opened, or has no frame.
    """

    def draw(found: Prediction) -> None:
        picture = to_rgb(found.image, bands=bands)
        video.add(
            predictor.task.draw_found(
                picture,
                found.sample,
                predictor.palette,
                names=predictor.classes,
                score_thr=score_thr,
            )
        )

    start = time.monotonic()
    with (
        NumberedFrames(source) if is_numbered(source) else Frames(source) as frames,
        VideoWriter(out / "pictures" / f"{name}.mp4", frames.fps) as video,
        Background(AHEAD * batch_size) as later,
        closing(frames.predict(predictor, batch_size)) as predictions,
    ):
        try:
            for number, found in predictions:
                later(draw, found)
                results.add(found, number, f"{name}/{number:06d}")
        except KeyboardInterrupt:
            if frames.is_file:
                raise
    if not frames.read:
        raise UnreadableImageError(f"{printable(source)}: no frame could be read")
    return _describe(frames, name, out, time.monotonic() - start)


def _describe(frames: Frames | NumberedFrames, name: str, out: Path, seconds: float) -> str:
    """A line about the frames, of which a file beside the video has the facts."""
    facts: dict[str, Any] = {"frames": frames.read, "corrupt": frames.corrupt, "fps": frames.fps}
    if frames.unreadable:
        facts["unreadable"] = [str(error) for error in frames.unreadable]
    content = json.dumps(facts).encode()
    AtomicLocalBackend().put(content + b"\n", out / "pictures" / f"{name}.json")
    rate = frames.read / seconds
    line = f"{name}: {frames.read} frames, {rate:.1f} a second, {frames.corrupt} corrupt"
    return line + "".join(f"\n  {error}" for error in frames.unreadable)
