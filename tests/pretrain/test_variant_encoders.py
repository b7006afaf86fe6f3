"""Every variant of the block under every encoder: one meaning, over visible pixels only."""

import pytest
import torch
from response_norm_formulas import VARIANTS, block_loop
from test_encoders import ARCH, assert_unchanged, each_encoder, needs_minkowski
from torch import nn

from convnextv2.backbone import ConvNeXtV2, LayerScale
from convnextv2.pretrain import ENCODERS, FCMAE, encode_masked_image, random_mask

each_variant = pytest.mark.parametrize("variant", VARIANTS)


def make_backbone(variant, arch=ARCH):
    torch.manual_seed(0)
    options = {"response_norm": VARIANTS[variant][0], "layer_scale": LayerScale}
    net = ConvNeXtV2(arch, output_norm=False, **options)
    for parameter in net.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.5)
    return net.double()


def resize(mask, p):
    return mask.repeat_interleave(p, 1).repeat_interleave(p, 2)


def loop_encoder(net, formula, images, mask):
    """One block a stage, by loops over pixels and channels."""
    x, maps = images, []
    for i in range(4):
        visible = resize(mask, 8 >> i)
        x = net.downsample_layers[i](x) * visible[:, None]
        x = block_loop(net.stages[i][0], formula, x, visible)
        maps.append(x)
    return maps


@each_variant
def test_encoders_equal_loops_over_visible_pixels(variant):
    """Maps of all stages and gradients of image and parameters, float64; two images."""
    net = make_backbone(variant, {"depths": (1, 1, 1, 1), "channels": (4, 4, 4, 8)})
    images = torch.randn(2, 3, 64, 64).double().requires_grad_()
    mask = random_mask(2, 2, 0.7, torch.tensor([3, 5]))
    stages, inputs = (0, 1, 2, 3), [images, *net.parameters()]
    expected = loop_encoder(net, VARIANTS[variant][1], images, mask)
    factors = [torch.randn_like(m) for m in expected]

    def gradients(maps):
        total = sum((m * f).sum() for m, f in zip(maps, factors, strict=True))
        grads = torch.autograd.grad(total, inputs, allow_unused=True)
        return [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, grads, strict=True)]

    wanted = gradients(expected)
    for name, encode in ENCODERS.items():
        if name == "minkowski" and needs_minkowski.args[0]:
            continue
        maps = encode(net, images, mask, stages)
        for got, e in zip(maps, expected, strict=True):
            torch.testing.assert_close(got, e, rtol=1e-9, atol=1e-9, msg=name)
        for got, e in zip(gradients(maps), wanted, strict=True):
            scale = e.abs().max().clamp(min=1e-3)
            torch.testing.assert_close(got / scale, e / scale, rtol=0, atol=1e-9, msg=name)


@each_variant
@pytest.mark.parametrize(
    "encoder", ["packed", pytest.param("minkowski", marks=needs_minkowski)], ids=str
)
def test_sparse_equals_dense(variant, encoder):
    """Loss, gradients and running statistics of a training step; and the loss after it."""
    torch.manual_seed(0)
    images = torch.randn(3, 3, 64, 96).double()
    models = []
    for name in (encoder, "dense"):
        torch.manual_seed(0)
        backbone = {
            "type": "convnextv2.ConvNeXtV2",
            "arch": ARCH,
            "drop_path_rate": 0.3,
            "response_norm": VARIANTS[variant][0],
        }
        model = FCMAE(backbone, name, decoder_dim=32)
        model.backbone.load_state_dict(make_backbone(variant).state_dict(), strict=False)
        model.double().train()
        mask = model.draw_mask(images, torch.arange(3))
        torch.manual_seed(1)  # of the drop path
        loss = model(images, mask, mode="loss")["loss"]
        loss.backward()
        with torch.no_grad():
            models.append((loss, model.eval()(images, mask), model))
    (loss, pred, sparse), (other_loss, other_pred, dense) = models
    torch.testing.assert_close(loss, other_loss, rtol=1e-10, atol=0)
    torch.testing.assert_close(pred, other_pred, rtol=1e-9, atol=1e-9)
    for (name, p), q in zip(sparse.named_parameters(), dense.parameters(), strict=True):
        scale = q.grad.abs().max().clamp(min=1e-12)
        torch.testing.assert_close(p.grad / scale, q.grad / scale, rtol=0, atol=1e-8, msg=name)
    for (name, p), q in zip(sparse.named_buffers(), dense.buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-10, msg=name)


@each_encoder
@each_variant
def test_hidden_pixels_change_nothing(variant, encoder):
    net = make_backbone(variant).train()
    images = torch.randn(2, 3, 64, 96).double()
    mask = random_mask(2, 3, 0.6, torch.arange(2))
    changed = images.clone()
    changed.permute(0, 2, 3, 1)[~resize(mask, 32)] = float("nan")
    with torch.no_grad():
        before, after = (ENCODERS[encoder](net, x, mask)[0] for x in (images, changed))
    assert before.isfinite().all()
    assert not before.permute(0, 2, 3, 1)[~mask].any()
    assert_unchanged(encoder, before, after)


@each_encoder
@each_variant
def test_other_images_matter_only_where_the_variant_says_so(variant, encoder):
    """To batch GRN and batch normalisation."""
    net = make_backbone(variant).train()
    images = torch.randn(2, 3, 64, 96).double()
    mask = random_mask(2, 3, 0.6, torch.arange(2))
    changed = images.clone()
    changed[1] *= 9
    with torch.no_grad():
        before, after = (ENCODERS[encoder](net, x, mask)[0][0] for x in (images, changed))
    if variant in ("batch", "bn"):
        assert not torch.allclose(before, after, rtol=1e-6)
    else:
        assert_unchanged(encoder, before, after)


@each_variant
def test_without_sparse_convolution_the_backbone_sees_a_grey_patched_image(variant):
    """Features of hidden places are there, and change with what is visible."""
    net = make_backbone(variant).eval()
    images = torch.randn(2, 3, 64, 96).double()
    mask = random_mask(2, 3, 0.6, torch.arange(2))
    grey = images * resize(mask, 32)[:, None]
    maps = encode_masked_image(net, images, mask, (0, 1, 2, 3))
    for got, expected in zip(maps, net(grey), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    assert maps[-1].permute(0, 2, 3, 1)[~mask].abs().min() > 0
    (sparse,) = ENCODERS["dense"](net, images, mask)
    assert not torch.allclose(sparse, maps[-1])
