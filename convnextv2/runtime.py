"""An exported model, run by numpy and onnxruntime alone.

This file needs no other of this project: copied beside the model, it works where neither torch nor
mmengine is. The calls and results are those of `convnextv2.predictor.Predictor`, with arrays in the
place of tensors.

from convnextv2.runtime import Predictor

predictor = Predictor("model.onnx")
for found in predictor([image]):
    print(found.sample.pred_instances.bboxes)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

Image = str | Path | np.ndarray
KEY = "convnextv2"  # of what an exported file says of itself
FORM = 1  # of that; a reader of another refuses
# Of images, as `LoadImage` has it: a resizing may leave nothing of the shorter side.
MOST_ASPECT = 200


class Graph(Protocol):
    """The network of an exported file.

    Attributes:
        about: What the file says of itself.
    """

    about: dict[str, Any]

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, by name, of images (B, C, H, W), float32, of one size."""


class OnnxGraph:
    """An ONNX file, in onnxruntime.

    Args:
        path: Of the file.
        threads: At most so many compute; by default as many as there are cores.
        providers: onnxruntime's, in the order in which they are tried.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or was not written by this project.
    """

    def __init__(self, path: str | Path, threads: int = 0, providers: Sequence[str] = ()) -> None:
        import onnxruntime

        if not Path(path).is_file():
            raise FileNotFoundError(f"no model at {Path(path).absolute()}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        providers = list(providers) or ["CPUExecutionProvider"]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own kinds have no common one
            raise ValueError(f"{path} is no ONNX model: {str(error)[:300]}") from error
        self._names = [output.name for output in self._session.get_outputs()]
        self.about = read_about(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, by name."""
        return dict(zip(self._names, self._session.run(None, {"image": images}), strict=True))


class Prediction(NamedTuple):
    """What a model found in one image."""

    source: Image
    """As it was given."""
    image: np.ndarray
    """(H, W, C); colours as BGR, whatever order the network takes."""
    sample: SimpleNamespace
    """In pixels of `image`: ``pred_instances`` (`Instances`); ``pred_sem_seg.data`` (1, H, W); of a
    classifier ``pred_scores`` (classes,) and ``pred_label`` (1,); or, of an encoder, ``features``
    (C, H/32, W/32) and ``pooled`` (C,)."""


class Instances:
    """Objects: ``bboxes`` (n, 4), ``scores``, ``labels`` and, of some models, ``masks`` (n, H, W).

    An index, a slice or booleans choose among them, as of mmdet's.
    """

    bboxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray

    def __init__(self, **fields: np.ndarray) -> None:
        self._fields = fields
        vars(self).update(fields)

    def __len__(self) -> int:
        return len(self.scores)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __getitem__(self, chosen: Any) -> Instances:
        return Instances(**{name: values[chosen] for name, values in self._fields.items()})


class Predictor:
    """An exported model, for images of any size.

    Args:
        model: Path of an ONNX file, or a graph that is loaded.
        threads: At most so many compute; by default as many as there are cores.

    Attributes:
        about: All that the file says of itself.
        task: Its task's name.
        classes: Their names.
        palette: An RGB colour for each.
        label_offset: What to add to ``pred_sem_seg`` for a file of labels, see the other Predictor.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It was not written by this project.
    """

    def __init__(self, model: str | Path | Graph, threads: int = 0) -> None:
        self._graph: Graph = OnnxGraph(model, threads) if isinstance(model, (str, Path)) else model
        self.about = self._graph.about
        self.task: str = self.about["task"]
        self.classes: list[str] = self.about["classes"]
        self.palette = [tuple(colour) for colour in self.about["palette"]]
        self.label_offset: int = self.about["label_offset"]
        self._finish = _FINISH[self.about["kind"]]

    def __call__(
        self,
        images: Image | Iterable[Image],
        batch_size: int = 1,
        unreadable: list[Exception] | None = None,
    ) -> Iterator[Prediction]:
        """Yield what is found in each image, in their order.

        Args:
            images: Arrays (H, W, C) as the config would load them (0 to 255, in the order that
                ``about["image"]["channel_order"]`` says), or paths: npy files by numpy, and others
                by Pillow, which must be there for them.
            batch_size: At most so many at once, of images of one size that follow each other.
            unreadable: Receives the errors of files that cannot be read, which are left out.

        Raises:
            ValueError: An image cannot be read or is none that the model takes, and there is no
                `unreadable`.
        """
        one = isinstance(images, (str, Path)) or hasattr(images, "shape")
        batch: list[_Prepared] = []
        for source in cast("Iterable[Image]", [images] if one else images):
            try:
                sample = self._prepare(source)
            except ValueError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)
                continue
            if batch and sample.resized.shape != batch[0].resized.shape:
                yield from self._run(batch)
                batch = []
            batch.append(sample)
            if len(batch) >= batch_size:
                yield from self._run(batch)
                batch = []
        if batch:
            yield from self._run(batch)

    def _prepare(self, source: Image) -> _Prepared:
        about = self.about["image"]
        rgb = about["channel_order"] == "rgb"
        if isinstance(source, np.ndarray):
            name, image = "an array", source
        elif isinstance(source, (str, Path)):
            name, image = str(source), read_image(source, about["channels"], rgb)
        else:
            raise ValueError(f"a {type(source).__name__} is neither an array nor a path")
        try:
            check_image(image, about["channels"])
            if isinstance(source, (str, Path)):
                image = convert(image, about.get("dtype"))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        prepared = image
        for step in about["steps"]:
            options = {name: value for name, value in step.items() if name != "step"}
            prepared = _STEPS[step["step"]](prepared, **options)
        colours = image[..., ::-1] if rgb and image.shape[2] == 3 else image
        return _Prepared(source, colours, prepared)

    def _run(self, batch: list[_Prepared]) -> Iterator[Prediction]:
        images = np.stack([sample.resized for sample in batch]).astype(np.float32)
        images = pad(images.transpose(0, 3, 1, 2), self.about["image"]["smallest"])
        windows = self.about["windows"]
        outputs = self._graph(images) if not windows else slide(self._graph, images, **windows)
        for number, sample in enumerate(batch):
            yield Prediction(
                sample.source,
                sample.image,
                self._finish(self.about, outputs, number, sample),
            )


class _Prepared(NamedTuple):
    source: Image
    image: np.ndarray
    resized: np.ndarray


def read_about(text: str | None, path: str | Path) -> dict[str, Any]:
    """What an exported file says of itself.

    Raises:
        ValueError: It says nothing, or in another form.
    """
    try:
        about = json.loads(text or "{}")
    except (ValueError, RecursionError):
        about = {}
    if not isinstance(about, dict) or about.get("form") != FORM:
        raise ValueError(
            f"{path} was not written by this version's tools/deployment/export_model.py"
        )
    if wrong := _find_wrong(about):
        raise ValueError(f"{path} does not say of itself what is needed to run it: {wrong}")
    return about


def _find_wrong(about: dict[str, Any]) -> str:
    """Names of what is missing or unknown, or nothing."""
    image = about.get("image")
    image = image if isinstance(image, dict) else {}
    kind, steps = about.get("kind"), image.get("steps")
    wrong = [name for name, type_ in _NEEDED.items() if not isinstance(about.get(name), type_)]
    wrong += [
        f"image.{n}" for n, type_ in _OF_IMAGES.items() if not isinstance(image.get(n), type_)
    ]
    if isinstance(kind, str) and kind not in _FINISH:
        wrong.append(f"kind {kind[:40]!r}")
    extra = {"objects": "mask_threshold", "labels": "threshold"}.get(str(kind))
    wrong += [name for name in ("windows", extra) if name and name not in about]
    for step in steps if isinstance(steps, list) else []:
        name = step.get("step") if isinstance(step, dict) else step
        if str(name) not in _STEPS:
            wrong.append(f"image.steps {str(name)[:40]!r}")
    return ", ".join(wrong)


def read_image(path: str | Path, channels: int, rgb: bool) -> np.ndarray:
    """The image (H, W, C) of a file; three channels are colours, as RGB or BGR.

    Raises:
        ValueError: It cannot be read, or there is no Pillow for it.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file, or no regular one")
    if Path(path).suffix.lower() == ".npy":
        image = read_array(path)
    else:
        image = read_picture(path, channels)
    return image if rgb or image.shape[2] != 3 else np.ascontiguousarray(image[..., ::-1])


def read_array(path: str | Path) -> np.ndarray:
    """The array (H, W, C) of an npy file.

    Raises:
        ValueError: It is none.
    """
    try:
        with open(path, "rb") as file:  # np.load would take archives, too
            image = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, RecursionError) as error:
        raise ValueError(f"{path}: no array: {str(error)[:300]}") from error
    return image if image.ndim == 3 else image[..., None]


def read_picture(path: str | Path, channels: int) -> np.ndarray:
    """The picture (H, W, C) of a file that Pillow reads; of three channels as RGB.

    Raises:
        ValueError: It cannot be read, has more than 8 bits or more pixels than Pillow allows, or
            there is no Pillow.
    """
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise ValueError(f"{path}: give an array, or install pillow to read it") from error
    try:
        with PIL.Image.open(path) as file:
            if file.mode[0] in "IF":
                raise ValueError("more than 8 bits, which Pillow does not convert: give an array")
            if channels != 3:
                picture = np.asarray(file)
                return picture if picture.ndim == 3 else picture[..., None]
            return np.asarray(PIL.ImageOps.exif_transpose(file).convert("RGB"))
    except Exception as error:  # each decoder has its own kind
        raise ValueError(f"{path}: truncated, or no image: {str(error)[:300]}") from error


def check_image(image: np.ndarray, channels: int) -> None:
    """Stop at an array that is no image for the network.

    Raises:
        ValueError: It has another shape, no pixels, too long a side, or values that are no numbers.
    """
    if image.ndim != 3 or image.shape[2] != channels:
        raise ValueError(f"shape {image.shape}, expected (H, W, C) of {channels} bands")
    floats = image.dtype.kind == "f"
    if image.dtype.kind not in "uif" or (floats and not np.isfinite(image).all()):
        raise ValueError(f"values of type {image.dtype} that are no finite numbers")
    short, long = sorted(image.shape[:2])
    if not short or long > MOST_ASPECT * short:
        raise ValueError(f"{image.shape[0]} x {image.shape[1]} pixels: one side is too short")


def convert(image: np.ndarray, dtype: str | None) -> np.ndarray:
    """The values of a file as `LoadImage` gives them to the network.

    Raises:
        ValueError: It refuses such values.
    """
    found = image.dtype.name
    if found not in ("uint8", "uint16", "float32"):
        image, found = image.astype(np.float32), "float32"
    if dtype in (None, found):
        return image
    if (found, dtype) == ("uint16", "uint8"):
        return (image >> 8).astype(np.uint8)
    if (found, dtype) == ("uint8", "uint16"):
        return image.astype(np.uint16) * np.uint16(257)
    raise ValueError(f"values of type {found}, expected {dtype}")


def resized_size(
    shape: Sequence[int],
    scale: Sequence[int] | None,
    factor: Sequence[float] | None,
    keep_ratio: bool,
) -> tuple[int, int]:
    """(H, W) that mmcv's ``Resize`` makes of an image; scale and factor are (W, H) as there."""
    height, width = shape
    if scale is None:
        x, y = factor or (1, 1)
        scale = int(width * x + 0.5), int(height * y + 0.5)
    if not keep_ratio:
        return scale[1], scale[0]
    ratio = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return int(height * ratio + 0.5), int(width * ratio + 0.5)


def resize_to_scale(image: np.ndarray, **options: Any) -> np.ndarray:
    """mmcv's ``Resize``; options as of `resized_size`."""
    return resize(image, resized_size(image.shape[:2], **options))


def resize_shorter(image: np.ndarray, size: Sequence[int], crop_ratio: float) -> np.ndarray:
    """As the classifiers' ``ResizeShorter`` does it, for a crop (H, W) of a size."""
    height, width = image.shape[:2]
    least_height, least_width = (int(side / crop_ratio) for side in size)
    if least_height * width >= least_width * height:
        return resize_bicubic(image, (least_height, width * least_height // height))
    return resize_bicubic(image, (height * least_width // width, least_width))


def crop_centre(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The middle (H, W) of an image, as the classifiers' ``CenterCrop`` cuts it out."""
    top, left = (round((side - s) / 2) for side, s in zip(image.shape[:2], size, strict=True))
    return image[top : top + size[0], left : left + size[1]]


def resize_bicubic(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """An image (H, W, C) of another size, bicubic with antialiasing, by the rule of Pillow.

    Colours of 8 bits in Pillow's whole numbers: to the bit, where that begins with the rows.
    """
    if image.shape[:2] == tuple(size):
        return image
    whole = image.dtype == np.uint8 and image.shape[2] == 3
    numbers = image.astype(np.int64 if whole else np.float64)
    for axis in (1, 0):
        weights = _bicubic(image.shape[axis], size[axis])
        if whole:  # Pillow rounds after each axis
            exact = np.trunc(weights * 2**22 + np.copysign(0.5, weights)).astype(np.int64)
            sums = np.moveaxis(np.tensordot(exact, numbers, (1, axis)), 0, axis)
            numbers = ((sums + 2**21) >> 22).clip(0, 255)
        else:
            numbers = np.moveaxis(np.tensordot(weights, numbers, (1, axis)), 0, axis)
    if image.dtype.kind in "iu":
        limits = np.iinfo(image.dtype)
        numbers = np.rint(numbers).clip(limits.min, limits.max)
    return numbers.astype(image.dtype)


def _bicubic(length: int, size: int) -> np.ndarray:
    """(size, length): how much each of the old pixels counts for each of the new ones."""
    scale = length / size
    reach = 2 * max(scale, 1)
    centres = (np.arange(size) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(int), 0)
    last = np.minimum((centres + reach + 0.5).astype(int), length)
    pixels = np.arange(length)
    x = np.abs((pixels + 0.5 - centres[:, None]) / max(scale, 1))
    near, far = (1.5 * x - 2.5) * x * x + 1, ((x - 5) * x + 8) * x * -0.5 + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    weights[(pixels < first[:, None]) | (pixels >= last[:, None])] = 0
    return weights / weights.sum(1, keepdims=True)


def resize(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """An image (H, W, C) of another size, bilinear, by the rule of OpenCV's ``INTER_LINEAR``.

    The same to the bit where images have 8 bits; to 1 of 16000 where they have more.
    """
    if image.shape[:2] == tuple(size):
        return image
    y0, y1, fy = _taps(image.shape[0], size[0])
    x0, x1, fx = _taps(image.shape[1], size[1])
    if image.dtype != np.uint8:
        numbers = image.astype(np.float32)
        rows = numbers[:, x0] * (1 - fx)[:, None] + numbers[:, x1] * fx[:, None]
        numbers = rows[y0] * (1 - fy)[:, None, None] + rows[y1] * fy[:, None, None]
        return np.rint(numbers).astype(image.dtype) if image.dtype.kind in "iu" else numbers
    (bx, ax), (by, ay) = (
        [np.rint(w * 2048).astype(np.int32) for w in (f, 1 - f)] for f in (fx, fy)
    )
    whole = image.astype(np.int32)
    rows = (whole[:, x0] * ax[:, None] + whole[:, x1] * bx[:, None]) >> 4
    upper, lower = (rows[y0] * ay[:, None, None]) >> 16, (rows[y1] * by[:, None, None]) >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def resize_maps(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Maps (C, H, W) of another size, bilinear, as torch does without ``align_corners``."""
    if maps.shape[1:] == tuple(size):
        return maps
    y0, y1, fy = _taps(maps.shape[1], size[0])
    x0, x1, fx = _taps(maps.shape[2], size[1])
    rows = maps[:, :, x0] * (1 - fx) + maps[:, :, x1] * fx
    return rows[:, y0] * (1 - fy)[:, None] + rows[:, y1] * fy[:, None]


def _taps(length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `size` pixels its two neighbours of `length`, and the second's weight."""
    place = ((np.arange(size) + 0.5) * (length / size) - 0.5).astype(np.float32)
    first = np.floor(place)
    pair = np.stack([first, first + 1]).astype(np.int64).clip(0, length - 1)
    return pair[0], pair[1], place - first


def pad(images: np.ndarray, smallest: int) -> np.ndarray:
    """Images (B, C, H, W) with the last row and column repeated up to the smallest size."""
    height, width = (max(smallest - side, 0) for side in images.shape[2:])
    return np.pad(images, ((0, 0), (0, 0), (0, height), (0, width)), "edge")


def slide(
    graph: Graph, images: np.ndarray, crop: Sequence[int], stride: Sequence[int]
) -> dict[str, np.ndarray]:
    """The mean of the logits of overlapping windows, as mmseg's ``slide`` mode puts them."""
    sides = images.shape[2:]
    starts = [
        [
            min(place, max(side - window, 0))
            for place in range(0, max(side - window, 0) + step, step)
        ]
        for side, window, step in zip(sides, crop, stride, strict=True)
    ]
    total: Any = 0
    count = np.zeros(sides, np.float32)
    for y in starts[0]:
        for x in starts[1]:
            part = np.s_[..., y : y + crop[0], x : x + crop[1]]
            logits = graph(np.ascontiguousarray(images[part]))["logits"]
            if not count.any():
                total = np.zeros((*logits.shape[:2], *sides), np.float32)
            total[part] += logits
            count[part] += 1
    return {"logits": total / count}


def _label(about: dict, outputs: dict, number: int, sample: _Prepared) -> SimpleNamespace:
    """mmseg's label map: without the padding, in the image's own size."""
    height, width = sample.resized.shape[:2]
    logits = resize_maps(outputs["logits"][number, :, :height, :width], sample.image.shape[:2])
    if len(logits) > 1:
        labels = logits.argmax(0)
    else:
        labels = (1 / (1 + np.exp(-logits[0])) > about["threshold"]).astype(np.int64)
    return SimpleNamespace(pred_sem_seg=SimpleNamespace(data=labels[None]))


def _locate(about: dict, outputs: dict, number: int, sample: _Prepared) -> SimpleNamespace:
    """mmdet's objects: boxes in the image's own pixels, masks as large as the image."""
    mine = outputs["images"] == number
    found = {name: outputs[name][mine] for name in ("bboxes", "scores", "labels")}
    height, width = sample.image.shape[:2]
    factors = sample.resized.shape[1] / width, sample.resized.shape[0] / height
    found["bboxes"] = found["bboxes"] / np.array(factors * 2, np.float32)
    if "masks" in outputs:
        masks = outputs["masks"][mine]
        found["masks"] = paste(masks, found["bboxes"], (height, width), about["mask_threshold"])
    return SimpleNamespace(pred_instances=Instances(**found))


def paste(
    masks: np.ndarray, boxes: np.ndarray, shape: Sequence[int], threshold: float
) -> np.ndarray:
    """Masks (n, 28, 28) of boxes, as booleans (n, H, W) of the image.

    mmdet's `_do_paste_mask`: each pixel's centre is looked up in the mask, bilinear; outside of
    the mask is 0.
    """
    pasted = np.zeros((len(masks), *shape), bool)
    for mask, (x1, y1, x2, y2), target in zip(masks, boxes, pasted, strict=True):
        rows, y = _places(y1, y2, mask.shape[0], shape[0])
        columns, x = _places(x1, x2, mask.shape[1], shape[1])
        # One cell more than the box: there the mask fades to 0.
        target[rows[:, None], columns] = _sample(np.pad(mask, 1), y, x) >= threshold
    return pasted


def _places(start: float, end: float, cells: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels from start to end, and where in a framed mask their centres are."""
    pixels = np.arange(max(int(start) - 1, 0), min(int(np.ceil(end)) + 1, side))
    if end <= start:  # a box of no size: mmdet takes the middle
        return pixels, np.full(len(pixels), cells / 2 + 0.5, np.float32)
    return pixels, (pixels + np.float32(0.5) - start) / (end - start) * cells + np.float32(0.5)


def _sample(mask: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Bilinear values of a framed mask at rows and columns of places."""
    (y0, fy), (x0, fx) = (
        (np.floor(place).astype(np.int64), place - np.floor(place))
        for place in (y.clip(0, mask.shape[0] - 1.001), x.clip(0, mask.shape[1] - 1.001))
    )
    columns = mask[:, x0] * (1 - fx) + mask[:, x0 + 1] * fx
    return columns[y0] * (1 - fy)[:, None] + columns[y0 + 1] * fy[:, None]


def _classify(about: dict, outputs: dict, number: int, sample: _Prepared) -> SimpleNamespace:
    """A classifier's scores, of sum 1, and the best class."""
    scores = outputs["scores"][number]
    return SimpleNamespace(pred_scores=scores, pred_label=scores.argmax(keepdims=True))


def _hand_over(about: dict, outputs: dict, number: int, sample: _Prepared) -> SimpleNamespace:
    """An encoder's features."""
    return SimpleNamespace(**{name: values[number] for name, values in outputs.items()})


_FINISH = {
    "labels": _label,
    "objects": _locate,
    "classes": _classify,
    "features": _hand_over,
}
# What every file says of itself.
_NEEDED = {"task": str, "kind": str, "classes": list, "palette": list, "label_offset": int}
_OF_IMAGES = {"channels": int, "channel_order": str, "steps": list, "smallest": int}
_STEPS: dict[str, Callable[..., np.ndarray]] = {
    "resize": resize_to_scale,
    "resize_shorter": resize_shorter,
    "crop_centre": crop_centre,
    "warp": resize_bicubic,
}
