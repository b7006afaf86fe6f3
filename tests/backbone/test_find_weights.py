"""The network is found below any prefix and in any dict; two of them are never guessed between."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convnextv2.backbone import ConvNeXtV2, load_pretrained
from convnextv2.backbone.checkpoint_keys import convert_keys
from convnextv2.backbone.find_weights import find_weights
from convnextv2.backbone.layouts import LAYOUTS

ARCH = {"depths": (1, 1, 2, 1), "channels": (8, 16, 32, 64)}
PREFIXES = ["module", "_orig_mod", "model", "net", "encoder", "student", "backbone", "x.y_0", "a"]
DICTS = ["state_dict", "model", "model_ema", "teacher", "weights"]


def network(layout="timm", classifier=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ours = {
        k: torch.randn(v.shape, generator=generator)
        for k, v in ConvNeXtV2(ARCH, output_norm=False).state_dict().items()
    }
    if classifier and layout != "minkowski":
        ours |= {"norm.weight": torch.ones(64), "norm.bias": torch.zeros(64)}
        ours |= {"head.weight": torch.ones(5, 64), "head.bias": torch.ones(5)}
    return convert_keys(ours, "convnextv2", layout).tensors


def below(prefix, tensors):
    return {f"{prefix}.{key}": tensor for key, tensor in tensors.items()}


NETWORKS = {layout: network(layout) for layout in LAYOUTS}


@given(
    layout=st.sampled_from(LAYOUTS),
    prefixes=st.lists(st.sampled_from(PREFIXES), max_size=4),
    dicts=st.lists(st.sampled_from(DICTS), max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_any_pile_of_prefixes_and_dicts_is_found(layout, prefixes, dicts):
    content = NETWORKS[layout]
    for prefix in reversed(prefixes):
        content = below(prefix, content)
    content = {**content, "other.weight": torch.zeros(1)}
    for key in reversed(dicts):
        content = {key: content, "epoch": 3, "optimizer": {"state": {0: {"m": torch.zeros(1)}}}}
    found = find_weights(content)
    assert found.layout == layout
    assert found.prefix.startswith(".".join(dicts + prefixes))
    other = found.tensors.pop("other.weight", None)
    assert found.others == (other is None)  # it is below an empty prefix
    assert found.tensors.keys() == NETWORKS[layout].keys()  # the classifier too
    assert all(torch.equal(found.tensors[k], v) for k, v in NETWORKS[layout].items())
    assert not found.missing


TWO = {
    "teacher and student": (
        below("teacher.backbone", network(seed=1)) | below("student.backbone", network(seed=2)),
        ("teacher.backbone", "student.backbone"),
    ),
    "state_dict_ema": (
        {"state_dict": network(seed=1), "state_dict_ema": network(seed=2)},
        ("state_dict", "state_dict_ema"),
    ),
    "model_ema": (
        {"model": network("official", seed=1), "model_ema": network("official", seed=2)},
        ("model", "model_ema"),
    ),
    "other layouts": (
        {"model": network(seed=1), "ema": below("module", network("transformers", seed=2))},
        ("model", "ema.module.convnextv2"),
    ),
    "one inside the other": (
        network(seed=1) | below("ema", network(seed=2)),
        ("", "ema"),
    ),
}


@pytest.mark.parametrize("kind", TWO)
def test_two_of_them_are_an_error_that_names_both_and_the_option(kind, tmp_path):
    content, (first, second) = TWO[kind]
    path = str(tmp_path / "two.pth")
    torch.save(content, path)
    with pytest.raises(ValueError, match="weights 2 times") as error:
        load_pretrained(ConvNeXtV2(ARCH), path)
    for text in (repr(first), repr(second), f"prefix={first!r}", f"--prefix {first or repr('')}"):
        assert text in str(error.value)
    networks = []
    for prefix in (first, second):
        net = ConvNeXtV2(ARCH, output_norm=False)
        line = load_pretrained(net, path, prefix=prefix)
        assert not prefix or f"below {prefix!r}" in line
        networks.append(net.downsample_layers[0][0].weight)
    expected = [network("convnextv2", seed=i)["downsample_layers.0.0.weight"] for i in (1, 2)]
    assert all(map(torch.equal, networks, expected))


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (None, "state_dict.backbone"),
        ("state_dict", "state_dict.backbone"),
        ("state_dict.backbone.", "state_dict.backbone"),
        ("ema_state_dict", "ema_state_dict.module.backbone"),
        ("module", "ema_state_dict.module.backbone"),
    ],
)
def test_of_emahooks_checkpoints_the_average_is_taken_and_it_says_so(prefix, expected, monkeypatch):
    lines = []
    module = sys.modules["convnextv2.backbone.find_weights"]
    monkeypatch.setattr(module, "print_log", lambda line, **_: lines.append(line))
    averaged, last = (below("backbone", network("convnextv2", seed=i)) for i in (1, 2))
    content = {"state_dict": averaged, "ema_state_dict": below("module", last)}
    content["ema_state_dict"]["steps"] = torch.tensor(3)
    found = find_weights(content, prefix, "run/epoch_1.pth")
    assert found.prefix == expected
    stem = (last if expected.startswith("ema") else averaged)[
        "backbone.downsample_layers.0.0.weight"
    ]
    assert torch.equal(found.tensors["downsample_layers.0.0.weight"], stem)
    said = ["run/epoch_1.pth: its moving average of the weights (EMA) is taken" in x for x in lines]
    assert said == ([True] if prefix is None else [])


def test_the_nearest_place_to_the_prefix_is_taken():
    """The very place before those below it, the beginning of a path before its middle."""
    own = network()
    assert find_weights({"a": own | below("b", own)}, "a").prefix == "a"
    content = {"ema": below("a.x", own), "a": below("x", own)}
    assert find_weights(content, "a").prefix == "a.x"


def test_a_prefix_without_weights_is_refused_with_those_that_have_some():
    with pytest.raises(ValueError, match=r"below the prefix 'stem', but below 'net'.*--prefix net"):
        find_weights(below("net", network()), "stem")
    content = {"a": below("backbone", network()), "b": below("backbone", network())}
    with pytest.raises(ValueError, match=r"'a\.backbone', 'b\.backbone'"):
        find_weights(content, "backbone")


def test_an_incomplete_one_never_stands_in_the_way_and_is_named():
    part = network()
    del part["stages.2.blocks.0.mlp.grn.bias"]
    assert find_weights({"a": part, "b": network()}).prefix == "b"
    alone = find_weights({"a": part})
    assert alone.prefix == "a"
    assert alone.missing == ["stages.2.0.grn.beta"]
    with pytest.raises(ValueError, match=r"'a' \(incomplete\), 'b' \(incomplete\)"):
        find_weights({"a": part, "b": part})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_parameter_of_the_network_is_needed(layout):
    whole = network(layout, classifier=False)
    for name in whole:
        assert len(find_weights({k: v for k, v in whole.items() if k != name}).missing) == 1, name


def test_files_without_the_network_are_named():
    with pytest.raises(ValueError, match=r"its keys begin: conv1\.weight"):
        find_weights({"conv1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="holds no tensors"):
        find_weights({"epoch": 3})
    endless = {}
    endless["again"] = endless
    with pytest.raises(ValueError, match="holds no tensors"):
        find_weights(endless)


@pytest.mark.parametrize("wrap", ["alone", "segmenter"])
def test_maps_of_transformers_backbones_are_the_same(wrap, tmp_path):
    """The four maps of a `ConvNextV2Backbone`, whose norms are our norm0 to norm3."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ConvNextV2Config(
        depths=list(ARCH["depths"]),
        hidden_sizes=list(ARCH["channels"]),
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    if wrap == "alone":
        model = backbone = transformers.ConvNextV2Backbone(config)
    else:
        model = transformers.UperNetForSemanticSegmentation(
            transformers.UperNetConfig(backbone_config=config, hidden_size=16, num_labels=2)
        )
        backbone = model.backbone
    model = model.double().eval()
    for parameter in backbone.parameters():
        if parameter.dim() == 1 or parameter.shape[0] == 1:  # GRN, norms, biases
            torch.nn.init.normal_(parameter, std=0.5)
    torch.save(model.state_dict(), tmp_path / "model.bin")
    ours = ConvNeXtV2(ARCH).double().eval()
    line = load_pretrained(ours, str(tmp_path / "model.bin"))
    assert "output norms: norm0, norm1, norm2, norm3 loaded" in line
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        maps, expected = ours(images), backbone(images).feature_maps
    assert len(maps) == len(expected) == 4
    for got, wanted in zip(maps, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)
    back = convert_keys(ours.state_dict(), "convnextv2", "transformers")
    assert not back.unknown
    names = {key.removeprefix("convnextv2.") for key in back.tensors}
    assert names == backbone.state_dict().keys()


