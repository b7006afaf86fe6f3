"""The encoders against each other, and against what a mask means."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convnextv2.backbone import ConvNeXtV2
from convnextv2.pretrain import ENCODERS, FCMAE, encode_packed, random_mask
from convnextv2.pretrain.encoders.packed import visible_pixels

needs_minkowski = pytest.mark.skipif(
    find_spec("MinkowskiEngine") is None, reason="MinkowskiEngine is not installed: make minkowski"
)
MARKS = {"minkowski": needs_minkowski}
each_encoder = pytest.mark.parametrize(
    "encoder", [pytest.param(name, marks=MARKS.get(name, ())) for name in ENCODERS]
)
each_sparse_encoder = pytest.mark.parametrize(
    "encoder", ["packed", pytest.param("minkowski", marks=needs_minkowski)]
)

ARCH = {"depths": (1, 2, 1, 1), "channels": (8, 16, 32, 64)}


def make_fcmae(arch, encoder="packed", seed=0, **options):
    """An FCMAE in float64 whose GRN weights, biases and norms are random."""
    torch.manual_seed(seed)
    in_channels = options.pop("in_channels", 3)
    backbone = {"type": "convnextv2.ConvNeXtV2", "arch": arch, "in_channels": in_channels}
    mean = {"mean": [0.0] * in_channels, "std": [1.0] * in_channels}
    preprocessor = {"type": "convnextv2.FCMAEDataPreprocessor", **mean}
    model = FCMAE(backbone, encoder, decoder_dim=32, data_preprocessor=preprocessor, **options)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.5)
    return model.double()


@each_sparse_encoder
@pytest.mark.parametrize("arch", [ARCH, "atto", "nano"], ids=["small", "atto", "nano"])
@pytest.mark.parametrize(
    ("batch", "channels", "size", "patch_size"),
    [(1, 3, (96, 96), 32), (3, 3, (64, 160), 32), (3, 1, (128, 64), 64), (2, 5, (96, 64), 32)],
)
def test_sparse_equals_dense(encoder, arch, batch, channels, size, patch_size):
    """Loss, predictions and the gradient of every parameter to 1e-10 relative, float64."""
    options = {"in_channels": channels, "patch_size": patch_size}
    sparse, dense = (make_fcmae(arch, name, **options) for name in (encoder, "dense"))
    images = torch.randn(batch, channels, *size).double()
    mask = sparse.draw_mask(images)
    for model in (sparse, dense):
        model(images, mask, mode="loss")["loss"].backward()
    torch.testing.assert_close(sparse(images, mask), dense(images, mask), rtol=1e-10, atol=1e-10)
    for (name, p), q in zip(sparse.named_parameters(), dense.parameters(), strict=True):
        assert q.grad.abs().sum() > 0, f"{name} has no gradient"
        scale = q.grad.abs().max()
        torch.testing.assert_close(p.grad / scale, q.grad / scale, rtol=0, atol=1e-10, msg=name)


def sparse_convolution_loop(block, x, visible):
    """The depthwise 7x7 of a sparse map, pixel by pixel: hidden neighbours do not exist."""
    out = torch.zeros_like(x)
    _, height, width = x.shape
    for y, z in visible.nonzero().tolist():
        out[:, y, z] = block.dwconv.bias
        for dy in range(-3, 4):
            for dz in range(-3, 4):
                v, w = y + dy, z + dz
                if 0 <= v < height and 0 <= w < width and visible[v, w]:
                    out[:, y, z] += block.dwconv.weight[:, 0, dy + 3, dz + 3] * x[:, v, w]
    return out


@each_encoder
def test_encoder_equals_a_loop_over_visible_pixels(encoder):
    """One image, one block a stage, against sparse convolution's meaning."""
    model = make_fcmae({"depths": (1, 1, 1, 1), "channels": (4, 4, 8, 8)})
    net = model.backbone
    images = torch.randn(1, 3, 64, 96).double()
    mask = random_mask(2, 3, 0.5, torch.tensor([3]))
    x = images
    with torch.no_grad():
        for i in range(4):
            x = net.downsample_layers[i](x)
            p = 8 >> i
            visible = mask[0].repeat_interleave(p, 0).repeat_interleave(p, 1)
            x = x * visible
            block = net.stages[i][0]
            rows = sparse_convolution_loop(block, x[0], visible)[:, visible].T  # (pixels, C)
            rows = F.gelu(block.pwconv1(block.norm(rows)))
            gx = rows.square().sum(0).sqrt()
            rows = block.grn.gamma * rows * gx / (gx.mean() + 1e-6) + block.grn.beta + rows
            x[0, :, visible] += block.pwconv2(rows).T
        (features,) = ENCODERS[encoder](net, images, mask)
    torch.testing.assert_close(features, x, rtol=1e-10, atol=1e-10)


