"""probe.py, embed.py and analyze_features.py write what they say, of images of many bands too."""

import csv
import json
import sys

import cv2
import numpy as np
import pytest
import tifffile
import torch

from convnextv2.backbone import ConvNeXtV2
from convnextv2.data_parts import spread
from convnextv2.pretrain import analysis, analysis_plots
from convnextv2.pretrain.frozen import from_config, pool_files
from convnextv2.tools.analysis_tools import analyze_features, embed, probe

SMALL = {"depths": [1, 2, 1, 1], "channels": [4, 6, 8, 12]}
CONFIG = """
model = dict(
    type='convnextv2.FCMAE',
    backbone=dict(type='convnextv2.ConvNeXtV2', arch={arch}, in_channels={bands}),
    data_preprocessor=dict(
        type='convnextv2.FCMAEDataPreprocessor', mean=[100.0] * {bands}, std=[60.0] * {bands}
    ),
)
default_scope = 'mmengine'
"""


@pytest.fixture(params=[3, 5], ids=["colours", "five-bands"])
def folder(request, tmp_path, monkeypatch):
    """Images of two classes, two checkpoints of a network, its config."""
    monkeypatch.chdir(tmp_path)
    bands = request.param
    rng = np.random.default_rng(0)
    for name, shade in {"dark": 0, "light": 150}.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(6):
            image = rng.integers(0, 100, (64, 80, bands), dtype=np.uint8) + np.uint8(shade)
            if bands == 3:
                cv2.imwrite(f"images/{name}/{i}.png", image)
            else:
                planes = np.ascontiguousarray(image.transpose(2, 0, 1))
                tifffile.imwrite(f"images/{name}/{i}.tif", planes, photometric="minisblack")
    (tmp_path / "config.py").write_text(CONFIG.format(arch=SMALL, bands=bands))
    for i in range(2):
        torch.manual_seed(i)
        backbone = ConvNeXtV2(SMALL, bands, output_norm=False)
        torch.save(backbone.state_dict(), f"iter_{i}.pth")
    return tmp_path


def call(monkeypatch, command, *args):
    monkeypatch.setattr(sys, "argv", [command.__name__, *map(str, args)])
    command.main()


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_probe(folder, monkeypatch, capsys):
    options = ["--data", "images", "--folds", 3, "--size", 64, "--out", "out"]
    call(monkeypatch, probe, "config.py", "iter_0.pth", "iter_1.pth", *options)
    content = json.loads((folder / "out/probe.json").read_text())
    assert content["images"] == 12
    assert content["largest_class"] == 0.5
    assert list(content["checkpoints"]) == ["iter_0", "iter_1"]
    for stages in content["checkpoints"].values():
        assert len(stages) == 4
        assert stages[0]["linear"] == {"mean": 1, "std": 0}  # dark and light, a child tells
    assert "iter_1, stage 4: k-NN " in capsys.readouterr().out
    assert cv2.imread("out/probe.png") is not None

    call(monkeypatch, probe, "config.py", "iter_0.pth", *options, "--val", "images", "--untrained")
    content = json.loads((folder / "out/probe.json").read_text())
    assert content["val"] == "images"
    assert list(content["checkpoints"]) == ["untrained", "iter_0"]


def test_the_largest_class_of_probe_is_that_of_the_tested_images(folder, monkeypatch):
    options = ["--data", "images", "--folds", 2, "--size", 64, "--out", "out"]
    for path in sorted(folder.glob("images/dark/*"))[:3]:
        (folder / "val" / "light").mkdir(parents=True, exist_ok=True)
        path.rename(folder / "val" / "light" / path.name)
    call(monkeypatch, probe, "config.py", "iter_0.pth", *options)
    content = json.loads((folder / "out/probe.json").read_text())
    assert content["largest_class"] == pytest.approx(6 / 9)
    call(monkeypatch, probe, "config.py", "iter_0.pth", *options, "--val", "val")
    content = json.loads((folder / "out/probe.json").read_text())
    assert content["images"] == 9
    assert content["largest_class"] == 1


def test_probe_refuses_too_many_folds_before_it_looks_at_images(folder, monkeypatch):
    monkeypatch.setattr(probe, "read_features", None)
    with pytest.raises(ValueError, match="folds must be 2 to 6, the images of the smallest class"):
        call(monkeypatch, probe, "config.py", "iter_0.pth", "--data", "images", "--folds", 7)


