"""Train any config of this project: pre-training, detection or segmentation."""

import os
import re
from pathlib import Path

from convnextv2.engine.cli import make_parser
from convnextv2.engine.config import check_files, load_config
from convnextv2.engine.processes import use_cpu_where_no_gpu
from convnextv2.engine.types import find_task


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__, "python tools/train.py configs/pretrain/fcmae_convnextv2-atto_demo-trees.py"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from a checkpoint; without a path, from the newest in the work dir, or from "
        "the start if there is none",
    )
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by batch / auto_scale_lr.base_batch_size",
    )
    args = parser.parse_args()
    cfg = load_config(args)

    if args.amp:
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")
    if args.auto_scale_lr:
        if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
            parser.error("--auto-scale-lr: the config has no auto_scale_lr.base_batch_size")
        cfg.auto_scale_lr.enable = True
    checkpoint = newest_checkpoint(cfg.work_dir) if args.resume == "auto" else args.resume
    if checkpoint:
        cfg.resume, cfg.load_from = True, checkpoint
    count_accumulation(cfg)
    check_files(cfg, ("train_dataloader", "val_dataloader"))
    if first_process() and find_task(cfg) != "pretraining":
        from convnextv2.data_checks import refuse_fatal

        refuse_fatal(cfg)
    use_cpu_where_no_gpu(cfg)

    from mmengine.runner import FlexibleRunner

    from convnextv2.engine.runner import StrictRunner

    # Only mmengine's flexible runner knows strategies, such as convnextv2.ShardedStrategy.
    runner = FlexibleRunner if "strategy" in cfg else StrictRunner
    runner.from_cfg(cfg).train()


def first_process() -> bool:
    """Whether this is the only or the first process of the run."""
    return all(int(os.environ.get(name, 0)) == 0 for name in ("RANK", "SLURM_PROCID"))


def count_accumulation(cfg) -> None:
    """Let learning rates that follow the batch count the iterations that make one step.

    mmengine compares the batch of one iteration with ``auto_scale_lr.base_batch_size``.
    """
    from mmengine.logging import print_log

    counts = cfg.optim_wrapper.get("accumulative_counts", 1)
    scale = cfg.get("auto_scale_lr", {})
    if counts > 1 and scale.get("enable"):
        print_log(
            f"gradients of {counts} iterations make one step: base_batch_size "
            f"{scale.base_batch_size} becomes {scale.base_batch_size / counts} an iteration",
            logger="current",
        )
        scale.base_batch_size /= counts


def newest_checkpoint(work_dir: str) -> str | None:
    """The newest of the checkpoints that training writes at its intervals, if there is one.

    They are renamed into place when complete, so that what is there can be trusted more than the
    note `last_checkpoint`, which a kill can leave empty.
    """
    found = {}
    for path in Path(work_dir).glob("*.pth"):
        if match := re.fullmatch(r"(?:epoch|iter)_(\d+)", path.stem):
            found[int(match[1])] = str(path)
    return found[max(found)] if found else None


if __name__ == "__main__":
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    main()
