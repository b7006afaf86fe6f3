"""Evaluate a checkpoint of any config of this project, and draw or write its predictions."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_show_bands, add_tile, make_runner_parser, run
from convnextv2.engine.config import load_config
from convnextv2.engine.inputs import check_inputs, fetch_checkpoints
from convnextv2.engine.outputs import check_folder
from convnextv2.engine.processes import do_without_gpu, end_with_launcher, limit_waiting
from convnextv2.engine.settings import need_entries
from convnextv2.engine.tasks import PredictingTask, add_review, find_task
from convnextv2.engine.types import (
    walk_built_datasets,
    walk_datasets,
    walk_entries,
    without_labels,
)

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.runner import Runner

    from convnextv2.reviews import Review


def main() -> None:
    """Command line entry."""
    parser = make_runner_parser(
        __doc__, "python tools/test.py CONFIG work_dirs/NAME/epoch_36.pth --show-dir pictures"
    )
    parser.add_argument("checkpoint", help="path or address of the checkpoint")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write predictions: COCO results json for detection, PNG label maps for segmentation, "
        "results.classes.json for classification",
    )
    parser.add_argument(
        "--show-dir", metavar="DIR", help="draw ground truth and prediction side by side"
    )
    add_show_bands(parser)
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="write a confusion matrix, the classes' precision and recall and the worst images",
    )
    parser.add_argument(
        "--format-only",
        action="store_true",
        help="with --out, for test servers: write predictions without ground truth to compare with",
    )
    parser.add_argument("--tta", action="store_true", help="test-time augmentation (multi-scale)")
    add_tile(parser)
    args = parser.parse_args()
    end_with_launcher(args.launcher)
    cfg = load_config(args)
    need_entries(cfg, args.config, "model", "test_dataloader", "test_evaluator")
    if args.format_only and not args.out:
        parser.error("--format-only writes files: say where, --out DIR")
    if args.format_only and args.report:
        parser.error("--format-only has no ground truth for a --report")
    writes = args.out or args.show_dir or args.report
    task = predicting_task(cfg, parser) if writes else None
    cfg.load_from = args.checkpoint
    # The checkpoint fills the whole model.
    cfg.model.backbone.init_cfg = None
    if task and args.show_dir:
        draw_all(cfg, args.show_dir, args.show_bands)
    if args.tta:
        use_tta(cfg, parser)
    if args.tile is not None:
        test_by_tiles(cfg, args, parser)
    if task and args.format_only:
        leave_ground_truth(cfg, task)
    check_inputs(cfg, ("test_dataloader",))
    check_folder(cfg.work_dir, "--work-dir")
    for setting in ("out", "show_dir", "report"):
        if folder := getattr(args, setting):
            check_folder(folder, f"--{setting.replace('_', '-')}")
    fetch_checkpoints(cfg)
    limit_waiting(cfg)
    do_without_gpu(cfg)

    from convnextv2.engine.runner import StrictRunner

    if args.out:  # in every process: mmseg's metric makes it in one, and all write
        Path(args.out).mkdir(parents=True, exist_ok=True)
    runner = StrictRunner.from_cfg(cfg)
    if task and args.out:
        write_results(runner, task, Path(args.out))
    review = add_review(task, runner.test_loop) if task and args.report else None
    runner.test()
    if task and review:
        write_report(runner, task, review, Path(args.report))


def predicting_task(cfg: "Config", parser: ArgumentParser) -> PredictingTask:
    """The config's task, which must have predictions to write or draw."""
    task = find_task(cfg)
    if isinstance(task, PredictingTask):
        return task
    parser.error(
        "--out, --show-dir and --report need a model that predicts; pre-training is drawn by "
        "tools/analysis_tools/visualize_reconstruction.py"
    )


def test_by_tiles(cfg: "Config", args: Namespace, parser: ArgumentParser) -> None:
    """Test whole images by the tiles of --tile and --overlap."""
    from convnextv2.engine.tiled_model import use_tiles
    from convnextv2.tiled import choose_tile

    if args.tta:
        parser.error("--tile and --tta: choose one of them")
    predicting_task(cfg, parser)
    use_tiles(cfg, *choose_tile(cfg, args.tile, args.overlap))


def leave_ground_truth(cfg: "Config", task: PredictingTask) -> None:
    """Score nothing and read no labels: those of a test set are not public."""
    cfg.test_evaluator = []
    for _, entry in walk_datasets(cfg.test_dataloader.dataset):
        task.leave_labels(entry)
    for _, entry in walk_entries(cfg.test_dataloader.dataset):
        if entry.get("pipeline"):
            entry["pipeline"] = without_labels(entry["pipeline"], cfg.get("default_scope"))


def write_results(runner: "Runner", task: PredictingTask, folder: Path) -> None:
    """Make a runner write its predictions too.

    Raises:
        SystemExit: They would not be complete, or overwrite each other.
    """
    dataset = runner.test_dataloader.dataset
    metric = task.open_test_results(list(walk_built_datasets(dataset)), folder)
    runner.test_evaluator.metrics.append(metric)


def draw_all(cfg: "Config", folder: str, bands: tuple[int, ...] | None) -> None:
    """Draw every test image into a folder."""
    hook = {"type": "convnextv2.DrawPredictionsHook", "folder": folder, "bands_shown": bands}
    cfg.default_hooks["draw_predictions"] = hook


def write_report(runner: "Runner", task: PredictingTask, review: "Review", folder: Path) -> None:
    """Write what the test has left, in the first process."""
    from functools import partial

    from convnextv2.engine.validation_pictures import read_image
    from convnextv2.report import write_review

    if review.images:
        read = partial(read_image, runner.test_dataloader.dataset)
        pictures = write_review(task, review, read, folder)
        runner.logger.info(f"report: {folder} ({', '.join(pictures)})")


def use_tta(cfg: "Config", parser: ArgumentParser) -> None:
    """Test by the config's `tta_pipeline` and `tta_model`."""
    if "tta_model" not in cfg or "tta_pipeline" not in cfg:
        parser.error("--tta: the config has no tta_model and tta_pipeline")
    for _, entry in walk_datasets(cfg.test_dataloader.dataset):
        entry["pipeline"] = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


if __name__ == "__main__":
    run(main)
