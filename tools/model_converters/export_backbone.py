"""Write the backbone of a training checkpoint as one safetensors file that explains itself.

Its metadata hold the arch, the image channels with their mean and standard deviation, and what
is known of the training. Detection and segmentation configs take the file, or the training
checkpoint as it is, as model.backbone.init_cfg.checkpoint.
"""

import argparse
import json
from pathlib import Path

from convnextv2.engine.config import read_config


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example:\n  python tools/model_converters/export_backbone.py CONFIG "
        "work_dirs/NAME/epoch_800.pth backbone.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="the config that was trained")
    parser.add_argument("checkpoint", help="path or address of its checkpoint")
    parser.add_argument("target", help="file to write, ends in .safetensors")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", help="as in training")
    args = parser.parse_args()
    target = Path(args.target)
    if target.suffix != ".safetensors":
        parser.error(f"{target}: the name must end in .safetensors")
    if not target.parent.is_dir():
        parser.error(f"{target.parent.absolute()} does not exist")
    cfg = read_config(args.config, args.cfg_options)
    try:
        print(export(cfg, args.checkpoint, target))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error


def export(cfg, checkpoint: str, target: Path) -> str:
    """Write the file; returns a line about it.

    Raises:
        FileNotFoundError: No such checkpoint, or file of statistics.
        ValueError: The checkpoint is not one of this config's backbone.
    """
    from convnextv2.backbone import ConvNeXtV2
    from convnextv2.backbone.pretrained import load_pretrained
    from convnextv2.engine.weights import read_training_facts
    from convnextv2.tools.model_converters.convert_checkpoint import write

    backbone = {k: v for k, v in cfg.model.backbone.items() if k not in ("type", "init_cfg")}
    network = ConvNeXtV2(**{**backbone, "output_norm": False})
    load_pretrained(network, checkpoint)
    state_dict = network.state_dict()
    mean, std = find_mean_and_std(cfg.model.get("data_preprocessor") or {})
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
    write(state_dict, target, "convnextv2", **facts)
    return f"{target}: {len(state_dict)} tensors; " + ", ".join(
        f"{k} {v}" for k, v in facts.items()
    )


def find_mean_and_std(entry: dict) -> tuple[list[float] | None, list[float] | None]:
    """Those that a config's data_preprocessor uses; None if it does not say.

    Raises:
        FileNotFoundError: Its file of statistics does not exist.
    """
    from mmengine.registry import MODELS

    from convnextv2.engine.types import find_class
    from convnextv2.pretrain import FCMAEDataPreprocessor

    found = find_class(entry, MODELS)
    if found is None or not issubclass(found, FCMAEDataPreprocessor):
        return entry.get("mean"), entry.get("std")
    used = FCMAEDataPreprocessor(**{k: v for k, v in entry.items() if k != "type"})
    # Through text: the shortest numbers that are the same in float32.
    return tuple([float(str(v)) for v in t.flatten().numpy()] for t in (used.mean, used.std))


if __name__ == "__main__":
    main()
