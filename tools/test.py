"""Evaluate a checkpoint of any config of this project, and draw or write its predictions."""

import os

from launch import check_files, load_config, make_parser, use_cpu_where_no_gpu


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__, "python tools/test.py CONFIG work_dirs/NAME/epoch_36.pth --show-dir pictures"
    )
    parser.add_argument("checkpoint", help="path or address of the checkpoint")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write predictions: COCO results json for detection, PNG label maps for segmentation",
    )
    parser.add_argument(
        "--show-dir", metavar="DIR", help="draw ground truth and prediction side by side"
    )
    parser.add_argument("--tta", action="store_true", help="test-time augmentation (multi-scale)")
    args = parser.parse_args()
    cfg = load_config(args)
    if "test_dataloader" not in cfg:
        parser.error(f"{args.config} has no test_dataloader")
    if (args.out or args.show_dir) and cfg.default_scope == "mmengine":
        parser.error("pre-training is drawn by tools/visualize_reconstruction.py")
    cfg.load_from = args.checkpoint
    # The checkpoint fills the whole model.
    cfg.model.backbone.init_cfg = None
    if args.out:
        set_output(cfg, args.out)
    if args.show_dir:
        set_pictures(cfg, args.show_dir)
    if args.tta:
        use_tta(cfg, parser)
    check_files(cfg, ("test_dataloader",))
    use_cpu_where_no_gpu(cfg)

    from convnextv2.backbone.checkpoint_hook import StrictRunner

    StrictRunner.from_cfg(cfg).test()


def set_output(cfg, folder: str) -> None:
    """Make the metrics write what they evaluate into a folder."""
    evaluators = cfg.test_evaluator
    for metric in evaluators if isinstance(evaluators, list) else [evaluators]:
        if "Coco" in metric["type"]:
            metric["outfile_prefix"] = f"{folder}/results"
        elif metric["type"] == "IoUMetric":
            metric["output_dir"] = folder


def set_pictures(cfg, folder: str) -> None:
    """Make mmdet's or mmseg's visualization hook draw every test image into a folder."""
    hook = cfg.default_hooks.visualization
    hook["draw"] = True
    hook["interval"] = 1
    if cfg.default_scope == "mmdet":
        # mmdet joins a relative one to the work dir and a time stamp, again for each image.
        hook["test_out_dir"] = os.path.abspath(folder)
    else:
        cfg.visualizer["save_dir"] = folder


def use_tta(cfg, parser) -> None:
    """Test by the config's `tta_pipeline` and `tta_model`."""
    if "tta_model" not in cfg or "tta_pipeline" not in cfg:
        parser.error("--tta: the config has no tta_model and tta_pipeline")
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


if __name__ == "__main__":
    main()
