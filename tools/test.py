"""Evaluate a checkpoint of any config of this project, and draw or write its predictions."""

import os
from pathlib import Path

from convnextv2.engine.cli import make_runner_parser, run
from convnextv2.engine.config import load_config
from convnextv2.engine.inputs import check_inputs, fetch_checkpoints
from convnextv2.engine.outputs import check_folder
from convnextv2.engine.processes import do_without_gpu, end_with_launcher, limit_waiting
from convnextv2.engine.settings import need_entries
from convnextv2.engine.types import (
    find_class,
    find_task,
    is_a,
    list_metrics,
    walk_built_datasets,
    walk_datasets,
)


def main() -> None:
    """Command line entry."""
    parser = make_runner_parser(
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
    parser.add_argument(
        "--format-only",
        action="store_true",
        help="with --out, for test servers: write predictions without ground truth to compare with",
    )
    parser.add_argument("--tta", action="store_true", help="test-time augmentation (multi-scale)")
    args = parser.parse_args()
    end_with_launcher(args.launcher)
    cfg = load_config(args)
    need_entries(cfg, args.config, "model", "test_dataloader", "test_evaluator")
    if args.format_only and not args.out:
        parser.error("--format-only writes files: say where, --out DIR")
    if (args.out or args.show_dir) and find_task(cfg) == "pretraining":
        parser.error("pre-training is drawn by tools/analysis_tools/visualize_reconstruction.py")
    cfg.load_from = args.checkpoint
    # The checkpoint fills the whole model.
    cfg.model.backbone.init_cfg = None
    if args.out and not set_output(cfg, args.out):
        parser.error("--out: of the metrics only CocoMetric, FasterCocoMetric and IoUMetric write")
    if args.show_dir:
        set_pictures(cfg, args.show_dir)
    if args.tta:
        use_tta(cfg, parser)
    if args.format_only:
        leave_ground_truth(cfg)
    check_inputs(cfg, ("test_dataloader",))
    check_folder(cfg.work_dir, "--work-dir")
    for setting, folder in (("--out", args.out), ("--show-dir", args.show_dir)):
        if folder:
            check_folder(folder, setting)
    fetch_checkpoints(cfg)
    limit_waiting(cfg)
    do_without_gpu(cfg)

    from convnextv2.engine.runner import StrictRunner

    if args.out:  # in every process: mmseg's metric makes it in one, and all write
        Path(args.out).mkdir(parents=True, exist_ok=True)
    runner = StrictRunner.from_cfg(cfg)
    if args.out:
        check_output(runner.test_dataloader.dataset)
        # mmseg's metric makes it in the first process, for which the others do not wait.
        Path(args.out).mkdir(parents=True, exist_ok=True)
    runner.test()
    if args.out and runner.rank == 0:
        from convnextv2.detection.results import drop_boxes

        drop_boxes(Path(args.out, "results.segm.json"))


def set_output(cfg, folder: str) -> int:
    """Make the metrics write what they evaluate into a folder; returns how many do."""
    from mmengine.registry import METRICS

    from convnextv2.detection import results as objects
    from convnextv2.segmentation import results as label_maps

    writers = {
        "mmdet.evaluation.metrics.coco_metric.CocoMetric": objects,
        "mmseg.evaluation.metrics.iou_metric.IoUMetric": label_maps,
    }
    count = 0
    for metric in list_metrics(cfg.test_evaluator):
        found = find_class(metric, METRICS, cfg.get("default_scope"))
        for name, results in writers.items():
            if is_a(found, name):
                results.set_output(metric, folder)
                count += 1
    return count


def leave_ground_truth(cfg) -> None:
    """Let the metrics write only, and read no labels: those of a test set are not public."""
    entries = [entry for _, entry in walk_datasets(cfg.test_dataloader.dataset)]
    for metric in list_metrics(cfg.test_evaluator):
        metric["format_only"] = True
        if metric.get("ann_file"):  # only images and categories are read from it
            first = entries[0]
            metric["ann_file"] = os.path.join(first.get("data_root") or "", first["ann_file"])
    for entry in entries:
        entry.get("data_prefix", {}).pop("seg_map_path", None)
    for entry in find_pipelines(cfg.test_dataloader.dataset):
        entry["pipeline"] = without_labels(entry["pipeline"], cfg.get("default_scope"))


def find_pipelines(entry: dict) -> list[dict]:
    """A data set's entry and those in its wrappers, as far as they have a pipeline."""
    inner = entry.get("dataset") or entry.get("datasets") or []
    children = [inner] if isinstance(inner, dict) else inner
    found = [entry] if entry.get("pipeline") else []
    return found + [deeper for child in children for deeper in find_pipelines(child)]


def without_labels(pipeline: list, scope: str | None) -> list:
    """The steps of a pipeline that do not load annotations."""
    from mmengine.registry import TRANSFORMS

    labels = "mmcv.transforms.loading.LoadAnnotations"
    kept = [
        step
        for step in pipeline
        if isinstance(step, list) or not is_a(find_class(step, TRANSFORMS, scope), labels)
    ]
    for step in kept:
        if "transforms" in step:  # TestTimeAug has lists of alternatives, of which none is empty
            alternatives = [without_labels(entry, scope) for entry in step["transforms"]]
            step["transforms"] = [entry for entry in alternatives if entry]
    return kept


def check_output(dataset) -> None:
    """Stop before predictions that would overwrite each other or lack a category.

    Raises:
        SystemExit: Two label maps would get one name, or an annotation file lacks a class.
    """
    from convnextv2.detection.results import check_categories
    from convnextv2.segmentation.results import check_names

    parts = list(walk_built_datasets(dataset))
    if hasattr(parts[0], "cat_ids"):
        for part in parts:
            check_categories(part)
    else:
        infos = (part.get_data_info(i) for part in parts for i in range(len(part)))
        check_names(info["img_path"] for info in infos)


def set_pictures(cfg, folder: str) -> None:
    """Make mmdet's or mmseg's visualization hook draw every test image into a folder."""
    hook = cfg.default_hooks.visualization
    hook["draw"] = True
    hook["interval"] = 1
    if find_task(cfg) == "detection":
        # mmdet joins a relative one to the work dir and a time stamp, again for each image.
        hook["test_out_dir"] = os.path.abspath(folder)
    else:
        cfg.visualizer["save_dir"] = folder


def use_tta(cfg, parser) -> None:
    """Test by the config's `tta_pipeline` and `tta_model`."""
    if "tta_model" not in cfg or "tta_pipeline" not in cfg:
        parser.error("--tta: the config has no tta_model and tta_pipeline")
    for _, entry in walk_datasets(cfg.test_dataloader.dataset):
        entry["pipeline"] = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


if __name__ == "__main__":
    run(main)
