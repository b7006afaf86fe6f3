"""Every config resolves and builds, and the house rules are kept."""

import ast
import re
from collections import Counter

import pytest
import torch
from config_files import BASES, LEAVES, REPO, build, leaf_id, read
from mmengine.config import Config
from mmengine.registry import DATASETS

each_leaf = pytest.mark.parametrize("path", LEAVES, ids=leaf_id)


# --- house rules ------------------------------------------------------------------------------


def test_base_names_are_unique():
    # mim looks a config up by its base name, below the whole repository.
    folders = ["configs", "tests", "tools", "backbone", "pretrain", "detection", "segmentation"]
    counts = Counter(path.name for folder in folders for path in (REPO / folder).rglob("*.py"))
    configs = [path.name for path in LEAVES + BASES]
    assert [name for name in configs if counts[name] > 1] == []


@each_leaf
def test_leaf_is_short_and_its_head_gives_the_command(path):
    lines = path.read_text().splitlines()
    # A template has a line for each of its settings.
    assert len(lines) <= (36 if path.stem.endswith("_custom") else 30)
    name = path.relative_to(REPO).as_posix()
    command = re.fullmatch(rf"# (?:python|bash) (tools/\S+) {re.escape(name)}( \d+)?", lines[0])
    assert command, lines[0]
    assert (REPO / command[1]).is_file()


# Of the templates and of our own experiments the README speaks in its text, of ablations there is a
# table of their own.
TABLED = [path for path in LEAVES if not re.search("_(custom|dsb2018|flowers|ablation)", path.stem)]


@pytest.mark.parametrize("path", TABLED, ids=leaf_id)
def test_leaf_is_in_the_readmes_table(path):
    name = path.relative_to(REPO).as_posix()
    rows = [line for line in (REPO / "README.md").read_text().splitlines() if f"({name})" in line]
    assert len(rows) == 1
    assert rows[0].startswith("| ")
    # The published numbers of the leaf's head, which a reader can follow to the paper's table.
    head = "".join(path.read_text().partition("_base_")[0].splitlines())
    for number in re.findall(r"(?:box AP|mask AP|mIoU|top-1) \d+\.\d", head):
        assert number in rows[0]


def depth(path):
    """How many levels of ``_base_`` a config has; one of another package counts as one."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_base_":
            bases = ast.literal_eval(node.value)
            bases = [bases] if isinstance(bases, str) else bases
            return 1 + max(0 if "::" in base else depth(path.parent / base) for base in bases)
    return 0


@each_leaf
def test_inheritance_is_shallow(path):
    assert depth(path) <= 2


# --- every config resolves and builds ---------------------------------------------------------


@pytest.mark.parametrize("path", BASES, ids=leaf_id)
def test_base_resolves(path):
    assert Config.fromfile(path)


def each_stage(*parts):
    """The parts of each of a cascade's stages; those of the only stage where it is none."""
    return zip(*(p if isinstance(p, torch.nn.ModuleList) else [p] for p in parts), strict=True)


@each_leaf
def test_model_builds_and_its_heads_fit_the_backbone(path):
    cfg = read(path)
    images = torch.zeros(2, 3, 64, 96, device="meta")
    if cfg.model.type == "convnextv2.FCMAE":
        cfg.model.encoder = "masked_image"  # others look at the mask, which has no values here
        model = build(cfg)
        mask = torch.zeros(2, 2, 3, dtype=torch.bool, device="meta")
        assert model(images, mask).shape == (2, 2 * 3, 32 * 32 * 3)
        return

    model = build(cfg).eval()
    if cfg.model.type == "convnextv2.Classifier":
        assert model(images, mode="tensor").shape == (2, cfg.model.num_classes)
        return
    dataset = cfg.train_dataloader.dataset
    known = DATASETS.get(f"{cfg.default_scope}.{dataset.type}").METAINFO
    classes = len({**known, **dataset.get("metainfo", {})}["classes"])
    if cfg.default_scope == "mmseg":
        assert model(images).shape == (2, classes, 16, 24)
        assert model.auxiliary_head(model.extract_feat(images)).shape == (2, classes, 4, 6)
        return
    maps = model.extract_feat(images)
    width = maps[0].shape[1]
    strides = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    if cfg.model.type == "DINO":
        assert [tuple(m.shape[1:]) for m in maps] == [(256, *size) for size in strides[1:]]
        assert {branch.out_features for branch in model.bbox_head.cls_branches} == {classes}
        return
    if cfg.model.type == "Mask2Former":
        convs = model.panoptic_head.pixel_decoder.input_convs  # of strides 32, 16 and 8
        assert [conv.in_channels for conv in convs] == [m.shape[1] for m in maps[:0:-1]]
        assert model.panoptic_head.pixel_decoder.lateral_convs[0].in_channels == width
        assert model.panoptic_head.cls_embed.out_features == classes + 1
        return
    scores, deltas = model.rpn_head(maps)
    assert [tuple(score.shape[2:]) for score in scores] == strides
    assert all(d.shape[1] == 4 * s.shape[1] for s, d in zip(scores, deltas, strict=True))
    head = model.roi_head
    cascade = cfg.model.type == "CascadeRCNN"
    for extractor, box_head in each_stage(head.bbox_roi_extractor, head.bbox_head):
        assert extractor.out_channels == width
        scores, deltas = box_head(torch.zeros(5, width, 7, 7, device="meta"))
        assert scores.shape == (5, classes + 1)
        assert deltas.shape == (5, 4 * (1 if cascade else classes))
    if head.with_mask:
        for extractor, mask_head in each_stage(head.mask_roi_extractor, head.mask_head):
            assert extractor.out_channels == width
            masks = mask_head(torch.zeros(5, width, 14, 14, device="meta"))
            assert masks.shape == (5, classes, 28, 28)
