"""benchmark.py measures networks that compute the same, and writes down what it saw."""

import json
import re
import tarfile

import numpy as np
import pytest
import torch
from processes import REPO, run

from convnextv2.backbone import ConvNeXtV2
from convnextv2.tools.analysis_tools.benchmarks import backbone

CUSTOM = REPO / "configs/pretrain/fcmae_convnextv2_custom.py"


def test_the_plain_network_computes_what_ours_does():
    torch.manual_seed(0)
    ours = ConvNeXtV2("atto", output_norm=False).double().eval()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    plain = backbone.PlainConvNeXtV2("atto").double().eval()
    plain.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        for got, expected in zip(plain(images), ours(images), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_contestants_give_the_four_maps():
    images = torch.randn(1, 3, 64, 96)
    shapes = [(1, 40 * 2**i, 16 // 2**i, 24 // 2**i) for i in range(4)]
    for name in ("plain", "this project", "this project, V1 blocks", "transformers"):
        assert [m.shape for m in backbone.BUILDERS[name]("atto")(images)] == shapes, name


@pytest.mark.slow
def test_figures_of_a_small_run(tmp_path):
    size = ["--arch", "atto", "--batch", 2, "--shape", 160, 160, "--repeats", 1]
    args = [*size, "--only", "this", "--json", "figures.json"]
    status, output = run(tmp_path, "analysis_tools/benchmark.py", "backbone", *args)
    assert status == 0, output
    (content,) = json.loads((tmp_path / "figures.json").read_text())
    # In bfloat16 too, where the machine computes with it.
    figures = {f["name"]: f for f in content["figures"] if not f["name"].endswith(", bf16")}
    assert set(figures) == {"plain", "this project", "this project, V1 blocks"}
    assert all(value > 0 for f in figures.values() for key, value in f.items() if key != "name")
    # Memory does not depend on how busy the machine is.
    plain, ours = figures["plain"], figures["this project"]
    assert ours["train_peak_mb"] < plain["train_peak_mb"]


@pytest.mark.slow
def test_figures_of_a_loader_of_labelled_images(tmp_path):
    """Without ``collate_fn``, samples are not put together to a tensor: they may differ in size."""
    size = ["--generate", 8, "--images", 100, "--workers", 1, "--repeats", 1]
    config = tmp_path / "labelled.py"
    config.write_text(
        "pipeline = [dict(type='convnextv2.LoadImage'), dict(type='convnextv2.RandomResizedCrop'), "
        "dict(type='convnextv2.RandomFlips'), dict(type='convnextv2.PackFCMAEInputs')]\n"
        "dataset = dict(type='convnextv2.LabelledImages', data_root='none', pipeline=pipeline)\n"
        "train_dataloader = dict(batch_size=2, dataset=dataset)\n"
    )
    status, output = run(
        tmp_path, "analysis_tools/benchmark.py", "loader", config, *size, "--json", "figures.json"
    )
    assert status == 0, output
    content = json.loads((tmp_path / "figures.json").read_text())
    kilobytes = int(re.search(r"8 images of (\d+) kB", content["title"])[1])
    assert 105 < kilobytes < 125
    rates = content["images_per_s"]
    assert list(rates) == [
        "OpenCV alone",
        "decoding",
        "decoding to RandomResizedCrop",
        "decoding to RandomFlips",
        "decoding and transforms",
        "data set to batch, one process",
        "DataLoader, workers: 1",
    ]
    assert min(rates.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npy", ".tar"])
def test_a_loader_of_arrays_or_shards(tmp_path, suffix):
    (tmp_path / "images").mkdir()
    for i in range(3):
        np.save(tmp_path / f"images/{i}.npy", np.full((40, 40, 5), i, np.uint8))
    (tmp_path / "images/bad.npy").write_text("no array")
    options = ["data_root=images", "bands=5"]
    config = CUSTOM
    if suffix == ".tar":
        with tarfile.open(tmp_path / "images.tar", "w") as archive:
            archive.add(tmp_path / "images", "images")
        config = tmp_path / "shards.py"
        config.write_text(
            f"_base_ = {str(CUSTOM)!r}\n"
            "train = None\n"
            "train_dataloader = dict(dataset=dict(_delete_=True, shards='images.tar', "
            "type='convnextv2.UnlabelledShards', pipeline={{_base_.train_pipeline}}))"
        )
        options = options[1:]
    size = ["--images", 50, "--workers", 0, "--repeats", 1]
    status, output = run(
        tmp_path, "analysis_tools/benchmark.py", "loader", config, *size, "--cfg-options", *options
    )
    assert status == 0, output
    assert "1 images are left out" in output
    assert "bad.npy" in output
    assert "loader, 4 images of " in output
    assert "DataLoader, workers: 0" in output


def test_a_loader_without_images_is_told_what_to_do(tmp_path):
    status, output = run(tmp_path, "analysis_tools/benchmark.py", "loader", CUSTOM)
    assert status == 1
    assert "data/my_images does not exist" in output
    assert "--generate 400" in output


@pytest.mark.slow
def test_figures_of_pretraining(tmp_path):
    size = ["--arch", "atto", "--batch", 4, "--shape", 160, 160, "--repeats", 1]
    args = [*size, "--only", "packed", "--json", "figures.json"]
    status, output = run(tmp_path, "analysis_tools/benchmark.py", "fcmae", *args)
    assert status == 0, output
    assert "packed: predictions differ from dense's by" in output
    (content,) = json.loads((tmp_path / "figures.json").read_text())
    # In bfloat16 too, where the machine computes with it.
    figures = {f["name"]: f for f in content["figures"] if not f["name"].endswith(", bf16")}
    assert set(figures) == {"dense", "packed"}
    assert figures["packed"]["train_peak_mb"] < 0.75 * figures["dense"]["train_peak_mb"]
