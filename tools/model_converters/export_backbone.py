"""Write the backbone of a training checkpoint as one safetensors file that explains itself.

A detector's and a segmenter's backbone keeps the norms behind its stages, norm0 to norm3.
Its metadata hold the arch, the image channels with their mean and standard deviation, and what
is known of the training. Detection and segmentation configs take the file, or the training
checkpoint as it is, as model.backbone.init_cfg.checkpoint.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import make_config_parser, run
from convnextv2.engine.config import read_config
from convnextv2.engine.outputs import check_file
from convnextv2.engine.settings import need_entries

if TYPE_CHECKING:
    from mmengine.config import Config


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__,
        "python tools/model_converters/export_backbone.py CONFIG "
        "work_dirs/NAME/epoch_800.pth backbone.safetensors",
    )
    parser.add_argument("checkpoint", help="path or address of its checkpoint")
    parser.add_argument("target", help="file to write, ends in .safetensors")
    parser.add_argument(
        "--prefix", help="where in the checkpoint the backbone lies, e.g. ema_state_dict"
    )
    args = parser.parse_args()
    target = Path(args.target)
    if target.suffix != ".safetensors":
        parser.error(f"{target}: the name must end in .safetensors")
    if not target.parent.is_dir():
        parser.error(f"{target.parent.absolute()} does not exist")
    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "model")
    check_file(target, "target")
    print(export(cfg, args.checkpoint, target, args.prefix))


def export(cfg: "Config", checkpoint: str, target: Path, prefix: str | None = None) -> str:
    """Write the file; returns a line about it.

    Raises:
        FileNotFoundError: No such checkpoint, or file of statistics.
        ValueError: The checkpoint is not one of this config's backbone, or has several to choose
            from by `prefix`.
    """
    from convnextv2.backbone import ConvNeXtV2
    from convnextv2.backbone.pretrained import fill_backbone, find_backbone
    from convnextv2.backbone.write_weights import write_weights
    from convnextv2.engine.weights import read_training_facts
    from convnextv2.preprocessing import find_mean_and_std

    backbone = {k: v for k, v in cfg.model.backbone.items() if k not in ("type", "init_cfg")}
    network = ConvNeXtV2(**backbone)
    weights = find_backbone(checkpoint, prefix)
    fill_backbone(network, weights, checkpoint)
    # The file of a pre-training has no output norms, and an export none that were not trained.
    state_dict = {k: v for k, v in network.state_dict().items() if k in weights.tensors}
    mean, std = find_mean_and_std(cfg.model.get("data_preprocessor") or {}, checkpoint)
    facts = {
        "arch": json.dumps(backbone.get("arch", "tiny")),
        "in_channels": json.dumps(network.in_channels),
        "mean": json.dumps(mean),
        "std": json.dumps(std),
        "training": json.dumps(
            {
                **read_training_facts(checkpoint),
                **{k: cfg.model[k] for k in ("mask_ratio", "patch_size") if k in cfg.model},
            }
        ),
    }
    write_weights(state_dict, target, "convnextv2", **facts)
    return f"{target}: {len(state_dict)} tensors; " + ", ".join(
        f"{k} {v}" for k, v in facts.items()
    )


if __name__ == "__main__":
    run(main)
