"""Print the parameters and multiply-accumulates (what papers call FLOPs) of a config's model.

Nothing is computed or loaded: shapes alone are enough, also for a Huge model on a laptop. As in
mmdet, a two-stage detector is counted with as many proposals as it tests, and its mask head with
as many boxes as it returns. Pre-training is counted with every patch visible.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convnextv2.engine.cli import make_config_parser, run, whole

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.model import BaseModel


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__, "python tools/analysis_tools/get_flops.py CONFIG --shape 800 1280"
    )
    parser.add_argument(
        "--shape",
        nargs=2,
        type=whole(1),
        metavar=("H", "W"),
        help="of the image; default 800 1280 for detection, 512 2048 for segmentation, 224 224 "
        "for pre-training",
    )
    args = parser.parse_args()

    from convnextv2.engine.config import read_config
    from convnextv2.engine.settings import need_entries
    from convnextv2.engine.tasks import Task, find_task

    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "model")
    shape = tuple(args.shape or (find_task(cfg) or Task).image_shape)
    model = build(cfg)
    show(args.config, shape, count_parameters(model), count_macs(model, shape))


def build(cfg: "Config") -> "BaseModel":
    """The config's model, without memory for its weights."""
    import torch
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope(cfg.get("default_scope", "mmengine"))
    with torch.device("meta"):
        return MODELS.build(cfg.model).eval()


def count_parameters(model: "BaseModel") -> dict[str, int]:
    """Parameters of each part of a model; the two heads of a RoI head are parts of their own."""
    parts: dict[str, int] = {}
    for name, part in model.named_children():
        inner = {"bbox_head", "mask_head"} & dict(part.named_children()).keys()
        for key, module in part.named_children() if inner else [(name, part)]:
            if count := sum(p.numel() for p in module.parameters()):
                parts[key] = count
    return parts


def count_macs(model: "BaseModel", shape: tuple[int, int]) -> dict[str, int]:
    """Multiply-accumulates of each part for one image of a shape (H, W)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counts: dict[str, int] = {}

    def measure(name: str, part: Callable[..., Any], *inputs: Any) -> Any:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            output = part(*inputs)
        counts[name] = counter.get_total_flops() // 2
        return output

    backbone = model.backbone
    image = torch.empty(1, backbone.in_channels, *shape, device="meta")
    maps = measure("backbone", backbone, image)
    if hasattr(model, "decoder"):
        visible = torch.ones(1, *maps[-1].shape[2:], dtype=torch.bool, device="meta")
        measure("decoder", model.decoder, maps[-1], visible)
    if getattr(model, "neck", None) is not None:
        maps = measure("neck", model.neck, maps)
    for name in ("rpn_head", "bbox_head", "mask_head", "decode_head"):
        if hasattr(model, name):
            measure(name, getattr(model, name), maps)
    if hasattr(model, "roi_head"):
        numbers = {"bbox": model.test_cfg.rpn.max_per_img, "mask": model.test_cfg.rcnn.max_per_img}
        for kind, number in numbers.items():
            head = getattr(model.roi_head, f"{kind}_head", None)
            if head is None:
                continue
            extractor = getattr(model.roi_head, f"{kind}_roi_extractor")
            size = extractor.roi_layers[0].output_size
            rois = torch.empty(number, extractor.out_channels, *size, device="meta")
            measure(f"{kind}_head", head, rois)
    return counts


def show(config: str, shape: tuple[int, int], parameters: dict, macs: dict) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("part", title=f"{config}\none image of {shape[0]} x {shape[1]}")
    for name in ("parameters", "MACs"):
        table.add_column(name, justify="right")
    for part, number in parameters.items():
        work = f"{macs[part] / 1e9:.2f} G" if part in macs else "only in training"
        table.add_row(part, f"{number / 1e6:.2f} M", work)
    table.add_section()
    total = sum(parameters.values()) / 1e6, sum(macs.values()) / 1e9
    table.add_row("all", f"{total[0]:.1f} M", f"{total[1]:.1f} G")
    Console().print(table)


if __name__ == "__main__":
    run(main)
