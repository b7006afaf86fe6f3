"""A frozen network sees images as its config has them, and its weights come from any file."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from convnextv2.backbone import ConvNeXtV2
from convnextv2.backbone.checkpoint_keys import convert_keys
from convnextv2.backbone.write_weights import write_weights
from convnextv2.engine.errors import InputError
from convnextv2.pretrain.frozen import from_config, from_weights, list_unreadable, pool_files

SMALL = {"depths": [1, 2, 1, 1], "channels": [4, 6, 8, 12]}


def make_backbone(in_channels=3, **options):
    torch.manual_seed(0)
    backbone = ConvNeXtV2(SMALL, in_channels, output_norm=False, **options).eval()
    for name, parameter in backbone.named_parameters():
        if "grn" in name:
            torch.nn.init.normal_(parameter)
    return backbone


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i, size in enumerate([(64, 64), (64, 90), (150, 64)]):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), image)
    (tmp_path / "images/broken.png").write_bytes(b"no image")
    return tmp_path


@torch.no_grad()
def expected(backbone, folder, mean, std):
    images = []
    for i in range(3):
        image = cv2.imread(str(folder / f"images/{i}.png"))[..., ::-1]
        top, left = (image.shape[0] - 64) // 2, (image.shape[1] - 64) // 2
        images.append(image[top : top + 64, left : left + 64])
    x = (torch.tensor(np.stack(images)).float() - torch.tensor(mean)) / torch.tensor(std)
    backbone.eval()
    return [stage.mean((2, 3)) for stage in backbone(x.permute(0, 3, 1, 2))]


class Scale(torch.nn.Module):
    """V1's, which no other library's V2 has a place for."""

    def __init__(self, dim):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.linspace(0, 1, dim))

    def forward(self, x):
        return self.scale * x


@pytest.mark.parametrize("layer_scale", [torch.nn.Identity, Scale])
def test_images_are_normalised_as_the_config_says(folder, layer_scale):
    backbone = make_backbone(layer_scale=layer_scale)
    tensors = {f"backbone.{k}": v for k, v in backbone.state_dict().items()}
    torch.save({"state_dict": tensors}, folder / "a.pth")
    mean, std = [1.0, 2.0, 3.0], [50.0, 60.0, 70.0]
    cfg = Config(
        {
            "model": {
                "type": "convnextv2.FCMAE",
                "backbone": {
                    "type": "convnextv2.ConvNeXtV2",
                    "arch": SMALL,
                    "frozen_stages": 2,
                    "drop_path_rate": 0.5,
                    "out_indices": (3,),
                    "layer_scale": layer_scale,
                },
                "data_preprocessor": {
                    "type": "convnextv2.FCMAEDataPreprocessor",
                    "mean": mean,
                    "std": std,
                },
            },
            "default_scope": "mmengine",
        }
    )
    network = from_config(cfg, str(folder / "a.pth"), size=64)
    unreadable = []
    paths = sorted(map(str, (folder / "images").iterdir()))
    places, stages = pool_files(network, paths, batch_size=2, unreadable=unreadable)
    assert places == [0, 1, 2]
    for found, wanted in zip(stages, expected(backbone, folder, mean, std), strict=True):
        torch.testing.assert_close(found, wanted)
    text = list_unreadable(unreadable, len(paths))
    assert text.startswith("1 of 4 images could not be read:\n  ")
    assert "broken.png" in text
    with pytest.raises(InputError, match="none of 1 images can be read"):
        pool_files(network, paths[3:])


@pytest.mark.parametrize("layout", ["official", "timm", "transformers", "mmpretrain"])
def test_the_arch_is_told_by_a_files_shapes(folder, layout):
    backbone = make_backbone()
    tensors = convert_keys(backbone.state_dict(), "convnextv2", layout).tensors
    write_weights(tensors, folder / "a.pth", layout)
    network = from_weights(str(folder / "a.pth"), size=64)
    assert network.backbone.depths == (1, 2, 1, 1)
    assert network.backbone.channels == (4, 6, 8, 12)
    paths = [str(folder / f"images/{i}.png") for i in range(3)]
    _, stages = pool_files(network, paths)
    imagenet = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    for found, wanted in zip(stages, expected(backbone, folder, *imagenet), strict=True):
        torch.testing.assert_close(found, wanted)


def test_bands_that_nobody_knows_are_refused(folder):
    torch.save(make_backbone(5).state_dict(), folder / "a.pth")
    with pytest.raises(InputError, match="of the 5 bands are not known: give the training's conf"):
        from_weights(str(folder / "a.pth"))


def test_a_config_of_another_network_is_refused(folder):
    cfg = Config({"model": {"type": "X", "backbone": {"type": "ResNet"}}}, filename=None)
    with pytest.raises(InputError, match="no backbone of the type ConvNeXtV2"):
        from_config(cfg, "a.pth")
