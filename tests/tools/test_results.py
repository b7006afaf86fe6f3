"""infer.py and test.py write what the data set's own files would have."""

import sys

import pytest
import torch
from mmengine.config import Config
from processes import REPO, config, run_shell

from convnextv2.detection.results import (
    find_category_ids,
    raise_score_thr,
    read_category_ids,
    to_results,
)
from convnextv2.engine.checkpoints import AtomicCheckpointHook
from convnextv2.engine.tasks import find_task
from convnextv2.predictor import Predictor
from convnextv2.tools import test as command


def test_nested_data_sets_are_formatted_without_labels():
    cfg = Config.fromfile(config("upernet"))
    inner = cfg.test_dataloader.dataset
    labels = [s for s in inner.pipeline if s["type"] == "convnextv2.LoadLabelMask"]
    labels[0]["type"] = "convnextv2.segmentation.loading.LoadLabelMask"
    number = len(inner.pipeline)
    wrapped = {"type": "ConcatDataset", "datasets": [inner, dict(inner)]}
    cfg.test_dataloader.dataset = {"type": "RepeatDataset", "times": 1, "dataset": wrapped}
    cfg.test_evaluator = {"metrics": [{"type": "mmseg.IoUMetric"}]}
    command.leave_ground_truth(cfg, find_task(cfg))
    assert cfg.test_evaluator == []
    for entry in cfg.test_dataloader.dataset.dataset.datasets:
        assert len(entry.pipeline) == number - 1
        assert "seg_map_path" not in entry.data_prefix
    command.use_tta(cfg, None)
    pipelines = [d.pipeline for d in cfg.test_dataloader.dataset.dataset.datasets]
    assert pipelines == [cfg.tta_pipeline] * 2


def test_the_hook_keeps_category_ids_as_plain_data():
    class Dataset:
        cat_ids = (7, 3)

    runner = type("Runner", (), {})()
    runner.train_dataloader = type("Loader", (), {})()
    runner.train_dataloader.dataset = type("Wrapper", (), {"dataset": Dataset()})()
    checkpoint = {"meta": {"dataset_meta": {"classes": ("box", "disc")}}}
    AtomicCheckpointHook(interval=1).before_save_checkpoint(runner, checkpoint)
    meta = checkpoint["meta"]["dataset_meta"]
    assert meta == {"classes": ("box", "disc"), "category_ids": [7, 3]}


def test_category_ids_come_from_the_checkpoint_then_from_the_annotations(untrained, tmp_path):
    cfg = Config.fromfile(config("mask-rcnn"))
    meta = {"classes": ("box", "disc"), "category_ids": [7, 3]}
    known = Predictor(cfg, untrained("mask-rcnn", **meta), "cpu")
    assert find_category_ids(known) == [7, 3]
    unknown = Predictor(cfg, untrained("mask-rcnn"), "cpu")
    assert find_category_ids(unknown) is None
    path = tmp_path / "a.json"
    path.write_text('{"categories": [{"id": 9, "name": "box"}, {"id": 4, "name": "disc"}]}')
    assert read_category_ids(path, ["box", "disc"]) == [9, 4]
    assert read_category_ids(path, ["disc", "box"]) is None
    assert read_category_ids(path, ["box", "ring"]) is None

    image = torch.randint(0, 255, (64, 80, 3), dtype=torch.uint8).numpy()
    found = next(iter(known(image))).sample.pred_instances[:5]
    for ids in ([7, 3], None):
        for entry, label in zip(to_results(found, known.classes, ids), found.labels, strict=True):
            assert entry["category_id"] == (ids[label] if ids else label + 1)
            assert entry.get("category_id_unknown", False) == (ids is None)


def test_low_scores_are_left_out_before_masks_are_made(untrained):
    predictor = Predictor(config("mask-rcnn"), untrained("mask-rcnn"), "cpu")
    image = torch.randint(0, 255, (64, 80, 3), dtype=torch.uint8).numpy()
    everything = next(iter(predictor(image))).sample.pred_instances
    score_thr = everything.scores.median().item()
    raise_score_thr(predictor.model, score_thr)
    found = next(iter(predictor(image))).sample.pred_instances
    expected = everything[everything.scores >= score_thr - 1e-6]
    assert 0 < len(found) == len(expected) < len(everything)
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.masks, expected.masks)
    raise_score_thr(predictor.model, 0)  # what the config leaves out stays out
    assert len(next(iter(predictor(image))).sample.pred_instances) == len(found)


@pytest.mark.slow
def test_masks_are_checked_without_pycocotools_and_mmdet(cwd):
    command = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(['pycocotools', 'mmdet'])); "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    path = REPO / "tools/dataset_converters/check_data.py"
    code = f"import sys; sys.argv[0] = {str(path)!r}; {command}"
    args = [config("upernet"), "--out", "checked"]
    status, output = run_shell(cwd, sys.executable, "-c", code, *args)
    assert status == 0, output
    assert "0 fatal" in output
