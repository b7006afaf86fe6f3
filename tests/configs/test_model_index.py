"""What `mim search` reads names every recipe once, with the recipe's and the paper's numbers."""

import re

import pytest
import yaml
from config_files import LEAVES, REPO
from mmengine.config import Config

INDEX = yaml.safe_load((REPO / "model-index.yml").read_text())
FILES = [yaml.safe_load((REPO / name).read_text()) for name in INDEX["Import"]]
MODELS = [model for file in FILES for model in file["Models"]]
METRICS = {  # as the heads of the configs name them
    "box AP (paper)": "box AP",
    "mask AP (paper)": "mask AP",
    "mIoU multi-scale and flip (paper)": "mIoU",
    "Top 1 Accuracy after fine-tuning (paper)": "top-1",
    "Top 1 Accuracy (paper)": "top-1",
}


def test_every_recipe_is_named_once():
    recipes = [
        p.stem for p in LEAVES if not re.search("_(demo-|custom|dsb2018|flowers|ablation)", p.stem)
    ]
    assert sorted(model["Name"] for model in MODELS) == sorted(recipes)


def test_the_package_finds_the_same_index():
    # In a wheel, mim looks for it beside `convnextv2/__init__.py`.
    assert (REPO / "convnextv2/model-index.yml").resolve() == REPO / "model-index.yml"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["Name"])
def test_entry_is_true(model):
    path = REPO / model["Config"]
    assert path.is_file()
    assert path.stem == model["Name"]
    collections = {c["Name"] for file in FILES for c in file["Collections"]}
    assert model["In Collection"] in collections
    assert "Weights" not in model  # there are none of trained detectors and segmenters

    cfg, metadata = Config.fromfile(path), model["Metadata"]
    processes, batch = map(int, re.search(r"_(\d+)xb(\d+)-", path.stem).groups())
    assert metadata["Batch Size"] == processes * batch
    assert metadata.get("Epochs") == cfg.train_cfg.get("max_epochs")
    assert metadata.get("Iterations") == cfg.train_cfg.get("max_iters")

    head = "".join(path.read_text().partition("_base_")[0].splitlines())
    published = dict(re.findall(r"(box AP|mask AP|mIoU|top-1) (\d+\.\d)", head))
    if "800e" in path.stem:
        published = {}  # the paper's number is after 1600 epochs
    results = {}
    for result in model.get("Results", []):
        results |= {METRICS[name]: str(value) for name, value in result["Metrics"].items()}
    assert results == published
