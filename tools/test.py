"""Evaluate a checkpoint of any config of this project, and draw or write its predictions."""

import json
import os
from collections import Counter
from pathlib import Path

from convnextv2.engine.cli import make_parser
from convnextv2.engine.config import check_files, fetch_checkpoints, load_config
from convnextv2.engine.processes import end_with_launcher, limit_waiting, use_cpu_where_no_gpu


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
    parser.add_argument(
        "--format-only",
        action="store_true",
        help="with --out, for test servers: write predictions without ground truth to compare with",
    )
    parser.add_argument("--tta", action="store_true", help="test-time augmentation (multi-scale)")
    args = parser.parse_args()
    end_with_launcher(args.launcher)
    cfg = load_config(args)
    if "test_dataloader" not in cfg:
        parser.error(f"{args.config} has no test_dataloader")
    if args.format_only and not args.out:
        parser.error("--format-only writes files: say where, --out DIR")
    if (args.out or args.show_dir) and cfg.default_scope == "mmengine":
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
    check_files(cfg, ("test_dataloader",))
    fetch_checkpoints(cfg)
    limit_waiting(cfg)
    use_cpu_where_no_gpu(cfg)

    from convnextv2.engine.runner import StrictRunner

    if args.out:  # in every process: mmseg's metric makes it in one, and all write
        Path(args.out).mkdir(parents=True, exist_ok=True)
    runner = StrictRunner.from_cfg(cfg)
    if args.out:
        check_output(runner.test_dataloader.dataset)
    runner.test()
    if args.out and runner.rank == 0:
        drop_boxes(Path(args.out, "results.segm.json"))


def set_output(cfg, folder: str) -> int:
    """Make the metrics write what they evaluate into a folder; returns how many do."""
    count = 0
    for metric in evaluators(cfg):
        if "Coco" in metric["type"]:
            metric["outfile_prefix"] = f"{folder}/results"
            count += 1
        elif metric["type"].endswith("IoUMetric"):
            metric["output_dir"] = folder
            count += 1
    return count


def evaluators(cfg) -> list:
    """The configs of the metrics of a test."""
    found = cfg.test_evaluator
    return found if isinstance(found, list) else [found]


def leave_ground_truth(cfg) -> None:
    """Let the metrics write only, and read no labels: those of a test set are not public."""
    dataset = cfg.test_dataloader.dataset
    for metric in evaluators(cfg):
        metric["format_only"] = True
        if metric.get("ann_file"):  # only images and categories are read from it
            metric["ann_file"] = os.path.join(dataset.get("data_root") or "", dataset["ann_file"])
    dataset.pipeline = without_labels(dataset.pipeline)
    dataset.get("data_prefix", {}).pop("seg_map_path", None)


def without_labels(pipeline: list) -> list:
    """The steps of a pipeline that do not load annotations."""
    kept = [s for s in pipeline if isinstance(s, list) or "LoadAnnotations" not in s["type"]]
    for step in kept:
        if "transforms" in step:  # TestTimeAug has lists of alternatives, of which none is empty
            alternatives = [without_labels(entry) for entry in step["transforms"]]
            step["transforms"] = [entry for entry in alternatives if entry]
    return kept


def check_output(dataset) -> None:
    """Stop before predictions that would overwrite each other or lack a category.

    Raises:
        SystemExit: Two label maps would get one name, or the annotation file lacks a class.
    """
    from mmengine.dataset import ConcatDataset

    first = dataset.datasets[0] if isinstance(dataset, ConcatDataset) else dataset
    if hasattr(first, "cat_ids"):
        classes = first.metainfo["classes"]
        if len(first.cat_ids) != len(classes):
            raise SystemExit(
                f"{first.ann_file} has {len(first.cat_ids)} of the {len(classes)} classes among "
                "its categories: their ids are needed to write results"
            )
        return
    paths = [dataset.get_data_info(i)["img_path"] for i in range(len(dataset))]
    stems = Counter(Path(path).stem for path in paths)
    if twice := sorted(path for path in paths if stems[Path(path).stem] > 1):
        some = "".join(f"\n  {path}" for path in twice[:6])
        raise SystemExit(
            f"--out: label maps have the names of their images and lie in one folder, but "
            f"{len(twice)} images share a name, such as{some}\ntools/infer.py keeps sub-folders"
        )


def drop_boxes(path: Path) -> None:
    """Make COCO's form of mask results: pycocotools would measure areas by the boxes."""
    from convnextv2.files import AtomicLocalBackend

    if path.is_file():
        results = [
            {k: v for k, v in r.items() if k != "bbox"} for r in json.loads(path.read_text())
        ]
        AtomicLocalBackend().put(json.dumps(results).encode(), path)


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
