"""What `benchmark.py roofline` counts: bytes, operations and launches of a step, without a GPU.

Networks run on fake tensors, which have shapes and no values, so that a Huge one needs no memory.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from convnextv2.engine.cli import whole
from convnextv2.engine.errors import InputError

if TYPE_CHECKING:
    import torch
    from mmengine.model import BaseModel

    from convnextv2.tools.analysis_tools.benchmarks.roofline_counter import Traffic

# Encoders that run without values; MinkowskiEngine's kernels need them.
ENCODERS = ("packed", "dense", "masked_image")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "network", help="fcmae, backbone, or the config of a detector or a segmenter"
    )
    parser.add_argument("--arch", default="base", help="of fcmae and backbone: atto ... huge")
    parser.add_argument("--batch", type=whole(1), default=64)
    parser.add_argument("--shape", nargs=2, type=whole(1), default=(224, 224), metavar=("H", "W"))
    parser.add_argument("--float32", action="store_true", help="not bfloat16 by autocast")
    blocks = parser.add_mutually_exclusive_group()
    blocks.add_argument(
        "--compiled", action="store_true", help="blocks that train are `convnextv2.CompiledBlock`"
    )
    blocks.add_argument("--fused", action="store_true", help="blocks are `convnextv2.FusedBlock`")
    parser.add_argument("--bandwidth", type=float, default=3.0, help="TB/s; 3.0 of an H100")
    parser.add_argument("--flops", type=float, default=790.0, help="TFLOP/s of matrix products")
    parser.add_argument("--kernels", action="store_true", help="also the kernels that move most")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")


def run(args: argparse.Namespace, machine: str) -> None:
    """Count, print a table and write the figures."""
    from convnextv2.backbone import ARCHS

    if args.arch not in ARCHS:
        raise InputError(f"unknown arch {args.arch!r}; choose one of {', '.join(ARCHS)}")
    if min(args.bandwidth, args.flops) <= 0:
        raise InputError("--bandwidth and --flops must be above 0")
    rows = {name: count_step(*step) for name, step in make_steps(args)}
    figures = [
        {"name": name, "step": kind, **describe(traffic, args)}
        for name, kinds in rows.items()
        for kind, traffic in kinds.items()
    ]
    show(args, rows, figures)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=2)


def make_steps(args: argparse.Namespace) -> Iterator[tuple[str, tuple]]:
    """The networks asked for: a name, and the arguments of `count_step`."""
    from mmengine.registry import MODELS, init_default_scope

    from convnextv2.backbone import ConvNeXtV2
    from convnextv2.pretrain import FCMAE

    size = (args.batch, *args.shape)
    block = _block(args)
    if args.network == "fcmae":
        for encoder in ENCODERS:
            backbone = {"type": "convnextv2.ConvNeXtV2", "arch": args.arch, "block": block}

            def build(encoder: str = encoder, backbone: dict = backbone) -> FCMAE:
                decoder = {"type": "convnextv2.FCMAEDecoder", "block": block}
                return FCMAE(backbone, encoder, decoder=decoder)

            yield encoder, (build, fcmae_losses, size, args.float32)
    elif args.network == "backbone":
        yield (
            "backbone",
            (
                lambda: ConvNeXtV2(args.arch, block=block),
                backbone_losses,
                size,
                args.float32,
            ),
        )
    else:
        cfg = read_model(args.network)
        cfg.model.backbone.block = block
        init_default_scope(cfg.get("default_scope", "mmengine"))

        def build_config() -> "BaseModel":
            return MODELS.build(cfg.model)

        yield cfg.model.type, (build_config, dense_losses, size, args.float32)


def _block(args: argparse.Namespace) -> type:
    from convnextv2.backbone import Block, FusedBlock

    if args.compiled:
        from convnextv2.tools.analysis_tools.benchmarks.roofline_compiled import CountedBlock

        return CountedBlock

    class FusedOnAnyDevice(FusedBlock):
        def fuses(self, device: str) -> bool:
            return True

    return FusedOnAnyDevice if args.fused else Block


def read_model(config: str) -> Any:
    """The config of a detector or segmenter, its synchronised norms as plain ones."""
    from convnextv2.engine.config import read_config
    from convnextv2.engine.processes import replace_sync_bn
    from convnextv2.engine.settings import need_entries

    cfg = read_config(config, None)
    need_entries(cfg, config, "model")
    if not {"rpn_head", "bbox_head", "decode_head"} & set(cfg.model):
        raise InputError(f"{config}: neither a detector nor a segmenter; try fcmae or backbone")
    replace_sync_bn(cfg.model, cfg.get("default_scope"))
    return cfg


def count_step(
    build: Callable[[], "torch.nn.Module"],
    losses: Callable[..., "torch.Tensor"],
    size: tuple[int, int, int],
    float32: bool = False,
) -> dict[str, "Traffic"]:
    """Traffic of one batch by step: ``inference`` and ``training``, and what the latter is made of.

    Args:
        build: Makes the network.
        losses: (network, images, training) to a loss, from every output of the network.
        size: Images, their height and their width.
        float32: Not bfloat16 by autocast.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from convnextv2.tools.analysis_tools.benchmarks.roofline_counter import (
        TrafficCounter,
        bfloat16_as_on_gpu,
    )

    fake_mode = FakeTensorMode(allow_non_fake_inputs=True)
    with torch.device("meta"):
        network = build()
    with fake_mode:
        network.to_empty(device="cpu")
        channels = int(getattr(network, "backbone", network).in_channels)  # type: ignore[arg-type]
        images = torch.empty(size[0], channels, *size[1:])
    cast = nullcontext if float32 else bfloat16_as_on_gpu
    network.eval()
    with torch.no_grad(), TrafficCounter(fake_mode) as inference, cast():
        losses(network, images, False)
    network.train()
    with TrafficCounter(fake_mode) as forward, cast():
        loss = losses(network, images, True)
    with TrafficCounter(fake_mode) as backward:
        loss.backward()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], fused=True)
    optimizer.step()  # makes its moments
    with TrafficCounter(fake_mode) as update:
        optimizer.step()
    parts = {"forward": forward, "backward": backward, "AdamW": update}
    traffic = {name: counter.traffic for name, counter in parts.items()}
    total = traffic["forward"] + traffic["backward"] + traffic["AdamW"]
    return {"inference": inference.traffic, "training": total, **traffic}


