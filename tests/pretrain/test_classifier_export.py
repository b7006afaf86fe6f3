"""The graph of a classifier that is exported gives the classes that the classifier gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from convnextv2 import runtime
from convnextv2.pretrain.export_classifier import ExportableClassifier

pytest.importorskip("convnextv2.pretrain.supervised.classifier")

BASE = Path(__file__).resolve().parents[2] / "configs/_base_/models/classifier_convnextv2.py"
SHORTER = {"type": "convnextv2.ResizeShorter", "size": 64}
CROP = {"type": "convnextv2.CenterCrop", "size": 64}
WARP = {"type": "convnextv2.Warp", "size": 96}


class EagerGraph:
    """The network itself in the place of its file."""

    def __init__(self, exportable):
        self.network, self.about = exportable.network, exportable.about

    def __call__(self, images):
        with torch.no_grad():
            return {k: v.numpy() for k, v in self.network(torch.from_numpy(images)).items()}


@pytest.mark.parametrize("steps", [[SHORTER, CROP], [WARP]], ids=["crop", "warp"])
def test_the_graph_gives_the_classes_of_the_classifier(steps, tmp_path):
    cfg = Config.fromfile(BASE)
    cfg.model.backbone.arch = {"depths": [1, 1, 1, 1], "channels": [8, 16, 24, 32]}
    cfg.model.num_classes = 3
    load = {"type": "convnextv2.LoadImage", "dtype": "uint8"}
    (tmp_path / "data/a").mkdir(parents=True)
    dataset = {
        "type": "convnextv2.LabelledImages",
        "data_root": str(tmp_path / "data"),
        "pipeline": [load, *steps, {"type": "convnextv2.PackClassInputs"}],
    }
    cfg.merge_from_dict({"default_scope": "mmengine", "test_dataloader": {"dataset": dataset}})
    init_default_scope("mmengine")
    torch.manual_seed(0)
    state_dict = MODELS.build(cfg.model).state_dict()
    state_dict["head.weight"].mul_(1e4)
    for tensor in state_dict.values():
        if tensor.is_floating_point() and not tensor.any():
            tensor.normal_(std=0.1)  # GRN and biases are born as zeros
    meta = {"dataset_meta": {"classes": ["a", "b", "c"]}}
    torch.save({"state_dict": state_dict, "meta": meta}, tmp_path / "a.pth")
    exportable = ExportableClassifier(cfg, str(tmp_path / "a.pth"))
    predictor = runtime.Predictor(EagerGraph(exportable))
    assert (predictor.task, predictor.classes) == ("classification", ["a", "b", "c"])
    assert predictor.about["image"]["channel_order"] == "rgb"
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in [(80, 130), (80, 130), (99, 70)]
    ]
    for image, found in zip(images, predictor(images, batch_size=2), strict=True):
        expected = exportable.predict(image)
        # Releases of Pillow differ by 1 of 255, which this head makes much of.
        np.testing.assert_allclose(found.sample.pred_scores, expected.pred_scores, atol=2e-3)
        assert found.sample.pred_label == expected.pred_label.numpy()
        assert 0.4 < found.sample.pred_scores.max() < 1
        (difference,) = exportable.compare(expected, found.sample)
        assert difference.found < 2e-3
