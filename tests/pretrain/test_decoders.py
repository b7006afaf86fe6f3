"""The decoders: against formulas written apart, and what each must keep."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convnextv2.backbone import Block, LayerScale, NoResponseNorm
from convnextv2.pretrain import FCMAE, FCMAEDecoder, TransformerDecoder, UNetDecoder
from convnextv2.pretrain.decoders import sine_positions

ARCH = {"depths": (1, 1, 1, 1), "channels": (8, 16, 32, 64)}
DIMS = ARCH["channels"]
V1 = {
    "response_norm": {"type": "convnextv2.NoResponseNorm"},
    "layer_scale": {"type": "convnextv2.LayerScale"},
}
DECODERS = {
    "block": {"type": "convnextv2.FCMAEDecoder"},
    "v1-block": {"type": "convnextv2.FCMAEDecoder", **V1},
    "transformer": {"type": "convnextv2.TransformerDecoder"},
    "unet": {"type": "convnextv2.UNetDecoder"},
    "unet-no-skip": {"type": "convnextv2.UNetDecoder", "in_stages": (3,)},
}
each_decoder = pytest.mark.parametrize("decoder", DECODERS)


def make_fcmae(decoder, encoder="packed", depth=1, dim=32, **options):
    torch.manual_seed(0)
    backbone = {"type": "convnextv2.ConvNeXtV2", "arch": ARCH}
    model = FCMAE(backbone, encoder, 0.6, 32, dim, depth, decoder=DECODERS[decoder], **options)
    return randomise(model)


def randomise(module):
    for parameter in module.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.5)
    return module.double()


def random_features(stages, batch=2, size=(2, 3)):
    """Features of these stages, and which cells are visible."""
    shapes = [(batch, DIMS[i], size[0] << (3 - i), size[1] << (3 - i)) for i in stages]
    visible = torch.rand(batch, 1, *size) < 0.5
    return [torch.randn(shape).double().requires_grad_() for shape in shapes], visible


def assert_equal_with_gradients(got, expected, inputs):
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    factors = torch.randn_like(got)
    grads = [torch.autograd.grad((y * factors).sum(), inputs) for y in (got, expected)]
    for g, e in zip(*grads, strict=True):
        assert e.abs().max() > 0
        torch.testing.assert_close(g, e, rtol=1e-8, atol=1e-9)


def fill(part, features, visible):
    """Cell by cell: a 1x1 convolution where visible, otherwise the mask token."""
    weight = part.proj.weight[:, :, 0, 0]
    images = []
    for image, seen in zip(features, visible[:, 0], strict=True):
        rows = [
            torch.stack(
                [
                    weight @ image[:, y, x] + part.proj.bias if seen[y, x] else part.mask_token
                    for x in range(seen.shape[1])
                ]
            )
            for y in range(seen.shape[0])
        ]
        images.append(torch.stack(rows))
    return torch.stack(images)  # (B, h, w, dim)


def test_block_decoder_equals_its_formula():
    decoder = randomise(FCMAEDecoder(DIMS, 8, 2, 32 * 32 * 3))
    features, visible = random_features((3,))
    x = decoder.blocks(fill(decoder, features[0], visible).permute(0, 3, 1, 2))
    expected = F.conv2d(x, decoder.pred.weight, decoder.pred.bias).flatten(2).transpose(1, 2)
    inputs = [*features, *decoder.parameters()]
    assert_equal_with_gradients(decoder(features, visible), expected, inputs)


def attention(layer, x):
    """Heads of 32 channels of one image (N, C), head by head."""
    weight, bias = layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3)
    q, k, v = (x @ w.T + b for w, b in zip(weight, bias, strict=True))
    heads = []
    for i in range(0, x.shape[1], 32):
        part = slice(i, i + 32)
        scores = torch.exp(q[:, part] @ k[:, part].T / math.sqrt(32))
        heads.append(scores / scores.sum(1, keepdim=True) @ v[:, part])
    return torch.cat(heads, dim=1) @ layer.out_proj.weight.T + layer.out_proj.bias


@pytest.mark.parametrize("training", [True, False])
def test_transformer_decoder_equals_its_formula(training):
    """Norm before attention and MLP, image by image; positions from their definition."""
    decoder = randomise(TransformerDecoder(DIMS, 64, 2, 48)).train(training)
    features, visible = random_features((3,))
    height, width = visible.shape[2:]
    images = []
    for x in fill(decoder, features[0], visible):
        places = [position(y, z, 64) for y in range(height) for z in range(width)]
        x = x.flatten(0, 1) + torch.stack(places)
        for block in decoder.blocks:
            x = x + attention(block.self_attn, block.norm1(x))
            x = x + block.linear2(F.gelu(block.linear1(block.norm2(x))))
        images.append(decoder.pred(decoder.norm(x)))
    inputs = [*features, *decoder.parameters()]
    assert_equal_with_gradients(decoder(features, visible), torch.stack(images), inputs)


def position(y, x, dim):
    values = []
    for place in (y, x):
        angles = [place / 10000 ** (i / (dim // 4)) for i in range(dim // 4)]
        values += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    return torch.tensor(values, dtype=torch.float64)


def test_positions_differ_everywhere():
    places = sine_positions(5, 7, 32).flatten(0, 1)
    assert torch.pdist(places).min() > 0.1


@pytest.mark.parametrize("stages", [(0, 1, 2, 3), (3,), (1, 3)])
def test_unet_decoder_equals_its_formula(stages):
    """Each enlarged pixel is a matrix of the one below; what is visible is added, or a token."""
    decoder = randomise(UNetDecoder(DIMS, 16, 1, 32 * 32 * 2, in_stages=stages))
    features, visible = random_features(stages)
    given = dict(zip(stages, features, strict=True))
    x = None
    for i in (3, 2, 1, 0):
        parts = []
        if x is not None:
            layer = decoder.enlarge[i]
            big = torch.einsum("bchw,cdyx->bdhywx", x, layer.weight).flatten(4, 5).flatten(2, 3)
            parts.append(big + layer.bias[:, None, None])
        if i in given:
            seen = visible.repeat_interleave(8 >> i, 2).repeat_interleave(8 >> i, 3)
            parts.append(fill(decoder.filled[str(i)], given[i], seen).permute(0, 3, 1, 2))
        x = decoder.levels[i](sum(parts))
    pixels = F.conv2d(x, decoder.pred.weight, decoder.pred.bias)  # (B, 4*4*2, 16, 24)
    # Row, column, channel within a cell of 4; then row by row within a cell of 32.
    image = pixels.view(2, 4, 4, 2, 16, 24).permute(0, 4, 1, 5, 2, 3).reshape(2, 64, 96, 2)
    cells = [image[:, y : y + 32, z : z + 32].flatten(1) for y in (0, 32) for z in (0, 32, 64)]
    inputs = [*features, *decoder.parameters()]
    assert_equal_with_gradients(decoder(features, visible), torch.stack(cells, 1), inputs)


@each_decoder
@pytest.mark.parametrize("patch_size", [32, 64])
def test_every_parameter_learns_whatever_the_encoder(decoder, patch_size):
    """Loss and gradients of packed and dense agree; images of another shape, patches of 64."""
    images = torch.randn(2, 3, 128, 192).double()
    grads = []
    for encoder in ("packed", "dense"):
        model = make_fcmae(decoder, encoder)
        model.patch_size = patch_size
        mask = model.draw_mask(images, torch.arange(2))
        model(images, mask, mode="loss")["loss"].backward()
        grads.append({name: p.grad for name, p in model.named_parameters()})
    for name, g in grads[0].items():
        scale = g.abs().max()
        assert scale > 0, name
        torch.testing.assert_close(g / scale, grads[1][name] / scale, rtol=0, atol=1e-8, msg=name)


@each_decoder
def test_hidden_pixels_do_not_reach_the_prediction(decoder):
    """Nor through skip connections, nor where the encoder is not sparse."""
    images = torch.randn(2, 3, 96, 128).double()
    for encoder in ("packed", "masked_image"):
        model = make_fcmae(decoder, encoder).eval()
        mask = model.draw_mask(images, torch.arange(2))
        changed = images.clone()
        hidden = ~mask.repeat_interleave(32, 1).repeat_interleave(32, 2)
        changed.permute(0, 2, 3, 1)[hidden] = 1e6
        with torch.no_grad():
            assert torch.equal(model(images, mask), model(changed, mask))


@each_decoder
@pytest.mark.parametrize(("depth", "dim"), [(1, 128), (12, 128), (1, 1024)])
def test_depth_and_width_of_the_papers_table(decoder, depth, dim):
    with torch.device("meta"):
        model = make_fcmae(decoder, "masked_image", depth, dim)
    images, mask = torch.empty(1, 3, 64, 96, device="meta").double(), torch.ones(1, 2, 3) > 0
    assert model(images, mask.to("meta")).shape == (1, 6, 32 * 32 * 3)
    blocks = [
        m for m in model.decoder.modules() if isinstance(m, Block | nn.TransformerEncoderLayer)
    ]
    assert len(blocks) == depth * (4 if decoder.startswith("unet") else 1)


def test_the_decoders_block_can_be_v1s():
    (block,) = make_fcmae("v1-block").decoder.blocks
    assert isinstance(block.grn, NoResponseNorm)
    assert isinstance(block.layer_scale, LayerScale)


@each_decoder
def test_tokens_and_matrices_start_with_deviation_002(decoder):
    torch.manual_seed(0)
    backbone = {"type": "convnextv2.ConvNeXtV2", "arch": ARCH}
    made = FCMAE(backbone, decoder_dim=512, decoder=DECODERS[decoder]).decoder
    for name, p in made.named_parameters():
        if name.endswith("mask_token") or (p.dim() > 1 and "in_proj" not in name):
            assert p.std().item() == pytest.approx(0.02, rel=0.25), name


@pytest.mark.parametrize(
    ("decoder", "options", "message"),
    [
        (TransformerDecoder, {"dim": 40}, "multiple of 32, got 40"),
        (UNetDecoder, {"dim": 12}, "multiple of 8, got 12"),
        (UNetDecoder, {"dim": 16, "in_stages": (0, 1)}, "in_stages must be 3 and others"),
        (UNetDecoder, {"dim": 16, "in_stages": (3, 4)}, "in_stages must be 3 and others"),
    ],
)
def test_bad_options_are_named(decoder, options, message):
    with pytest.raises(ValueError, match=message):
        decoder(DIMS, depth=1, cell_pixels=3072, **options)


def test_loss_on_all_patches_equals_a_loop():
    """Visible patches count as much as hidden ones."""
    model = make_fcmae("block", loss_patches="all", norm_pix=False)
    images = torch.randn(2, 3, 64, 96).double()
    mask = model.draw_mask(images)
    pred = model(images, mask)
    losses = []
    for b in range(2):
        errors = []
        for k in range(6):
            y, x = k // 3 * 32, k % 3 * 32
            target = images[b, :, y : y + 32, x : x + 32].permute(1, 2, 0).flatten()
            errors.append(((pred[b, k] - target) ** 2).sum() / 3072)
        losses.append(sum(errors) / 6)
    got = model.forward_loss(images, pred, mask)
    torch.testing.assert_close(got, torch.stack(losses), rtol=1e-12, atol=0)