def assert_unchanged(encoder, before, after):
    """Not by one bit; but MinkowskiEngine's threads put rows into any order, so its sums round."""
    if encoder == "minkowski":
        torch.testing.assert_close(before, after, rtol=1e-11, atol=1e-11)
    else:
        assert torch.equal(before, after)


@each_encoder
@pytest.mark.parametrize("hidden_value", [1e6, float("nan")])
def test_hidden_pixels_change_nothing_by_one_bit(encoder, hidden_value):
    model = make_fcmae(ARCH, encoder)
    images = torch.randn(2, 3, 96, 128).double()
    mask = model.draw_mask(images)
    changed = images.clone()
    hidden = ~mask.repeat_interleave(32, 1).repeat_interleave(32, 2)
    changed.permute(0, 2, 3, 1)[hidden] = hidden_value
    maps = (model.forward_encoder(x, mask)[0] for x in (images, changed))
    assert_unchanged(encoder, *maps)


@each_encoder
def test_other_images_of_the_batch_change_nothing_by_one_bit(encoder):
    """GRN's norm is of each image alone (the released code's is over the whole batch)."""
    model = make_fcmae(ARCH, encoder)
    images = torch.randn(3, 3, 96, 96).double()
    mask = model.draw_mask(images)
    changed = images.clone()
    changed[1:] = 50 * torch.randn(2, 3, 96, 96).double()
    before, after = (model.forward_encoder(x, mask)[0] for x in (images, changed))
    assert_unchanged(encoder, before[0], after[0])
    assert not torch.equal(before[1], after[1])


@each_encoder
def test_with_everything_visible_the_encoder_is_the_backbone(encoder):
    """The same modules, so that nothing is converted between pre-training and fine-tuning."""
    model = make_fcmae(ARCH)
    images = torch.randn(2, 3, 64, 96).double()
    mask = torch.ones(2, 2, 3, dtype=torch.bool)
    (features,) = ENCODERS[encoder](model.backbone, images, mask)
    torch.testing.assert_close(features, model.backbone(images)[-1], rtol=1e-10, atol=1e-10)


def test_visible_pixels_are_in_the_order_of_patches():
    """Two images of 1x2 patches of 2x2 pixels; row by row within the patch."""
    mask = torch.tensor([[[False, True]], [[True, False]]])
    assert visible_pixels(mask, 2).tolist() == [2, 3, 6, 7, 8, 9, 12, 13]


@each_encoder
def test_checkpointing_runs_every_block_twice_and_changes_nothing(encoder):
    plain, saving = (make_fcmae(ARCH, encoder) for _ in range(2))
    saving.backbone.with_cp = True
    images = torch.randn(2, 3, 64, 96).double()
    mask = plain.draw_mask(images)
    for model, runs in ((plain, 1), (saving, 2)):
        calls = []
        for stage in model.backbone.stages:
            for block in stage:
                block.norm.register_forward_hook(
                    lambda module, *_, calls=calls: calls.append(module)
                )
        model(images, mask, mode="loss")["loss"].backward()
        assert len(calls) == runs * sum(ARCH["depths"])
    for p, q in zip(plain.parameters(), saving.parameters(), strict=True):
        assert_unchanged(encoder, p.grad, q.grad)


@each_sparse_encoder
def test_drop_path_is_that_of_the_dense_encoder(encoder):
    net = ConvNeXtV2(ARCH, drop_path_rate=0.5, output_norm=False).double().train()
    images = torch.randn(4, 3, 64, 64).double()
    mask = random_mask(2, 2, 0.5, torch.arange(4))
    maps = []
    for name in (encoder, "dense"):
        torch.manual_seed(1)
        maps += ENCODERS[name](net, images, mask)
    torch.testing.assert_close(*maps, rtol=1e-10, atol=1e-10)


def test_unequal_numbers_of_visible_patches_are_refused():
    mask = torch.tensor([[[True, False]], [[True, True]]])
    with pytest.raises(ValueError, match=r"differ within the batch: \[1, 2\]"):
        encode_packed(ConvNeXtV2(ARCH), torch.zeros(2, 3, 32, 64), mask)
