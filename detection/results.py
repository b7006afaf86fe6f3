"""Detections in COCO's form of results, which other tools read.

A category id is what the annotation file calls a class; a label is the class's number, from 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.evaluator import BaseMetric

from convnextv2.engine.types import is_a
from convnextv2.files import AtomicLocalBackend
from convnextv2.results import Prediction, ResultsFile, ResultsWriter, TrainedModel

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset
    from torch import Tensor, nn


UNKNOWN_IDS = (
    "The checkpoint has no category ids and the config's annotation file cannot tell "
    "them: category_id is the class's number, from 1 (category_id_unknown)"
)


class ObjectsWriter(ResultsWriter):
    """``results.json``: the objects in images of any origin, as they are found.

    Args:
        trained: The model; from now on it leaves out what scores less.
        folder: Of the file.
        score_thr: 0 to 1.
    """

    def __init__(self, trained: TrainedModel, folder: Path, score_thr: float) -> None:
        raise_score_thr(trained.model, score_thr)
        self.classes, self.score_thr = trained.classes, score_thr
        self.category_ids = find_category_ids(trained)
        self._file = ResultsFile(folder / "results.json")

    def add(self, prediction: Prediction, number: int, name: str) -> None:
        """Write the objects of one image, of which there may be none."""
        found = prediction.sample.pred_instances
        found = found[found.scores >= self.score_thr]
        about = {"image_id": number, "file_name": name}
        entries = to_results(found, self.classes, self.category_ids)
        self._file.add([{**about, **entry} for entry in entries])

    def __exit__(self, *error: object) -> None:
        """Make the list, also at an error."""
        self._file.__exit__(*error)

    def describe(self) -> str:
        """The number of objects."""
        count = self._file.count
        return "" if count is None else f"{count} objects of score {self.score_thr} or more"

    def warn(self) -> str:
        """Whether category ids had to be made up."""
        return "" if self._file.count is None or self.category_ids else UNKNOWN_IDS


class CocoResults(BaseMetric):
    """``results.bbox.json`` and, of masks, ``results.segm.json``: a test set's objects.

    Without boxes in the latter: pycocotools would measure areas by them.

    Args:
        folder: Of the files.
        classes: Name of each label.
        category_ids: Id of each label.
    """

    default_prefix = "results"

    def __init__(self, folder: Path, classes: Sequence[str], category_ids: Sequence) -> None:
        super().__init__()
        self.folder, self.classes, self.category_ids = folder, classes, category_ids

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep the objects of each image: a list of boxes, and one of masks where there are any."""
        for sample in data_samples:
            found = sample["pred_instances"]
            # Some detectors score their masks anew.
            mask_scores = found.get("mask_scores", found["scores"]).tolist()
            boxes, masks = [], []
            entries = to_results(found, self.classes, self.category_ids)
            for entry, mask_score in zip(entries, mask_scores, strict=True):
                about = {"image_id": sample["img_id"], "category_id": entry["category_id"]}
                boxes.append({**about, "bbox": entry["bbox"], "score": entry["score"]})
                if "segmentation" in entry:
                    mask = {"segmentation": entry["segmentation"], "score": mask_score}
                    masks.append({**about, **mask})
            self.results.append((boxes, masks if "masks" in found else None))

    def compute_metrics(self, results: list) -> dict:
        """Write the files; there is no score."""
        lists = {"bbox": [boxes for boxes, _ in results]}
        if all(masks is not None for _, masks in results):
            lists["segm"] = [masks for _, masks in results]
        for kind, images in lists.items():
            content = json.dumps([entry for image in images for entry in image]).encode()
            AtomicLocalBackend().put(content, self.folder / f"results.{kind}.json")
        return {}


def find_test_ids(datasets: Sequence[BaseDataset]) -> list:
    """The category id of each label of test data.

    Args:
        datasets: mmdet's, built, of the same classes.

    Raises:
        SystemExit: An annotation file lacks a class.
    """
    for dataset in datasets:
        classes = dataset.metainfo["classes"]
        if not is_a(type(dataset), "mmdet.datasets.coco.CocoDataset"):
            return list(range(len(classes)))
        if len(dataset.cat_ids) != len(classes):
            raise SystemExit(
                f"{dataset.ann_file} has {len(dataset.cat_ids)} of the {len(classes)} classes "
                "among its categories: their ids are needed to write results"
            )
    return list(datasets[0].cat_ids)


def find_category_ids(trained: TrainedModel) -> list | None:
    """The category id of each of a model's labels; None if nothing tells them.

    As the checkpoint keeps them, or by the annotation file of the config's test data.
    """
    ids = trained.trained_meta.get("category_ids")
    if ids and len(ids) == len(trained.classes):
        return list(ids)
    return read_category_ids(getattr(trained.dataset, "ann_file", ""), trained.classes)


def read_category_ids(ann_file: str | Path, classes: Sequence[str]) -> list | None:
    """The category id of each class by a COCO file; None if there is none or it lacks a class.

    mmdet numbers classes in the order of the file's categories; where the config has another
    order, what a label means is not certain, and the answer is None, too.
    """
    try:
        categories = json.loads(Path(ann_file).read_text())["categories"]
        ids = {category["name"]: category["id"] for category in categories}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = [name for name in ids if name in classes]
    return [ids[name] for name in classes] if known == list(classes) else None


def to_results(
    instances: Mapping[str, Tensor], classes: Sequence[str], category_ids: Sequence | None
) -> list[dict]:
    """Results, without their image, of what was found in one.

    Args:
        instances: mmdet's, or a dict of what is in them; masks may be COCO's RLE.
        classes: Name of each label.
        category_ids: Id of each label. None: they are not known; the label's number from 1 is
            written, and ``category_id_unknown`` beside it.
    """
    from convnextv2.detection.coco import encode_mask  # needs pycocotools

    boxes, scores = instances["bboxes"].tolist(), instances["scores"].tolist()
    masks: Any = instances.get("masks")  # a tensor, or an array
    if hasattr(masks, "cpu"):
        masks = masks.cpu().numpy()
    results = []
    for i, label in enumerate(instances["labels"].tolist()):
        x1, y1, x2, y2 = boxes[i]
        entry = {
            "category_id": category_ids[label] if category_ids else label + 1,
            "category_name": classes[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": scores[i],
        }
        if not category_ids:
            entry["category_id_unknown"] = True
        if masks is not None:
            is_rle = isinstance(masks[i], dict)
            entry["segmentation"] = masks[i] if is_rle else encode_mask(masks[i])
        results.append(entry)
    return results


def raise_score_thr(model: nn.Module, score_thr: float) -> None:
    """Let a detector leave out what scores less before it makes masks as large as the image.

    Args:
        model: Its heads have mmdet's ``test_cfg``; a higher threshold in there stays. Heads that
            know none, such as Mask2Former's, find what they found before.
        score_thr: 0 to 1.
    """
    for module in model.modules():
        _raise(getattr(module, "test_cfg", None), score_thr)


def _raise(cfg: object, score_thr: float) -> None:
    if isinstance(cfg, dict):
        if "score_thr" in cfg:
            # mmdet keeps what scores more, a user of a threshold expects what scores as much, too.
            cfg["score_thr"] = max(cfg["score_thr"], score_thr - 1e-6)
        for entry in cfg.values():
            _raise(entry, score_thr)
