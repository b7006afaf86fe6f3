"""Each ablation changes one thing of its base, and its head has the paper's number."""

import re

import pytest
from config_files import CONFIGS, REPO
from mmengine.config import Config

FOLDER = CONFIGS / "pretrain/ablations"
V1 = "fcmae_convnextv1-base_ablation-{}_in1k"
V2 = "fcmae_convnextv2-base_ablation-{}_in1k"
RECIPE = CONFIGS / "pretrain/fcmae_convnextv2-base_32xb128-800e_in1k.py"
V1_BLOCK = {
    "response_norm.type": "convnextv2.NoResponseNorm",
    "layer_scale.type": "convnextv2.LayerScale",
}


def everywhere(block):
    """Settings of a block, in the encoder and in the decoder."""
    changes = {f"{part}.{key}": v for part in ("backbone", "decoder") for key, v in block.items()}
    return changes | {"decoder.type": "convnextv2.FCMAEDecoder"}


def norm(name, **options):
    options = {"type": f"convnextv2.{name}", **options}
    return everywhere({f"response_norm.{key}": value for key, value in options.items()})


# What differs in `model`, from V1's baseline or from the recipe, and the paper's top-1.
OF_V1 = {
    "not-sparse": ({"encoder": "masked_image"}, "79.3"),
    "unet": ({"decoder.type": "convnextv2.UNetDecoder"}, "83.5 to 83.7"),
    "unet-no-skip": (
        {"decoder.type": "convnextv2.UNetDecoder", "decoder.in_stages": (3,)},
        "83.5 to 83.7",
    ),
    "transformer": (
        {"decoder.type": "convnextv2.TransformerDecoder"}
        | dict.fromkeys(f"decoder.{key}" for key in V1_BLOCK),
        "83.4",
    ),
    "depth2": ({"decoder_depth": 2}, "83.5"),
    "depth4": ({"decoder_depth": 4}, "83.7"),
    "depth8": ({"decoder_depth": 8}, "83.6"),
    "depth12": ({"decoder_depth": 12}, "83.3"),
    "width128": ({"decoder_dim": 128}, "83.5"),
    "width256": ({"decoder_dim": 256}, "83.7"),
    "width768": ({"decoder_dim": 768}, "83.6"),
    "width1024": ({"decoder_dim": 1024}, "83.5"),
    "mask50": ({"mask_ratio": 0.5}, None),
    "mask70": ({"mask_ratio": 0.7}, None),
}
OF_V2 = {
    "grn-average": (norm("GRNVariant", aggregation="average"), "83.7"),
    "grn-l1": (norm("GRNVariant", aggregation="l1"), "84.3"),
    "grn-standardizing": (norm("GRNVariant", normalization="standardizing"), None),
    "grn-not-normalized": (norm("GRNVariant", normalization="none"), None),
    "grn-no-residual": (norm("GRNVariant", residual=False), None),
    "lrn": (norm("LRNResponse"), None),
    "bn": (norm("BNResponse"), None),
    "ln": (norm("LNResponse"), None),
    "se": (norm("SEResponse"), None),
    "cbam": (norm("CBAMResponse"), None),
    "batch-grn": ({"backbone.response_norm.type": "convnextv2.BatchGRN"}, None),
}
BASELINE = V1.format("baseline")
ABLATIONS = {
    BASELINE: (RECIPE, everywhere(V1_BLOCK), "83.7"),
    **{V1.format(k): (FOLDER / f"{BASELINE}.py", *v) for k, v in OF_V1.items()},
    **{V2.format(k): (RECIPE, *v) for k, v in OF_V2.items()},
}


def flatten(entry, where=""):
    if not isinstance(entry, dict):
        return {where: entry}
    parts = [flatten(v, f"{where}.{key}".lstrip(".")) for key, v in entry.items()]
    return {key: value for part in parts for key, value in part.items()}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_one_thing(name):
    base, expected, _ = ABLATIONS[name]
    cfg, other = Config.fromfile(FOLDER / f"{name}.py"), Config.fromfile(base)
    got, before = flatten(cfg.model.to_dict()), flatten(other.model.to_dict())
    assert {k: got.get(k) for k in got | before if got.get(k) != before.get(k)} == expected
    for part in ("train_dataloader", "optim_wrapper", "param_scheduler", "train_cfg"):
        assert cfg[part] == other[part]


@pytest.mark.parametrize("name", ABLATIONS)
def test_the_head_and_the_table_have_the_papers_number(name):
    number = ABLATIONS[name][2]
    head = (FOLDER / f"{name}.py").read_text().partition("_base_")[0]
    link = f"(../configs/pretrain/ablations/{name}.py)"
    (row,) = [
        line for line in (REPO / "docs/ablations.md").read_text().splitlines() if link in line
    ]
    for text in (head, row):
        assert re.findall(r"\d\d\.\d(?: to \d\d\.\d)?", text) == ([number] if number else [])


def test_every_ablation_is_held():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(ABLATIONS)
