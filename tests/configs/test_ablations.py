"""Each ablation changes one thing of its base, and its head has the paper's number."""

import re

import pytest
import torch
from config_files import CONFIGS, REPO
from mmengine.config import Config
from mmengine.registry import MODELS

FOLDER = CONFIGS / "pretrain/ablations"
FINE_TUNING = CONFIGS / "classification"
V1 = "fcmae_convnextv1-base_ablation-{}_in1k"
V2 = "fcmae_convnextv2-base_ablation-{}_in1k"
CLASSIFIER = "classifier_convnextv2-base_ablation-{}_in1k"
RECIPE = CONFIGS / "pretrain/fcmae_convnextv2-base_32xb128-800e_in1k.py"
FINE_TUNED = FINE_TUNING / "classifier_convnextv2-base_8xb128-100e-fcmae_in1k.py"
FLOWERS = CONFIGS / "pretrain/fcmae_convnextv2-micro_flowers-600.py"
NUCLEI = CONFIGS / "pretrain/fcmae_convnextv2-micro_dsb2018-300.py"
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
# What is fine-tuned, the file it starts from, and the paper's top-1.
OF_FINE_TUNING = {
    "grn-dropped": ({"response_norm.type": "convnextv2.NoResponseNorm"}, RECIPE.stem, "78.8"),
    "grn-added": ({"layer_scale.type": "convnextv2.LayerScale"}, BASELINE, "80.6"),
}
ABLATIONS = {
    BASELINE: (RECIPE, everywhere(V1_BLOCK), "83.7"),
    **{V1.format(k): (FOLDER / f"{BASELINE}.py", *v) for k, v in OF_V1.items()},
    **{V2.format(k): (RECIPE, *v) for k, v in OF_V2.items()},
}
for key, (block, start, top1) in OF_FINE_TUNING.items():
    changes = {f"backbone.{name}": value for name, value in block.items()}
    changes["backbone.init_cfg.checkpoint"] = f"work_dirs/{start}/epoch_800.pth"
    ABLATIONS[CLASSIFIER.format(key)] = (
        FINE_TUNED,
        {**changes, "backbone.init_cfg.strict": False},
        top1,
    )
# Those that were run here, at a small size.
WITHOUT_GRN = norm("NoResponseNorm")
RUN_HERE = {
    "fcmae_convnextv1-micro_flowers-600": (FLOWERS, everywhere(V1_BLOCK)),
    "fcmae_convnextv2-micro_no-grn_flowers-600": (FLOWERS, WITHOUT_GRN),
    "fcmae_convnextv2-micro_grn-no-residual_flowers-600": (FLOWERS, OF_V2["grn-no-residual"][0]),
    "fcmae_convnextv2-micro_batch-grn_flowers-600": (FLOWERS, OF_V2["batch-grn"][0]),
    "fcmae_convnextv1-micro_dsb2018-300": (NUCLEI, everywhere(V1_BLOCK)),
    "fcmae_convnextv2-micro_no-grn_dsb2018-300": (NUCLEI, WITHOUT_GRN),
}
VARIANTS = ABLATIONS | {name: (*ablation, None) for name, ablation in RUN_HERE.items()}


def find(name):
    return (FINE_TUNING if name.startswith("classifier") else FOLDER) / f"{name}.py"


def flatten(entry, where=""):
    if not isinstance(entry, dict):
        return {where: entry}
    parts = [flatten(v, f"{where}.{key}".lstrip(".")) for key, v in entry.items()]
    return {key: value for part in parts for key, value in part.items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_an_ablation_changes_one_thing(name):
    base, expected, _ = VARIANTS[name]
    cfg, other = Config.fromfile(find(name)), Config.fromfile(base)
    got, before = flatten(cfg.model.to_dict()), flatten(other.model.to_dict())
    assert {k: got.get(k) for k in got | before if got.get(k) != before.get(k)} == expected
    for part in ("train_dataloader", "optim_wrapper", "param_scheduler", "train_cfg"):
        assert cfg[part] == other[part]


@pytest.mark.parametrize("name", ABLATIONS)
def test_the_head_and_the_table_have_the_papers_number(name):
    number = ABLATIONS[name][2]
    head = find(name).read_text().partition("_base_")[0]
    link = f"(../{find(name).relative_to(REPO)})"
    (row,) = [
        line for line in (REPO / "docs/ablations.md").read_text().splitlines() if link in line
    ]
    for text in (head, row):
        assert re.findall(r"\d\d\.\d(?: to \d\d\.\d)?", text) == ([number] if number else [])


def test_every_ablation_is_held():
    found = {*FOLDER.glob("*.py"), *FINE_TUNING.glob("*_ablation-*.py")}
    assert found == {find(name) for name in VARIANTS}


# --- other blocks in fine-tuning than in pre-training ---------------------------------------------

SMALL = {"depths": (1, 2, 1, 1), "channels": (4, 8, 16, 32)}


def build_small(path, checkpoint=None):
    cfg = Config.fromfile(path).model
    cfg.backbone.arch = SMALL
    if checkpoint is not None:
        cfg.backbone.init_cfg.checkpoint = str(checkpoint)
    model = MODELS.build(cfg)
    model.init_weights()
    return model.eval()


@pytest.mark.parametrize("name", OF_FINE_TUNING)
@torch.no_grad()
def test_fine_tuning_begins_with_what_was_learned_without_grn(name, tmp_path):
    """What exists is loaded, what does not begins as the identity, and what has no place is GRN."""
    torch.manual_seed(0)
    start = OF_FINE_TUNING[name][1]
    before = build_small(RECIPE if name == "grn-dropped" else FOLDER / f"{start}.py")
    for parameter in before.parameters():
        torch.nn.init.normal_(parameter)
    torch.save({"state_dict": before.state_dict()}, tmp_path / "epoch_800.pth")
    after = build_small(find(CLASSIFIER.format(name)), tmp_path / "epoch_800.pth").backbone

    theirs, ours = before.backbone.state_dict(), after.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours.keys() & theirs.keys())
    others = ours.keys() ^ theirs.keys()
    grn = {f"stages.{i}.{j}.grn" for i, depth in enumerate(SMALL["depths"]) for j in range(depth)}
    assert others == {f"{key}.{part}" for key in grn for part in ("gamma", "beta")}
    assert others <= (theirs if name == "grn-dropped" else ours).keys()

    for key in others & theirs.keys():  # GRN that was learned is taken for the identity
        before.backbone.get_parameter(key).zero_()
    images = torch.randn(2, 3, 64, 96)
    torch.testing.assert_close(after(images)[0], before.backbone(images)[-1])
