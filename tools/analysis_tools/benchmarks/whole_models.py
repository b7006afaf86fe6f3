"""Detectors and segmenters that `benchmark.py detector|segmentor` measures: whole steps, and parts.

The contestants are one config's model with different backbones; heads and losses are the same.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convnextv2.engine.cli import whole
from convnextv2.engine.errors import InputError

if TYPE_CHECKING:
    import torch
    from mmengine.config import Config
    from mmengine.structures import BaseDataElement
    from torch import nn

    from convnextv2.tools.analysis_tools.benchmarks.measuring import Contestant

REFERENCE = "plain"
OBJECTS = 7  # of an image, as COCO has
DEFAULTS = {
    "detector": ("detection/mask-rcnn_convnextv2-tiny_fpn_8xb4-lsj-3x-fcmae_coco.py", (640, 640)),
    "segmentor": (
        "segmentation/upernet_convnextv2-tiny_8xb2-160k-fcmae-ft_ade20k-512x512.py",
        (512, 512),
    ),
}


def add_arguments(command: argparse.ArgumentParser, kind: str) -> None:
    """The arguments of `benchmark.py detector` or `segmentor`."""
    config, shape = DEFAULTS[kind]
    command.add_argument(
        "config", nargs="?", default=f"configs/{config}", help=f"default: {config}"
    )
    command.add_argument("--batch", type=whole(1), default=2)
    command.add_argument("--shape", nargs=2, type=whole(32), default=shape, metavar=("H", "W"))
    command.add_argument("--repeats", type=whole(1), default=5, help="rounds; the median counts")
    command.add_argument("--only", nargs="+", help="names, or beginnings of names, to measure")
    command.add_argument("--float32", action="store_true", help="not bfloat16 where it is computed")
    command.add_argument("--json", metavar="FILE", help="also write the figures there")


def run(args: argparse.Namespace, machine: str) -> None:
    """Measure and show."""
    from rich.console import Console
    from rich.table import Table

    from convnextv2.tools.analysis_tools.benchmarks.measuring import measure, show
    from convnextv2.tools.analysis_tools.benchmarks.roofline import read_model

    cfg = read_model(args.config)
    console = Console()
    contestants, parts = [], {}
    for name, model in build_models(cfg, console.print):
        if args.only and not name.startswith((REFERENCE, *args.only)):
            continue
        step = Step(model, args.batch, tuple(args.shape), bf16=not args.float32)
        contestants.append(step.as_contestant(name))
        parts[name] = step
    with console.status("") as status:
        figures = measure(contestants, args.repeats, status.update)
        shares = {name: step.measure_parts(args.repeats) for name, step in parts.items()}
    kind = "bfloat16" if next(iter(parts.values())).bf16 else "float32"
    size = " x ".join(map(str, (args.batch, 3, *args.shape)))
    title = f"{cfg.model.type}, {size}, {kind}, {machine}"
    show(console, title, figures, REFERENCE)
    table = Table("part of a training step", title="milliseconds, and share of the step")
    for name in shares:
        table.add_column(name, justify="right")
    for part in next(iter(shares.values())):
        cells = (f"{s[part] * 1e3:.0f} ({s[part] / sum(s.values()):.0%})" for s in shares.values())
        table.add_row(part, *cells)
    console.print(table)
    if args.json:
        rows = [asdict(f) | {"seconds_by_part": shares[f.name]} for f in figures]
        with open(args.json, "w") as file:
            json.dump({"title": title, "reference": REFERENCE, "figures": rows}, file, indent=2)


def build_models(cfg: "Config", report: Callable[[str], None]) -> Iterator[tuple[str, "nn.Module"]]:
    """The config's model with each backbone that can be had here, on the GPU if there is one."""
    import torch
    from mmengine.registry import MODELS, init_default_scope

    from convnextv2.backbone import ARCHS, CompiledBlock, ConvNeXtV2
    from convnextv2.tools.analysis_tools.benchmarks.backbone import (
        PlainConvNeXtV2,
        build_fused,
        build_mmpretrain,
    )

    arch = cfg.model.backbone.get("arch")
    if arch not in ARCHS:
        raise InputError(f"the config's backbone is no ConvNeXtV2 of {', '.join(ARCHS)}: {arch!r}")
    rate = cfg.model.backbone.get("drop_path_rate", 0.0)
    builders: dict[str, Callable[[str], nn.Module]] = {
        REFERENCE: PlainConvNeXtV2,
        "this project": lambda arch: ConvNeXtV2(arch, drop_path_rate=rate),
        "compiled": lambda arch: ConvNeXtV2(arch, drop_path_rate=rate, block=CompiledBlock),
        "fused": lambda arch: build_fused(arch, drop_path_rate=rate),
        "mmpretrain": build_mmpretrain,
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    init_default_scope(cfg.get("default_scope", "mmengine"))
    for name, build in builders.items():
        try:
            backbone = build(arch)
        except ImportError as error:
            report(f"left out: {name}: {error}")
            continue
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        model.backbone = backbone
        yield name, model.to(device)


class Step:
    """A training step and a prediction of a model, on generated images and labels.

    Args:
        model: Of mmdet or mmseg.
        batch: Images of a step.
        shape: Their height and width.
        bf16: In mixed precision, where recipes train so: on GPUs, and segmenters on CPUs that
            compute bfloat16.
    """

    def __init__(self, model: Any, batch: int, shape: tuple[int, int], bf16: bool = True) -> None:
        import torch

        from convnextv2.engine.cpu_amp import computes_bfloat16

        self.model = model
        self.device = next(model.parameters()).device
        torch.manual_seed(0)
        self.images = torch.randn(batch, 3, *shape, device=self.device)
        if hasattr(model, "decode_head"):
            classes = model.decode_head.num_classes
            samples = [label_pixels(shape, i, classes) for i in range(batch)]
        else:
            samples = [label_objects(shape, i) for i in range(batch)]
        on_cpu = hasattr(model, "decode_head") and computes_bfloat16()
        self.bf16 = bf16 and (self.device.type == "cuda" or on_cpu)
        self.samples = [sample.to(self.device) for sample in samples]

    def as_contestant(self, name: str) -> "Contestant":
        """What `measure` takes turns with."""
        from convnextv2.tools.analysis_tools.benchmarks.measuring import Contestant

        return Contestant(name, self.predict, self.train, len(self.images))

    def predict(self) -> None:
        """Predict for the batch."""
        import torch

        self.model.eval()
        with torch.inference_mode(), self._autocast():
            self.model(self.images, self.samples, mode="predict")

    def train(self) -> None:
        """Losses and gradients."""
        self._loss().backward()

    def _loss(self) -> "torch.Tensor":
        self.model.train()
        self.model.zero_grad()
        with self._autocast():
            losses = self.model(self.images, self.samples, mode="loss")
        loss, _ = self.model.parse_losses(losses)
        return loss

    def _autocast(self) -> Any:
        import torch

        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def measure_parts(self, repeats: int) -> dict[str, float]:
        """Seconds of each part of a training step, the least of some."""
        rounds = [self._time_parts() for _ in range(repeats)]
        return {part: min(r[part] for r in rounds) for part in rounds[0]}

    def _time_parts(self) -> dict[str, float]:
        """Of the forward pass from input to output, of the backward pass the other way round."""
        named = {"backbone": self.model.backbone, "neck": getattr(self.model, "neck", None)}
        parts = {name: module for name, module in named.items() if module is not None}
        stamps: list[tuple[str, float]] = []

        def note(text: str) -> Callable:
            return lambda *_: stamps.append((text, self._now()))

        handles = []
        for name, module in parts.items():
            handles.append(module.register_forward_hook(note(f"forward, {name}")))
        above = dict(zip(parts, [*list(parts)[1:], "heads"], strict=True))
        for name, module in parts.items():
            text = f"backward, {above[name]}"
            handles.append(module.register_full_backward_pre_hook(note(text)))
        stamps.append(("", self._now()))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Full backward hook is firing")  # as it should
            loss = self._loss()
            note("forward, heads and losses")()
            loss.backward()
            note("backward, backbone")()
        for handle in handles:
            handle.remove()
        ends = zip(stamps[1:], stamps, strict=False)
        return {text: now - before for (text, now), (_, before) in ends}

    def _now(self) -> float:
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def label_objects(shape: tuple[int, int], seed: int) -> "BaseDataElement":
    """An image's objects as mmdet has them: boxes and ellipses, of the first class."""
    import cv2
    import numpy as np
    import torch
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    rng = np.random.default_rng(seed)
    sides = rng.uniform(0.1, 0.5, (OBJECTS, 2)) * shape[::-1]
    corners = rng.uniform(0, 1, (OBJECTS, 2)) * (np.array(shape[::-1]) - sides)
    boxes = np.concatenate([corners, corners + sides], 1).astype(np.float32)
    masks = np.zeros((OBJECTS, *shape), np.uint8)
    for mask, corner, side in zip(masks, corners, sides, strict=True):
        centre, axes = (corner + side / 2).astype(int), (side / 2).astype(int)
        cv2.ellipse(mask, centre.tolist(), axes.tolist(), 0, 0, 360, 1, -1)
    objects = InstanceData(
        bboxes=torch.from_numpy(boxes),
        labels=torch.zeros(OBJECTS, dtype=torch.long),
        masks=BitmapMasks(masks, *shape),
    )
    sample = DetDataSample(metainfo=_describe(shape), gt_instances=objects)
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    return sample


def label_pixels(shape: tuple[int, int], seed: int, classes: int) -> "BaseDataElement":
    """An image's label map as mmseg has it, blocks of classes."""
    import numpy as np
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    rng = np.random.default_rng(seed)
    cells = rng.integers(0, classes, [-(-s // 32) for s in shape])
    labels = cells.repeat(32, 0).repeat(32, 1)[: shape[0], : shape[1]]
    data = PixelData(data=torch.from_numpy(labels)[None])
    return SegDataSample(metainfo=_describe(shape), gt_sem_seg=data)


def _describe(shape: tuple[int, int]) -> dict:
    sizes = ("img_shape", "ori_shape", "pad_shape", "batch_input_shape")
    return {**dict.fromkeys(sizes, shape), "scale_factor": (1.0, 1.0)}
