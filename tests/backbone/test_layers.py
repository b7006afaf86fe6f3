"""GRN and the block against the paper's formulas, written as loops."""

import math

import pytest
import torch
from torch.nn import functional as F

from convnextv2.backbone import GRN, Block, DropPath, LayerNorm2d
from convnextv2.backbone.layers import LayerNorm


def test_grn_of_hand_made_numbers():
    """Two channels of norms 5 and 10: Nx is 5/7.5 and 10/7.5."""
    grn = GRN(2, eps=0.0).double()
    grn.gamma.data[:] = torch.tensor([3.0, 0.5])
    grn.beta.data[:] = torch.tensor([1.0, -1.0])
    x = torch.tensor([[[3.0, 6.0], [4.0, 8.0]]]).double()  # one image, two pixels
    expected = [[3 * 3 * 5 / 7.5 + 1 + 3, 0.5 * 6 * 10 / 7.5 - 1 + 6]]
    expected += [[3 * 4 * 5 / 7.5 + 1 + 4, 0.5 * 8 * 10 / 7.5 - 1 + 8]]
    torch.testing.assert_close(grn(x)[0], torch.tensor(expected).double())


def test_grn_equals_a_loop_over_images_and_channels():
    """Each image has its own norms; the mean over channels is the divisor (paper, Alg. 1)."""
    torch.manual_seed(0)
    grn = GRN(5).double()
    torch.nn.init.normal_(grn.gamma)
    torch.nn.init.normal_(grn.beta)
    x = torch.randn(3, 7, 5).double()
    expected = torch.empty_like(x)
    for b in range(3):
        norms = [math.sqrt(sum(float(x[b, n, c]) ** 2 for n in range(7))) for c in range(5)]
        mean = sum(norms) / 5
        for c in range(5):
            nx = norms[c] / (mean + 1e-6)
            expected[b, :, c] = grn.gamma[c] * x[b, :, c] * nx + grn.beta[c] + x[b, :, c]
    torch.testing.assert_close(grn(x), expected, rtol=1e-12, atol=1e-12)


def test_grn_starts_as_the_identity():
    x = torch.randn(2, 9, 4)
    assert torch.equal(GRN(4)(x), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_grn_norm_does_not_overflow_in_half_precision(dtype):
    """4096 pixels of value 200 have a sum of squares of 1.6e8, far above float16's 65504."""
    grn = GRN(3).to(dtype)
    grn.gamma.data.fill_(1)
    y = grn(torch.full((1, 4096, 3), 200.0, dtype=dtype))
    torch.testing.assert_close(y.float(), torch.full((1, 4096, 3), 400.0), rtol=1e-2, atol=0)


@pytest.mark.parametrize("size", [(2, 3), (9, 8)], ids=["few pixels", "many pixels"])
def test_folded_mlp_equals_the_plain_formula(size):
    """Both ways to fold GRN (scaled rows, scaled weights): values and gradients, float64."""
    torch.manual_seed(0)
    block = Block(6).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(3, 6, *size).double().requires_grad_()

    def plain(x):
        y = block.norm(block.dwconv(x).permute(0, 2, 3, 1).flatten(1, 2))
        y = block.pwconv2(block.grn(F.gelu(block.pwconv1(y))))
        return x + y.unflatten(1, size).permute(0, 3, 1, 2)

    inputs = [x, *block.parameters()]
    weights = torch.randn(3, 6, *size).double()
    got, expected = block(x), plain(x)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
    grads = torch.autograd.grad((got * weights).sum(), inputs)
    for g, e in zip(grads, torch.autograd.grad((expected * weights).sum(), inputs), strict=True):
        torch.testing.assert_close(g, e, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [(2, 3), (9, 8)], ids=["few pixels", "many pixels"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_block_under_autocast_is_near_float32(dtype, size):
    """Values and gradients; activations of some hundreds, so that float16 sums would overflow."""
    torch.manual_seed(0)
    block = Block(6)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    block.norm.weight.data.fill_(100)
    x = torch.randn(2, 6, *size)
    results = []
    for enabled in (False, True):
        block.zero_grad()
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            y = block(x)
        y.float().mean().backward()
        results.append([y.float(), *(p.grad.clone() for p in block.parameters())])
    for expected, got in zip(*results, strict=True):
        assert got.isfinite().all()
        assert (got - expected).norm() < 0.05 * expected.norm() + 1e-6


def test_a_channel_that_is_zero_everywhere_has_finite_gradients():
    block = Block(2).double()
    torch.nn.init.normal_(block.grn.gamma)
    block.pwconv1.weight.data.zero_()
    block(torch.randn(1, 2, 4, 4).double()).sum().backward()
    assert all(p.grad.isfinite().all() for p in block.parameters())


def test_layer_norm_2d_normalises_the_channels_of_each_pixel():
    torch.manual_seed(0)
    norm = LayerNorm2d(5, eps=1e-6).double()
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 5, 3, 4).double()
    pixel = x[1, :, 2, 3]
    expected = (pixel - pixel.mean()) / (pixel.var(unbiased=False) + 1e-6).sqrt() * norm.weight
    torch.testing.assert_close(norm(x)[1, :, 2, 3], expected)


def test_drop_path_drops_whole_images_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    y = drop(torch.ones(4000, 2, 3))
    values = y.flatten(1)
    assert torch.equal(values.amin(1), values.amax(1))  # all or nothing within an image
    assert values[:, 0].unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert y.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(y), y)


def test_mixed_precision_keeps_the_gradients_of_norms():
    """Summed in bfloat16 over 20,000 pixels, most of them would be lost."""
    norm = LayerNorm(8, eps=1e-6)
    torch.manual_seed(0)
    x, grad = torch.randn(20000, 8), torch.rand(20000, 8)
    wanted = torch.autograd.grad(norm(x), tuple(norm.parameters()), grad)
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x.bfloat16())
    for got, expected in zip(
        torch.autograd.grad(y, tuple(norm.parameters()), grad.to(y.dtype)), wanted, strict=True
    ):
        assert (got - expected).norm() < 0.01 * expected.norm()
