"""The depthwise convolution's own backward pass, against torch's."""

import pytest
import torch
import torch.nn.functional as F

from convnextv2.backbone.depthwise import (
    DepthwiseConv2d,
    make_backward,
    shifted_products,
    torch_weight_gradient,
    weight_gradient,
)

WAYS = {
    way.__name__: make_backward(f"test_{way.__name__}", way)
    for way in (shifted_products, torch_weight_gradient)
}


def make(batch, channels, height, width, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x, grad = torch.randn(2, batch, channels, height, width, generator=generator).to(dtype)
    return x, grad


@pytest.mark.parametrize("size", [(2, 3, 9, 6), (1, 5, 1, 1), (3, 4, 2, 11), (2, 8, 20, 20)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("way", WAYS)
def test_gradients_are_those_of_the_convolution(size, layout, way):
    x, grad = make(*size)
    conv = DepthwiseConv2d(size[1], kernel_size=7).double()
    conv.cpu_backward = WAYS[way]
    x = x.contiguous(memory_format=layout).requires_grad_()
    found = torch.autograd.grad(conv(x), (x, conv.weight, conv.bias), grad)
    plain = F.conv2d(x, conv.weight, conv.bias, padding=3, groups=size[1])
    torch.testing.assert_close(conv(x), plain)
    wanted = torch.autograd.grad(plain, (x, conv.weight, conv.bias), grad)
    for got, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("side", [7, 96])
def test_a_narrow_type_costs_the_kernel_no_more_than_its_rounding(dtype, side):
    x, grad = (t.contiguous(memory_format=torch.channels_last) for t in make(2, 4, side, side))
    expected = torch_weight_gradient(x, grad, 7)
    got = weight_gradient(x.to(dtype), grad.to(dtype), 7).double()
    error = (got - expected).norm() / expected.norm()
    assert error < 4 * torch.finfo(dtype).eps


def test_what_is_frozen_gets_no_gradient():
    conv = DepthwiseConv2d(4, kernel_size=7).requires_grad_(False)
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    conv(x).sum().backward()
    assert x.grad is not None
    assert conv.weight.grad is None
    assert conv.bias.grad is None


def test_autocast_is_that_of_the_convolution():
    x, grad = make(2, 4, 9, 9, torch.float32)
    conv = DepthwiseConv2d(4, kernel_size=7)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x.requires_grad_())
    assert y.dtype == torch.bfloat16
    y.backward(grad.bfloat16())
    assert x.grad.dtype == conv.weight.grad.dtype == conv.bias.grad.dtype == torch.float32
