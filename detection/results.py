"""Detections in COCO's form of results, which other tools read.

A category id is what the annotation file calls a class; a label is the class's number, from 0.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from convnextv2.files import AtomicLocalBackend


def set_output(metric: dict, folder: str) -> None:
    """Make mmdet's CocoMetric, given its entry of a config, write into a folder."""
    metric["outfile_prefix"] = f"{folder}/results"


def check_categories(dataset: object) -> None:
    """Stop before results of a COCO data set that would lack a category.

    Raises:
        SystemExit: Its annotation file lacks a class.
    """
    classes = dataset.metainfo["classes"]
    if len(dataset.cat_ids) != len(classes):
        raise SystemExit(
            f"{dataset.ann_file} has {len(dataset.cat_ids)} of the {len(classes)} classes among "
            "its categories: their ids are needed to write results"
        )


def drop_boxes(path: Path) -> None:
    """Make COCO's form of mask results: pycocotools would measure areas by the boxes."""
    if path.is_file():
        results = [
            {k: v for k, v in r.items() if k != "bbox"} for r in json.loads(path.read_text())
        ]
        AtomicLocalBackend().put(json.dumps(results).encode(), path)


def find_category_ids(predictor: object) -> list | None:
    """The category id of each of a `Predictor`'s labels; None if nothing tells them.

    As the checkpoint keeps them, or by the annotation file of the config's test data.
    """
    ids = predictor.trained_meta.get("category_ids")
    if ids and len(ids) == len(predictor.classes):
        return list(ids)
    return read_category_ids(getattr(predictor.dataset, "ann_file", ""), predictor.classes)


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
    instances: object, classes: Sequence[str], category_ids: Sequence | None
) -> list[dict]:
    """Results, without their image, of what was found in one.

    Args:
        instances: mmdet's, on the CPU.
        classes: Name of each label.
        category_ids: Id of each label. None: they are not known; the label's number from 1 is
            written, and ``category_id_unknown`` beside it.
    """
    from convnextv2.detection.coco import encode_mask

    results = []
    for i, label in enumerate(instances.labels.tolist()):
        x1, y1, x2, y2 = instances.bboxes[i].tolist()
        entry = {
            "category_id": category_ids[label] if category_ids else label + 1,
            "category_name": classes[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": instances.scores[i].item(),
        }
        if not category_ids:
            entry["category_id_unknown"] = True
        if "masks" in instances:
            entry["segmentation"] = encode_mask(instances.masks[i].numpy())
        results.append(entry)
    return results


def raise_score_thr(model: object, score_thr: float) -> None:
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
