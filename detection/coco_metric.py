"""COCO's numbers by faster-coco-eval, with either family's mmdet.

mmdet 3.3 has no metric on faster-coco-eval, that of 3.5 has another name, and both count 1000
detections an image where COCO counts 100.
"""

import io
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCOeval_faster
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmengine.fileio import load
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from convnextv2.registry import METRICS

PRECISIONS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """mmdet's `CocoMetric` for boxes and masks, computed by faster-coco-eval.

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
            raise ValueError("use_mp_eval: faster-coco-eval needs no more processes")
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
            files = self.results2json(found, prefix)
            if self.format_only:
                MMLogger.get_current_instance().info(f"results are in {Path(prefix).parent}")
                return {}
            numbers: dict[str, float] = {}
            for kind in self.metrics:
                if kind not in files:
                    raise KeyError(f"{kind}: the model finds no masks")
                numbers |= self._evaluate(kind, load(files[kind]))
        return numbers

    def _evaluate(self, kind: str, found: list[dict]) -> dict[str, float]:
        if kind == "segm":  # with a box, the box's area would tell small from large
            found = [{key: v for key, v in entry.items() if key != "bbox"} for entry in found]
        evaluator = COCOeval_faster(self._coco_api, self._index(found), kind)
        evaluator.params.catIds = self.cat_ids
        evaluator.params.imgIds = self.img_ids
        evaluator.params.maxDets = list(self.proposal_nums)
        evaluator.params.iouThrs = self.iou_thrs
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        self._keep_curves(kind, evaluator)
        stats = dict(zip(self._names, evaluator.stats, strict=False))
        numbers = {f"{kind}_{name}": round(float(stats[name]), 3) for name in self.metric_items}
        return numbers | (self._by_class(kind, evaluator) if self.classwise else {})

    def _index(self, found: list[dict]) -> COCO:
        """What was found, as evaluators want it; `loadRes` fails where that is nothing."""
        with redirect_stdout(io.StringIO()):  # pycocotools tells of each of its steps
            if found:
                return self._coco_api.loadRes(found)
            nothing = COCO()
            nothing.dataset = {**self._coco_api.dataset, "annotations": []}
            nothing.createIndex()
            return nothing

    def _keep_curves(self, kind: str, evaluator: COCOeval_faster) -> None:
        half = np.flatnonzero(np.isclose(evaluator.params.iouThrs, 0.5))
        if half.size:  # of all sizes, and the last number of detections
            curves = evaluator.eval["precision"][half[0], :, :, 0, -1]
            self.curves[kind] = np.where(curves < 0, np.nan, curves)

    def _by_class(self, kind: str, evaluator: COCOeval_faster) -> dict[str, float]:
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


def _refuse_others(setting: str, given: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"{setting} {', '.join(unknown)}: not among {', '.join(known)}")
