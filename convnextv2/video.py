"""Video files, cameras and streams, frame by frame through OpenCV."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from convnextv2.engine.errors import InputError
from convnextv2.files import AtomicLocalBackend, printable
from convnextv2.images import LoadImage, UnreadableImageError

if TYPE_CHECKING:
    from convnextv2.predictor import Predictor
    from convnextv2.results import ResultsWriter

MISSES = 25  # frames in a row that cannot be read, after which a stream has ended


class Frames:
    """The frames of a video (H, W, 3), uint8, BGR; a context manager.

    Args:
        source: Path of a file, address of a stream, or ``camera:NUMBER``.

    Attributes:
        is_file: Whether it ends by itself.
        fps: Frames a second; 25 where the source does not say it.
        read: Frames so far.
        corrupt: Frames that could not be decoded: those in between, and those that a file's header
            promises beyond the last.

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

    def __iter__(self) -> Iterator[np.ndarray]:
        misses = 0
        while misses < MISSES:
            good, frame = self._video.read()
            if good:
                self.corrupt += misses
                misses = 0
                self.read += 1
                yield frame
            else:
                misses += 1
        if self.is_file:
            promised = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
            self.corrupt = max(self.corrupt, promised - self.read)

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *error: object) -> None:
        self._video.release()


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
        """Add a frame (H, W, 3), RGB, as large as the first."""
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            code = cv2.VideoWriter.fourcc(*"mp4v")
            size = picture.shape[1], picture.shape[0]
            self._writer = cv2.VideoWriter(str(self._partial), code, self.fps, size)
            if not self._writer.isOpened():
                raise OSError(f"{self.path}: OpenCV cannot write videos here")
        self._writer.write(np.ascontiguousarray(picture[..., ::-1]))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.release()
            os.replace(self._partial, self.path)


def infer_video(
    predictor: Predictor,
    source: str,
    name: str,
    results: ResultsWriter,
    out: Path,
    score_thr: float,
    batch_size: int = 1,
) -> str:
    """Find, draw and write what is in each frame; returns a line about the frames.

    Frames are written as images named ``NAME/000001`` are, the drawn ones as
    ``pictures/NAME.mp4``. A stream goes on until it ends or the command is interrupted.

    Args:
        predictor: Of images of three bands of 8 bits.
        source: See `Frames`.
        name: For files.
        results: Of the predictor's task.
        out: Folder to write to.
        score_thr: What scores less is left out.
        batch_size: Frames to compute at once.

    Raises:
        InputError: The model looks at other bands.
        UnreadableImageError: The video cannot be opened, or has no frame.
    """
    load = predictor.load
    if isinstance(load, LoadImage) and (load.in_channels != 3 or load.dtype not in (None, "uint8")):
        raise InputError("videos have three bands of 8 bits, this model's images have others")
    turn = -1 if isinstance(load, LoadImage) and load.channel_order == "rgb" else 1
    start = time.monotonic()
    with (
        Frames(source) as frames,
        VideoWriter(out / "pictures" / f"{name}.mp4", frames.fps) as video,
    ):
        pixels = (np.ascontiguousarray(frame[..., ::turn]) for frame in frames)
        try:
            for number, found in enumerate(predictor(pixels, batch_size), 1):
                results.add(found, number, f"{name}/{number:06d}")
                picture = np.ascontiguousarray(found.image[..., :: -1 * turn])
                video.add(
                    predictor.task.draw_found(
                        picture,
                        found.sample,
                        predictor.palette,
                        names=predictor.classes,
                        score_thr=score_thr,
                    )
                )
        except KeyboardInterrupt:
            if frames.is_file:
                raise
    if not frames.read:
        raise UnreadableImageError(f"{printable(source)}: no frame could be read")
    seconds = time.monotonic() - start
    facts = f'{{"frames": {frames.read}, "corrupt": {frames.corrupt}, "fps": {frames.fps:g}}}\n'
    AtomicLocalBackend().put(facts.encode(), out / "pictures" / f"{name}.json")
    rate = frames.read / seconds
    return f"{name}: {frames.read} frames, {rate:.1f} a second, {frames.corrupt} corrupt"
