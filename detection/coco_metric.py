"""COCO's numbers by hotcoco, with either family's mmdet.

mmdet's own are pycocotools', which is many times slower, or faster-coco-eval's, which is several
times slower; and they count 1000 detections an image where COCO counts 100.
"""

import io
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from convnextv2.registry import METRICS

FIELDS = {"bbox": "bbox", "segm": "segmentation"}  # of COCO's results
PRECISIONS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """mmdet's `CocoMetric` for boxes and masks, computed by hotcoco.

    Args:
        args: As of mmdet's, as all that is not named here.
        metric: ``bbox``, ``segm`` or both.
        proposal_nums: Three numbers of detections an image, best first, up to which recall is
            measured; precision counts the last.
        classwise: Whether to log a table of the classes, and to return their precision.
        metric_items: Of ``mAP``, ``mAP_50``, ``mAP_75``, ``mAP_s``, ``mAP_m``, ``mAP_l``, and the
            recalls ``AR@1``, ``AR@10``, ``AR@100``, ``AR_s@100``, ``AR_m@100``, ``AR_l@100`` with
            the numbers of `proposal_nums`; default: the first six.

    Attributes:
        curves: Of the last evaluation, in the first process: ``bbox``, ``segm`` -> precision
            (recalls, classes) at an IoU of .5; NaN where a class is nowhere.

    Raises:
        ValueError: Something is asked for that is not computed here.
    """

    # mmdet's, of which a type checker knows nothing.
    _coco_api: Any
    cat_ids: list[int]
    img_ids: list[int]

    def __init__(
        self,
        *args: object,
        metric: str | Sequence[str] = "bbox",
        proposal_nums: Sequence[int] = (1, 10, 100),
        classwise: bool = True,
        metric_items: Sequence[str] | None = None,
        **kwargs: object,
    ) -> None:
        kinds = [metric] if isinstance(metric, str) else list(metric)
        _refuse_others("metric", kinds, ("bbox", "segm"))
        last = proposal_nums[-1]
        recalls = [f"AR@{n}" for n in proposal_nums] + [f"AR_{size}@{last}" for size in "sml"]
        self._names = [*PRECISIONS, *recalls]
        _refuse_others("metric_items", metric_items or (), self._names)
        if kwargs.pop("use_mp_eval", False):
            raise ValueError("use_mp_eval: hotcoco needs no more processes")
        settings = {"metric": kinds, "proposal_nums": proposal_nums, "classwise": classwise}
        super().__init__(*args, **settings, **kwargs)
        self.curves: dict[str, np.ndarray] = {}
        self.metric_items = metric_items or PRECISIONS

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The numbers of the data set, rounded to three digits.

        Args:
            results: For each image the truth and what was found, as `process` leaves them.
        """
        truths, found = zip(*results, strict=True)
        self.curves = {}
        with tempfile.TemporaryDirectory() as folder:
            prefix = self.outfile_prefix or str(Path(folder, "results"))
            if self._coco_api is None:
                self._coco_api = COCO(self.gt_to_coco_json(truths, prefix))
            self.cat_ids = self.cat_ids or self._coco_api.getCatIds(
                catNms=self.dataset_meta["classes"]
            )
            self.img_ids = self.img_ids or self._coco_api.getImgIds()
            if self.outfile_prefix or self.format_only:
                self.results2json(found, prefix)
        if self.format_only:
            MMLogger.get_current_instance().info(f"results are in {Path(prefix).parent}")
            return {}
        if "segm" in self.metrics and any("masks" not in image for image in found):
            raise KeyError("segm: the model finds no masks")
        numbers: dict[str, float] = {}
        for kind in self.metrics:
            numbers |= self._evaluate(kind, self._list(found, kind))
        return numbers

    def _list(self, found: Iterable[dict], kind: str) -> list[dict]:
        """What was found as COCO's results, with a box or a mask each.

        With both, the box's area would tell small masks from large.
        """
        entries = []
        for image in found:
            values: list
            if kind == "segm":
                values = [_readable(mask) for mask in image["masks"]]
                scores = image.get("mask_scores", image["scores"])
            else:
                boxes = np.array(image["bboxes"], dtype=float).reshape(-1, 4)
                boxes[:, 2:] -= boxes[:, :2]
                values, scores = boxes.tolist(), image["scores"]
            scores = np.asarray(scores, dtype=float).tolist()
            labels = np.asarray(image["labels"]).tolist()
            for label, score, value in zip(labels, scores, values, strict=True):
                about = {"image_id": image["img_id"], "category_id": self.cat_ids[label]}
                entries.append({**about, "score": score, FIELDS[kind]: value})
        return entries

    @cached_property
    def _truth(self) -> hotcoco.COCO:
        return hotcoco.COCO(_trim(self._coco_api.dataset))

    def _evaluate(self, kind: str, found: list[dict]) -> dict[str, float]:
        evaluator: Any = hotcoco.COCOeval(self._truth, self._truth.loadRes(found), kind)
        evaluator.params.catIds = self.cat_ids
        evaluator.params.imgIds = self.img_ids
        evaluator.params.maxDets = list(self.proposal_nums)
        evaluator.params.iouThrs = self.iou_thrs
        evaluator.evaluate()
        evaluator.accumulate()
        with redirect_stdout(io.StringIO()):  # the numbers, which are logged
            evaluator.summarize()
        self._keep_curves(kind, evaluator)
        stats = dict(zip(self._names, evaluator.stats, strict=False))
        numbers = {f"{kind}_{name}": round(float(stats[name]), 3) for name in self.metric_items}
        return numbers | (self._by_class(kind, evaluator) if self.classwise else {})

    def _keep_curves(self, kind: str, evaluator: Any) -> None:
        half = np.flatnonzero(np.isclose(evaluator.params.iouThrs, 0.5))
        if half.size:  # of all sizes, and the last number of detections
            curves = evaluator.eval["precision"][half[0], :, :, 0, -1]
            self.curves[kind] = np.where(curves < 0, np.nan, curves)

    def _by_class(self, kind: str, evaluator: Any) -> dict[str, float]:
        """Log a table of the classes' precisions, and return the first column."""
        thresholds = np.asarray(evaluator.params.iouThrs)
        rows, numbers = [], {}
        for i, category in enumerate(self._coco_api.loadCats(self.cat_ids)):
            # (threshold, recall, area) of the last number of detections; -1 where nothing is
            precision = evaluator.eval["precision"][:, :, i, :, -1]
            at = [precision[np.isclose(thresholds, t), :, 0] for t in (0.5, 0.75)]
            parts = [precision[..., 0], *at, *(precision[..., area] for area in (1, 2, 3))]
            means = [
                round(float(part[part > -1].mean()), 3) if (part > -1).any() else float("nan")
                for part in parts
            ]
            rows.append([category["name"], *means])
            if not np.isnan(means[0]):  # json knows no such number
                numbers[f"{kind}_{category['name']}_precision"] = means[0]
        table = AsciiTable([["category", *PRECISIONS], *rows])
        MMLogger.get_current_instance().info(f"{kind}:\n{table.table}")
        return numbers


def _trim(content: dict) -> dict:
    """What COCO's numbers follow from: hotcoco refuses odd types in fields that it never uses."""
    sizes = ("width", "height")
    needed = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation")
    return {
        "images": [
            {"id": image["id"], **{key: int(image[key]) for key in sizes if image.get(key)}}
            for image in content["images"]
        ],
        "annotations": [
            {key: entry[key] for key in needed if key in entry} for entry in content["annotations"]
        ],
        "categories": [
            {"id": entry["id"], "name": str(entry["name"])} for entry in content["categories"]
        ],
    }


def _readable(mask: dict) -> dict:
    """RLE with its counts as text."""
    counts = mask["counts"]
    return {**mask, "counts": counts.decode() if isinstance(counts, bytes) else counts}


def _refuse_others(setting: str, given: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"{setting} {', '.join(unknown)}: not among {', '.join(known)}")
