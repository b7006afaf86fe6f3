"""Train any config of this project: pre-training, detection or segmentation."""

import os

from convnextv2.engine.cli import make_runner_parser, run
from convnextv2.engine.config import check_files, fetch_checkpoints, load_config
from convnextv2.engine.outputs import check_folder
from convnextv2.engine.processes import (
    end_with_launcher,
    first_process,
    limit_waiting,
    use_cpu_where_no_gpu,
)
from convnextv2.engine.settings import need_entries


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
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by batch / auto_scale_lr.base_batch_size",
    )
    args = parser.parse_args()
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
    checkpoint = args.resume
    if checkpoint == "auto":
        from convnextv2.engine.checkpoints import newest_checkpoint

        checkpoint = newest_checkpoint(cfg.work_dir)
    if checkpoint:
        cfg.resume, cfg.load_from = True, checkpoint
    count_accumulation(cfg)
    check_files(cfg, ("train_dataloader", "val_dataloader"))
    check_folder(cfg.work_dir, "--work-dir")
    if first_process():
        from convnextv2.data_checks import refuse_fatal

        refuse_fatal(cfg)
    fetch_checkpoints(cfg)
    limit_waiting(cfg)
    use_cpu_where_no_gpu(cfg)

    from convnextv2.engine.runner import build_runner
    from convnextv2.engine.signals import stop_on_signals

    stop_on_signals(cfg)
    build_runner(cfg).train()


def count_accumulation(cfg) -> None:
    """Let learning rates that follow the batch count the iterations that make one step.

    mmengine compares the batch of one iteration with ``auto_scale_lr.base_batch_size``.
    """
    from mmengine.logging import print_log

    counts = cfg.optim_wrapper.get("accumulative_counts", 1)
    scale = cfg.get("auto_scale_lr") or {}
    if counts > 1 and scale.get("enable"):
        print_log(
            f"gradients of {counts} iterations make one step: base_batch_size "
            f"{scale.base_batch_size} becomes {scale.base_batch_size / counts} an iteration",
            logger="current",
        )
        scale.base_batch_size /= counts


if __name__ == "__main__":
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    run(main)