def test_checkpoints_have_different_names():
    def names(*paths):
        return list(probe.name_checkpoints(list(paths)).values())

    assert names("a/x.pth", "a/y.pth") == ["x", "y"]
    assert names("a/x.pth", "b/x.pth") == ["a/x", "b/x"]
    assert names("a/x.pth", "b/x.pth", "b/y.pth") == ["a/x", "b/x", "b/y"]
    assert names("a/x.pth", "a/x.pt") == ["x.pth", "x.pt"]
    assert names("http://h/a/x.pth", "http://h/b/x.pth") == ["a/x", "b/x"]
    assert names("runs/untrained.pth") == ["untrained.pth"]  # which random weights are called
    with pytest.raises(ValueError, match="given twice"):
        names("a/x.pth", "./a/x.pth")


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_embed(folder, monkeypatch, suffix):
    if suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
    out = f"out/a{suffix}"
    options = ["--stage", 2, "--size", 64, "--out", out]
    call(monkeypatch, embed, "config.py", "iter_0.pth", "images", *options)
    from convnextv2.engine.config import read_config

    network = from_config(read_config("config.py"), "iter_0.pth", 64)
    paths = sorted(str(path) for path in (folder / "images").glob("*/*"))
    expected = pool_files(network, paths)[1][1].numpy()
    if suffix == ".npz":
        content = np.load(out)
        found, given, kinds = content["features"], content["paths"], content["folders"]
    else:
        rows = read(out) if suffix == ".csv" else parquet.read_table(out).to_pylist()
        found = np.array([[float(row[f"f{i}"]) for i in range(6)] for row in rows])
        given, kinds = ([row[key] for row in rows] for key in ("path", "folder"))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [str(folder / path) for path in given] == paths
    assert list(kinds) == ["images/dark"] * 6 + ["images/light"] * 6
    assert cv2.imread("out/a.png") is not None


def test_embed_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    options = ["--out", "a.parquet"]
    with pytest.raises(ValueError, match=r"pip install 'convnextv2-dense\[parquet\]'"):
        call(monkeypatch, embed, "config.py", "iter_0.pth", "images", *options)


def test_analyze_features(folder, monkeypatch):
    assert analyze_features.POINTS == analysis.POINTS
    options = ["--configs", "config.py", "--labelled", "--point", "block", "--out", "out"]
    options += ["--size", 64, "--max-images", 8, "--batch-size", 3, "--maps", 1]
    call(monkeypatch, analyze_features, "images", "iter_0.pth", "iter_1.pth", *options)
    rows = read("out/layers.csv")
    assert [row["network"] for row in rows] == ["iter_0"] * 5 + ["iter_1"] * 5
    from convnextv2.engine.config import read_config

    network = from_config(read_config("config.py"), "iter_1.pth", 64)
    paths = sorted(str(path) for path in (folder / "images").glob("*/*"))
    places = np.array(spread(12, 8))
    labels = torch.tensor(places // 6)
    ((_, images),) = network.batches([paths[i] for i in places])
    report = analysis.analyse(network.backbone, [(images, labels)])
    for row, layer in zip(rows[5:], report.layers, strict=True):
        assert float(row["distance"]) == pytest.approx(layer.distance.mean, rel=1e-5)
        assert float(row["selectivity"]) == pytest.approx(np.mean(layer.selectivity), rel=1e-4)
    assert len(read("out/stages.csv")) == 8
    content = json.loads((folder / "out/features.json").read_text())
    assert len(content["iter_0"]["stages"][3]["singular_values"]) == 12
    pictures = {path.name for path in (folder / "out").glob("*.png")}
    assert pictures == {
        "distance.png", "idle.png", "spectrum.png", "selectivity.png",
        "maps_iter_0.png", "maps_iter_1.png",
    }  # fmt: skip


def test_random_weights_are_analysed_too(folder, monkeypatch):
    torch.manual_seed(7)
    bands = next(iter(torch.load("iter_0.pth").values())).shape[1]
    torch.save(ConvNeXtV2(SMALL, bands, output_norm=False).state_dict(), "same.pth")
    options = ["--configs", "config.py", "--untrained", "--seed", 7, "--out", "out"]
    options += ["--size", 64, "--max-images", 3, "--maps", 0]
    call(monkeypatch, analyze_features, "images", "iter_0.pth", "same.pth", *options)
    untrained, other, same = (
        [row["distance"] for row in read("out/layers.csv") if row["network"] == name]
        for name in ("untrained", "iter_0", "same")
    )
    assert len(untrained) == 5
    assert untrained == same != other


def test_wrong_command_lines_are_sentences(folder, monkeypatch):
    networks = ["images", "iter_0.pth", "iter_1.pth"]
    for options, message in {
        ("--names", "a"): "2 checkpoints need as many --names",
        ("--names", "a", "a"): "give different --names",
        ("--names", "a/b", "c"): "without a slash",
        ("--configs", "a", "b", "c"): "one for each of 2 checkpoints",
        ("--untrained",): "give --configs",
        ("--untrained", "--configs", "a", "--names", "a", "untrained"): "give different --names",
    }.items():
        with pytest.raises(ValueError, match=message):
            call(monkeypatch, analyze_features, *networks, *options)
    (folder / "one").mkdir()
    (folder / "images/dark").rename(folder / "one/dark")
    with pytest.raises(ValueError, match="one class"):
        call(monkeypatch, probe, "config.py", "iter_0.pth", "--data", "one")


def test_a_map_is_dark_where_a_channel_is_dead_and_bright_where_it_is_saturated():
    maps = torch.rand(9, 16, generator=torch.Generator().manual_seed(0)) * 4
    maps[2], maps[4] = 0, 4
    picture = analysis_plots.draw_maps(maps, (4, 4), count=9)
    side = (picture.shape[0] + 1) // 3
    dead, full = picture[: side - 1, 2 * side :], picture[side : 2 * side - 1, side : 2 * side - 1]
    assert (dead == dead[0, 0]).all()
    assert (full == full[0, 0]).all()
    assert full.sum() > 1.5 * dead.sum()
