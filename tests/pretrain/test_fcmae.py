"""The loss and the predictions of FCMAE against loops, and the way of its weights downstream."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from test_encoders import ARCH, make_fcmae

from convnextv2.backbone import ConvNeXtV2
from convnextv2.pretrain import FCMAE, patchify

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_loss_equals_a_loop_over_hidden_patches():
    """Mean over hidden patches of the mean squared error to normalised pixels (MAE, P 3.1)."""
    model = make_fcmae(ARCH)
    images = torch.randn(2, 3, 64, 96).double() * 3 + 1
    mask = model.draw_mask(images)
    pred = model(images, mask)
    total, count = 0.0, 0
    for b in range(2):
        for k, visible in enumerate(mask[b].flatten()):
            if visible:
                continue
            y, x = k // 3 * 32, k % 3 * 32
            pixels = images[b, :, y : y + 32, x : x + 32].permute(1, 2, 0).flatten()
            mean = pixels.sum() / len(pixels)
            var = ((pixels - mean) ** 2).sum() / (len(pixels) - 1)
            target = (pixels - mean) / (var + 1e-6).sqrt()
            total += ((pred[b, k] - target) ** 2).sum() / len(pixels)
            count += 1
    loss = model(images, mask, mode="loss")["loss"]
    torch.testing.assert_close(loss, total / count, rtol=1e-12, atol=0)


def test_loss_of_hand_made_numbers_without_normalisation():
    model = make_fcmae(ARCH, norm_pix=False)
    images = torch.zeros(1, 3, 32, 64).double()
    images[..., 32:] = 3.0
    pred = torch.ones(1, 2, 32 * 32 * 3).double()
    loss = model.forward_loss(images, pred, torch.tensor([[[True, False]]]))
    assert loss.tolist() == [4.0]  # (1 - 3)^2 of the hidden patch; the visible one is left out


@pytest.mark.parametrize("norm_pix", [True, False])
def test_a_perfect_prediction_reconstructs_the_image(norm_pix):
    """Units: what comes out of `predict` is what went into the data preprocessor."""
    model = make_fcmae(ARCH, norm_pix=norm_pix)
    model.data_preprocessor = MODELS.build({"type": "convnextv2.FCMAEDataPreprocessor"}).double()
    files = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    images = model.data_preprocessor({"inputs": files})["inputs"].double()
    pred = patchify(images, 32)
    if norm_pix:
        var, mean = torch.var_mean(pred, dim=-1, keepdim=True)
        pred = (pred - mean) / (var + 1e-6).sqrt()
    mask = model.draw_mask(images)
    for file, result in zip(files, model.predict(images, pred, mask), strict=True):
        torch.testing.assert_close(result["reconstruction"], file.double(), rtol=0, atol=1e-3)
        assert result["loss"].item() < 1e-10


def test_masks_follow_the_seeds_of_the_images():
    """An image has the same mask wherever in a batch it is, so in any number of processes."""
    model = make_fcmae(ARCH)
    images, seeds = torch.randn(4, 3, 96, 96).double(), torch.tensor([4, 8, 15, 16])
    loss = model(images, seed=seeds, mode="loss")["loss"]
    halves = [model(images[i::2], seed=seeds[i::2], mode="loss")["loss"] for i in (0, 1)]
    torch.testing.assert_close(sum(halves) / 2, loss, rtol=1e-12, atol=0)


def test_pretraining_weights_fill_the_backbone_of_mask_rcnn(tmp_path):
    """Every tensor of the network, from a training checkpoint as mmengine writes it."""
    detectors = pytest.importorskip("mmdet.registry").MODELS
    from mmengine.config import Config

    trained = FCMAE({"type": "convnextv2.ConvNeXtV2", "arch": "atto"})
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter)
    path = str(tmp_path / "epoch_1.pth")
    torch.save({"state_dict": trained.state_dict(), "meta": {"epoch": 1}}, path)

    cfg = Config.fromfile(CONFIGS / "_base_/models/mask-rcnn_convnextv2_fpn.py").model
    cfg.backbone.arch = "atto"
    cfg.neck.in_channels = [40, 80, 160, 320]
    cfg.backbone.init_cfg = {"type": "Pretrained", "checkpoint": path}
    cfg["_scope_"] = "mmdet"
    detector = detectors.build(cfg)
    detector.init_weights()
    loaded = detector.backbone.state_dict()
    for name, tensor in trained.backbone.state_dict().items():
        assert torch.equal(loaded.pop(name), tensor), name
    assert all(name.startswith("norm") for name in loaded)
    first = detector.backbone.downsample_layers[0][0].weight
    assert torch.equal(first, trained.backbone.downsample_layers[0][0].weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoder": "sparse"},
            "unknown encoder 'sparse'; choose one of packed, dense, minkowski, masked",
        ),
        ({"loss_patches": "some"}, "loss_patches must be one of hidden, all, got 'some'"),
        ({"mask_ratio": 1.0}, "mask_ratio must be between 0 and 1"),
        ({"patch_size": 48}, "patch_size must be a multiple of 32"),
        ({"patch_size": 16}, "patch_size must be a multiple of 32"),
        ({"decoder_depth": 0}, "decoder_dim and decoder_depth must be at least 1, got 512 and 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FCMAE({"type": "convnextv2.ConvNeXtV2", "arch": ARCH}, **options)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 100, 96), "100x96 cannot be cut into patches of 32"),
        ((1, 1, 96, 96), "have 1 channels, the backbone takes 3"),
        ((1, 3, 32, 32), "nothing can be hidden"),
    ],
)
def test_images_that_do_not_fit_are_named(shape, message):
    with pytest.raises(ValueError, match=message):
        make_fcmae(ARCH)(torch.zeros(shape).double())


def test_unknown_mode_is_named():
    with pytest.raises(ValueError, match="loss, predict or tensor, got 'train'"):
        make_fcmae(ARCH)(torch.zeros(1, 3, 64, 64).double(), mode="train")


def test_the_backbone_of_fcmae_has_no_output_norms():
    model = FCMAE({"type": "convnextv2.ConvNeXtV2", "arch": ARCH, "output_norm": True})
    assert isinstance(model.backbone, ConvNeXtV2)
    assert not hasattr(model.backbone, "norm3")
