"""Networks as files that run elsewhere: what all tasks share.

A task makes an `Exportable`; `write` traces it once by torch.export and writes it as ONNX or as
torch's own program, and `verify` holds the file against the model that it was made of.
"""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from convnextv2 import runtime
from convnextv2.engine.errors import InputError
from convnextv2.engine.types import find_class, is_a, walk_datasets, without_labels
from convnextv2.half_weights import store_halves

if TYPE_CHECKING:
    from mmengine.config import Config

    from convnextv2.preprocessing import BandNormalization

ABOUT_FILE = "about.json"  # in torch's program
AXES = {0: "batch", 2: "height", 3: "width"}  # of images, of any length
_LARGEST_ONNX = 2**31  # bytes that a protobuf message may have


class Difference(NamedTuple):
    """How far a file's results are from the model's, in one respect."""

    what: str
    found: float
    allowed: float


class Exportable(ABC):
    """A model that can leave this project.

    Attributes:
        network: Images (B, C, H, W), float32, of one size, in the units of the files, to a dict of
            tensors; in evaluation mode, on the CPU.
        outputs: Their names, in the order of the dict.
        about: What `runtime.Predictor` needs to know.
        translations: The onnxscript function of each operation that torch's exporter does not know.
    """

    network: nn.Module
    outputs: tuple[str, ...]
    about: dict[str, Any]
    translations: Mapping[Callable, Callable] = {}

    @abstractmethod
    def predict(self, image: np.ndarray) -> Any:
        """What the model finds in an image (H, W, C): the sample of a prediction."""

    @abstractmethod
    def compare(self, expected: Any, found: Any) -> list[Difference]:
        """What `predict` gave beside what the file gave, with arrays in the place of tensors."""


def write(exportable: Exportable, path: Path, kind: str, weights: str = "float32") -> None:
    """Write the network, traced for any batch, height and width.

    Args:
        exportable: The model.
        path: Of the file.
        kind: ``onnx`` or ``torch``.
        weights: ``float32``, or ``float16`` as which ONNX files can store them.

    Raises:
        InputError: torch cannot trace it, or the file would be larger than its form allows.
    """
    network = exportable.network.eval()
    size = sum(p.numel() for p in network.parameters()) * np.dtype(weights).itemsize
    if kind == "onnx" and size > _LARGEST_ONNX:
        raise InputError(
            f"the weights have {size} bytes, and an ONNX file can have {_LARGEST_ONNX}: use "
            "--weights float16 or --to torch"
        )
    about = json.dumps(exportable.about)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its trees
        program = trace(network, exportable.about["image"]["channels"])
        if kind == "torch":
            with open(path, "wb") as file:  # by its name, torch would ask for a suffix
                torch.export.save(program, file, extra_files={ABOUT_FILE: about})
            return
        table = dict(exportable.translations)
        found: Any = torch.onnx.export(
            program, dynamo=True, custom_translation_table=table, verbose=False
        )
    _name_values(found.model.graph, exportable.outputs)
    found.model.metadata_props[runtime.KEY] = about
    if weights == "float16":
        store_halves(found.model)
    found.save(path)


def _name_values(graph: Any, outputs: Sequence[str]) -> None:
    """Name the outputs, and their axes as those of the images."""
    import onnx_ir as ir

    (given,) = graph.inputs
    names: dict[Any, str] = {str(given.shape[axis]): name for axis, name in AXES.items()}
    for output, name in zip(graph.outputs, outputs, strict=True):
        output.name = name
    for value in (given, *graph.outputs):
        lengths = [length if isinstance(length, int) else str(length) for length in value.shape]
        value.shape = ir.Shape([names.get(length, length) for length in lengths])


def trace(network: nn.Module, channels: int) -> torch.export.ExportedProgram:
    """The network as one graph.

    Raises:
        InputError: torch cannot trace it.
    """
    # Of any size: what is made of it holds for all.
    images = torch.rand(2, channels, 96, 160) * 255
    shapes = {"image": dict.fromkeys(AXES, torch.export.Dim.DYNAMIC)}
    with torch.no_grad():
        return torch.export.export(network, (images,), dynamic_shapes=shapes, strict=False)


