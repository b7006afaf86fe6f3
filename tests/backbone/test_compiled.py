"""Compiled blocks are blocks: the same values and gradients, at every size of images."""

import copy

import pytest
import torch
from torch._dynamo.utils import counters

from convnextv2.backbone import Block, CBAMResponse, CompiledBlock, ConvNeXtV2, compiled


@pytest.fixture
def blocks():
    """A block and its compiled copy, in which nothing is 0."""
    torch.manual_seed(0)
    block, fast = Block(16).double(), CompiledBlock(16).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    fast.load_state_dict(block.state_dict())
    return block, fast


def run(block, x):
    x = x.clone().requires_grad_()
    y = block(x)
    grads = torch.autograd.grad(y.square().sum(), (x, *block.parameters()))
    return y.detach(), *grads


@pytest.mark.slow
def test_compiled_values_and_gradients_are_the_same_at_every_size(blocks):
    # Fewer pixels than channels, and more: GRN has a way for each, so each has its graph.
    sizes = [(2, 3, 4), (2, 9, 7), (3, 12, 20), (4, 3, 5), (2, 16, 16), (5, 31, 8)]
    graphs = []
    for batch, height, width in sizes:
        x = torch.randn(batch, 16, height, width, dtype=torch.float64)
        x = x.contiguous(memory_format=torch.channels_last)
        for got, expected in zip(*(run(block, x) for block in blocks[::-1]), strict=True):
            torch.testing.assert_close(got, expected)
        graphs.append(counters["stats"]["unique_graphs"])
    assert not counters["graph_break"]
    assert graphs[-1] == graphs[2] > 0  # the first three sizes were all it took


def test_without_a_compiler_it_is_a_block(blocks, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(compiled.torch, "compile", None)
    compiled.can_compile.cache_clear()
    try:
        x = torch.randn(2, 16, 8, 8, dtype=torch.float64)
        for got, expected in zip(*(run(block, x) for block in blocks), strict=True):
            torch.testing.assert_close(got, expected)
        assert not compiled.can_compile("cpu")
    finally:
        compiled.can_compile.cache_clear()


def test_what_is_not_trained_or_looks_around_is_not_compiled(monkeypatch):
    def refuse(block, x):
        raise AssertionError("compiled")

    monkeypatch.setattr(CompiledBlock, "compiled_mlp", refuse)
    x = torch.randn(1, 8, 8, 8)
    block = CompiledBlock(8)
    with torch.no_grad():
        block(x)
    CompiledBlock(8, response_norm=CBAMResponse)(x)
    with pytest.raises(AssertionError, match="compiled"):
        block(x)
    block.requires_grad_(False)(x)


def test_a_backbone_is_made_of_the_blocks_that_a_config_names():
    arch = {"depths": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}
    network = ConvNeXtV2(arch, block="convnextv2.CompiledBlock")
    kinds = {type(block) for stage in copy.deepcopy(network).stages for block in stage}
    assert kinds == {CompiledBlock}
    assert network.state_dict().keys() == ConvNeXtV2(arch).state_dict().keys()