def fcmae_losses(model: Any, images: "torch.Tensor", training: bool) -> "torch.Tensor":
    """The loss of pre-training, each image with a mask of its own."""
    import torch

    mask = model.draw_mask(images, torch.arange(len(images)))
    features = model.forward_encoder(images, mask)
    pred = model.forward_decoder(features, mask, images.shape[2:])
    return model.forward_loss(images, pred, mask).mean()


def backbone_losses(model: Any, images: "torch.Tensor", training: bool) -> "torch.Tensor":
    """The sum of the four maps."""
    return _sum(model(images))


def dense_losses(model: Any, images: "torch.Tensor", training: bool) -> "torch.Tensor":
    """The sum of what each head returns; assigning, RoIAlign and the losses are not counted.

    A two-stage detector's heads get as many regions as their sampler takes in training, and as
    many as proposals are tested and objects returned in inference.
    """
    maps = model.backbone(images)
    if getattr(model, "neck", None) is not None:
        maps = model.neck(maps)
    names = ["rpn_head", "bbox_head", "decode_head"]
    heads = [getattr(model, name) for name in names if hasattr(model, name)]
    if training and hasattr(model, "auxiliary_head"):
        heads.append(model.auxiliary_head)
    outputs = [head(maps) for head in heads]
    if hasattr(model, "roi_head"):
        outputs += _run_roi_heads(model, maps[0], training)
    return _sum(outputs)


def _run_roi_heads(model: Any, like: "torch.Tensor", training: bool) -> list:
    """What the heads of a two-stage detector return for regions of noughts."""
    import torch

    outputs: list = []
    for kind in ("bbox", "mask"):
        heads = getattr(model.roi_head, f"{kind}_head", None)
        if heads is None:
            continue
        several = isinstance(heads, torch.nn.ModuleList)
        extractors = getattr(model.roi_head, f"{kind}_roi_extractor")
        for i, head in enumerate(heads if several else [heads]):
            extractor = extractors[i] if several else extractors
            number = len(like) * _regions(model, kind, i, training)
            size = extractor.roi_layers[0].output_size
            regions = like.new_empty(number, extractor.out_channels, *size)
            outputs.append(head(regions.requires_grad_(training)))
    return outputs


def _regions(model: Any, kind: str, stage: int, training: bool) -> int:
    if not training:
        test = model.test_cfg
        return test.rpn.max_per_img if kind == "bbox" else test.rcnn.max_per_img
    rcnn = model.train_cfg.rcnn
    sampler = (rcnn[stage] if isinstance(rcnn, list) else rcnn).sampler
    return sampler.num if kind == "bbox" else int(sampler.num * sampler.pos_fraction)


def _sum(outputs: Any) -> "torch.Tensor":
    from torch.utils._pytree import tree_leaves

    return sum(output.sum() for output in tree_leaves(outputs))


def describe(traffic: "Traffic", args: argparse.Namespace) -> dict[str, float | None]:
    """Figures of an image, the launches of a step, and the images/s that the device allows."""
    moved, flops = traffic.moved / args.batch, traffic.flops / args.batch
    return {
        "mb_per_image": moved / 1e6,
        "gflop_per_image": flops / 1e9,
        "launches": traffic.launches,
        "images_per_s_by_bandwidth": args.bandwidth * 1e12 / moved,
        "images_per_s_by_flops": args.flops * 1e12 / flops if flops else None,
    }


def show(args: argparse.Namespace, rows: dict, figures: Sequence[dict]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    size = " x ".join(map(str, (args.batch, *args.shape)))
    kind = "float32" if args.float32 else "bfloat16"
    name = args.network if args.network.endswith(".py") else f"{args.network} {args.arch}"
    how = "blocks compiled" if args.compiled else "blocks fused" if args.fused else "eager"
    table = Table(title=f"{name}, {size}, {kind}, {how}, counted")
    for column in ("network", "step"):
        table.add_column(column, no_wrap=True)
    for column in ("MB / image", "GFLOP / image", "launches", "img/s, bytes", "img/s, FLOPs"):
        table.add_column(column, justify="right", no_wrap=True)
    for f in figures:
        numbers = [f"{f['mb_per_image']:.1f}", f"{f['gflop_per_image']:.2f}", f"{f['launches']}"]
        limits = [f[f"images_per_s_by_{by}"] for by in ("bandwidth", "flops")]
        numbers += [f"{limit:.0f}" if limit else "" for limit in limits]
        table.add_row(f["name"], f["step"], *numbers)
    console = Console()
    console.print(table)
    console.print(
        f"Launches are of a whole step; images/s are what {args.bandwidth} TB/s and "
        f"{args.flops} TFLOP/s allow.",
        highlight=False,
    )
    for name, kinds in rows.items() if args.kernels else ():
        for kernel, moved in kinds["training"].moved_by.most_common(20):
            number = kinds["training"].kernels[kernel]
            text = f"{name}: {kernel}, {number} times: {moved / args.batch / 1e6:.1f} MB / image"
            console.print(text, highlight=False)