class TorchGraph:
    """torch's own program, as a `runtime.Graph`."""

    def __init__(self, path: str | Path) -> None:
        files = {ABOUT_FILE: ""}
        with open(path, "rb") as file:
            self._run = torch.export.load(file, extra_files=files).module()
        self.about = runtime.read_about(files[ABOUT_FILE], path)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, by name.

        Raises:
            InputError: The images are smaller than torch's tracing allows.
        """
        try:
            with torch.no_grad():
                found = self._run(torch.from_numpy(images))
        except AssertionError as error:  # a guard
            size = " x ".join(map(str, images.shape[2:]))
            raise InputError(f"torch's program takes no images of {size}: {error}") from error
        return {name: value.numpy() for name, value in found.items()}


def verify(
    exportable: Exportable, path: Path, kind: str, images: Iterable[np.ndarray]
) -> list[Difference]:
    """The largest differences between a file and the model that it was made of.

    Images are compared one by one, and of the first its mirror images, too, three at once.

    Args:
        exportable: The model.
        path: Of the file.
        kind: ``onnx`` or ``torch``.
        images: (H, W, C), as the config loads them.

    Raises:
        InputError: One is larger than it may be, or the model finds nothing that can be compared.
    """
    graph = runtime.OnnxGraph(path) if kind == "onnx" else TorchGraph(path)
    predictor = runtime.Predictor(graph)
    largest: dict[str, Difference] = {}
    for batch in _make_batches(images):
        for image, found in zip(batch, predictor(batch, len(batch)), strict=True):
            for difference in exportable.compare(exportable.predict(image), found.sample):
                known = largest.get(difference.what, difference)
                largest[difference.what] = max(known, difference, key=lambda d: d.found)
    if not largest:
        raise InputError(
            "not written, for nothing was compared: the model finds nothing in these images. Give "
            "others with --images"
        )
    for what, gap, allowed in largest.values():
        if not gap <= allowed:
            raise InputError(
                f"not written, for the file is no copy of the model. {what}: {gap:.2g} from "
                f"torch's, and {allowed:.2g} is allowed"
            )
    return list(largest.values())


def _make_batches(images: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    first = None
    for image in images:
        first = image if first is None else first
        yield [image]
    if first is not None:
        yield [first, first[::-1].copy(), first[:, ::-1].copy()]


class Normalization(nn.Module):
    """Images in the units of the files to what the backbone takes.

    Args:
        preprocessor: The model's.

    Raises:
        InputError: It is none of this project's, or knows no mean.
    """

    def __init__(self, preprocessor: BandNormalization) -> None:
        super().__init__()
        if not is_a(type(preprocessor), "convnextv2.preprocessing.BandNormalization"):
            kind = type(preprocessor).__name__
            raise InputError(
                f"model.data_preprocessor is a {kind}; those of this project can be exported: "
                "convnextv2.DetDataPreprocessor, convnextv2.SegDataPreProcessor"
            )
        if not preprocessor.is_known():
            raise InputError("the checkpoint does not know mean and std of its images")
        self.bgr_to_rgb = preprocessor.bgr_to_rgb and len(preprocessor.mean) == 3
        self.register_buffer("mean", preprocessor.mean.clone())
        self.register_buffer("std", preprocessor.std.clone())

    mean: Tensor
    std: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W), normalised."""
        image = image.flip(1) if self.bgr_to_rgb else image
        return (image - self.mean) / self.std


def describe_images(cfg: Config, channels: int) -> dict[str, Any]:
    """What `runtime.Predictor` does with an image before the network has it.

    Args:
        cfg: Its test data's pipeline loads, does some of `STEPS`, and packs.
        channels: Of the images.

    Raises:
        InputError: There are other steps.
    """
    from mmengine.registry import TRANSFORMS

    scope = cfg.get("default_scope")
    _, entry = next(walk_datasets(cfg.test_dataloader.dataset))
    load, *steps = without_labels(deepcopy(entry["pipeline"]), scope)
    loader, described = TRANSFORMS.build(load), []
    for step in steps:
        found = find_class(step, TRANSFORMS, scope)
        if found is not None and found.__name__.startswith("Pack"):
            continue
        describe = next((STEPS[name] for name in STEPS if is_a(found, name)), None)
        if describe is None:
            raise InputError(
                f"test_dataloader's pipeline has {step.get('type')}, which cannot be exported: "
                f"{', '.join(name.rpartition('.')[2] for name in STEPS)} can"
            )
        described.append(describe(TRANSFORMS.build(step)))
    return {
        "channels": channels,
        # mmcv's loader gives BGR.
        "channel_order": getattr(loader, "channel_order", "bgr"),
        "dtype": getattr(loader, "dtype", "uint8"),
        "steps": described,
        "smallest": 32,
    }


def _describe_resizing(step: Any) -> dict[str, Any]:
    if step.interpolation != "bilinear" or (step.scale is None and step.scale_factor is None):
        raise InputError("test_dataloader's Resize must be bilinear to be exported")
    factor = step.scale_factor
    if factor is not None and not isinstance(factor, (tuple, list)):
        factor = (factor, factor)
    scale = None if step.scale is None else list(step.scale)
    factor = None if factor is None else list(factor)
    return {"step": "resize", "scale": scale, "factor": factor, "keep_ratio": step.keep_ratio}


_CROPS = "convnextv2.pretrain.supervised.evaluation_crops"
# Full name of a transform, and what `runtime.Predictor` is told of it.
STEPS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "mmcv.transforms.processing.Resize": _describe_resizing,
    f"{_CROPS}.ResizeShorter": lambda step: {
        "step": "resize_shorter",
        "size": list(step.size),
        "crop_ratio": step.crop_ratio,
    },
    f"{_CROPS}.CenterCrop": lambda step: {"step": "crop_centre", "size": list(step.size)},
    f"{_CROPS}.Warp": lambda step: {"step": "warp", "size": list(step.size)},
}


def find_images(cfg: Config, number: int = 3) -> list[str]:
    """Paths of the first images of a config's test data, or of its training data; may be empty."""
    from mmengine.registry import DATASETS

    for loader in ("test_dataloader", "train_dataloader"):
        for _, entry in walk_datasets((cfg.get(loader) or {}).get("dataset")):
            try:
                dataset = DATASETS.build({**entry, "pipeline": []})
                infos = [dataset.get_data_info(i) for i in range(min(number, len(dataset)))]
            except (OSError, ValueError):
                continue
            # Those of archives are no files.
            if paths := [info["img_path"] for info in infos if Path(info["img_path"]).is_file()]:
                return paths
    return []