def test_norms_of_mmpretrains_dense_networks_are_output_norms():
    """With norms behind other stages, norm3 is no classifier's."""
    dense = ConvNeXtV2(ARCH).state_dict()
    theirs = convert_keys(dense, "convnextv2", "mmpretrain").tensors
    assert "backbone.norm3.weight" in theirs
    found = find_weights({"state_dict": theirs | {"decode_head.conv_seg.weight": torch.ones(1)}})
    assert found.layout == "mmpretrain"
    assert convert_keys(found.tensors, "mmpretrain", "convnextv2").tensors.keys() == dense.keys()


def test_norms_that_one_side_lacks_are_said_and_no_reason_to_refuse(tmp_path):
    torch.save(below("backbone", ConvNeXtV2(ARCH).state_dict()), tmp_path / "detector.pth")
    line = load_pretrained(ConvNeXtV2(ARCH, out_indices=(1, 3)), str(tmp_path / "detector.pth"))
    assert "norm1, norm3 loaded, norm0, norm2 without a place left out" in line
    few = ConvNeXtV2(ARCH, out_indices=(3,)).state_dict()
    torch.save(few, tmp_path / "few.pth")
    line = load_pretrained(ConvNeXtV2(ARCH), str(tmp_path / "few.pth"))
    assert "norm3 loaded, norm0, norm1, norm2 not in the file" in line
