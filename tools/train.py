"""Train any config of this project: pre-training, detection or segmentation."""

import os
from typing import TYPE_CHECKING

from convnextv2.engine.cli import make_runner_parser, run, whole
from convnextv2.engine.config import load_config
from convnextv2.engine.inputs import check_inputs, fetch_checkpoints
from convnextv2.engine.outputs import check_folder
from convnextv2.engine.processes import (
    do_without_gpu,
    end_with_launcher,
    first_process,
    limit_waiting,
)
from convnextv2.engine.settings import need_entries

if TYPE_CHECKING:
    from mmengine.config import Config


def main() -> None:
    """Command line entry."""
    parser = make_runner_parser(
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
    parser.add_argument(
        "--batch",
        type=batch_size,
        metavar="N|auto",
        help="images a step and process; auto: the largest number that fits the device",
    )
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by batch / auto_scale_lr.base_batch_size",
    )
    args = parser.parse_args()
    if args.resume == "":  # of a variable that is not set: not the start, over an old run
        parser.error("--resume: the checkpoint's name is empty")
    end_with_launcher(args.launcher)
    cfg = load_config(args)
    need_entries(cfg, args.config, "model", "train_dataloader", "train_cfg", "optim_wrapper")

    if args.amp:
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")
    if args.auto_scale_lr:
        if "base_batch_size" not in (cfg.get("auto_scale_lr") or {}):
            parser.error("--auto-scale-lr: the config has no auto_scale_lr.base_batch_size")
        cfg.auto_scale_lr.enable = True
    count_accumulation(cfg)
    if args.resume and args.resume != "auto":
        cfg.resume, cfg.load_from = True, args.resume
    check_inputs(cfg, ("train_dataloader", "val_dataloader"))
    check_folder(cfg.work_dir, "--work-dir")
    if first_process():
        from convnextv2.data_checks import refuse_fatal
        from convnextv2.engine.work_dir_lock import occupy

        refuse_fatal(cfg)
        occupy(cfg.work_dir)
    if args.resume == "auto":
        from convnextv2.engine.checkpoints import newest_checkpoint

        if newest := newest_checkpoint(cfg.work_dir):
            cfg.resume, cfg.load_from = True, newest
    fetch_checkpoints(cfg)
    limit_waiting(cfg)
    do_without_gpu(cfg)

    from convnextv2.engine.batch import set_batch
    from convnextv2.engine.memory import explain_out_of_memory
    from convnextv2.engine.runner import build_runner
    from convnextv2.engine.signals import stop_on_signals

    if args.batch:
        set_batch(cfg, args.batch)
    stop_on_signals(cfg)
    with explain_out_of_memory(cfg):
        build_runner(cfg).train()


def batch_size(text: str) -> str:
    """The type of an argument that is a number of images or ``auto``."""
    return text if text == "auto" else str(whole(1)(text))


def count_accumulation(cfg: "Config") -> None:
    """Let learning rates that follow the batch count the iterations that make one step.

    mmengine compares the batch of one iteration with ``auto_scale_lr.base_batch_size``.
    """
    from mmengine.logging import print_log

    counts = cfg.optim_wrapper.get("accumulative_counts", 1)
    scale = cfg.get("auto_scale_lr") or {}
    if counts > 1 and scale.get("enable"):
        print_log(
            f"gradients of {counts} iterations make one step: base_batch_size "
            f"{scale['base_batch_size']} becomes {scale['base_batch_size'] / counts} an iteration",
            logger="current",
        )
        scale["base_batch_size"] /= counts


if __name__ == "__main__":
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    run(main)
