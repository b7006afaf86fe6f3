"""Fused blocks are blocks: Triton's interpreter runs their kernels, and its compiler takes them."""

import copy
import os
import subprocess
import sys

import pytest
import torch

from convnextv2.backbone import GRN, Block, CBAMResponse, ConvNeXtV2, FusedBlock, LayerScale
from convnextv2.backbone.fused import block as fused_block
from convnextv2.backbone.layers import DropPath
from convnextv2.pretrain import FCMAE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
ARCH = {"depths": (1, 1, 1, 1), "channels": (8, 12, 16, 20)}


def make_blocks(dim, dtype=torch.float64, **options):
    """A block and a fused one of the same parameters, none of them 0."""
    torch.manual_seed(dim)
    block, fused = Block(dim, **options), FusedBlock(dim, **options)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    fused.load_state_dict(block.state_dict())
    return block.to(dtype), fused.to(dtype)


def run(block, x):
    """Output and all gradients."""
    x = x.clone().requires_grad_()
    y = block(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return y.detach(), *torch.autograd.grad((y * weights).sum(), (x, *block.parameters()))


def assert_same(got, expected):
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


# Fewer pixels of an image than a tile has rows, and more; channels that fill no tile, and several.
@pytest.mark.parametrize(
    ("dim", "size"), [(8, (3, 1, 1)), (20, (3, 5, 9)), (40, (5, 7, 3)), (72, (1, 15, 11))]
)
def test_values_and_gradients_equal_the_block(dim, size):
    block, fused = make_blocks(dim)
    x = torch.randn(size[0], dim, *size[1:], dtype=torch.float64)
    assert_same(run(fused, x), run(block, x))
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), block(x))


@pytest.mark.slow
def test_long_sums_are_split_among_programs():
    # More pixels of an image than a program adds up, and more images than one.
    block, fused = make_blocks(8)
    x = torch.randn(2, 8, 33, 17, dtype=torch.float64)
    assert_same(run(fused, x), run(block, x))


def test_a_channel_of_noughts_sends_nothing_back():
    block, fused = make_blocks(8)
    for network in (block, fused):
        network.pwconv1.weight.data[3], network.pwconv1.bias.data[3] = 0, 0
    x = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    got = run(fused, x)
    assert all(g.isfinite().all() for g in got)
    assert_same(got, run(block, x))


def test_residual_branches_are_dropped_and_scaled_alike():
    block, fused = make_blocks(8, drop_path=0.5, layer_scale=LayerScale)
    x = torch.randn(6, 8, 4, 4, dtype=torch.float64)
    results = []
    for network in (fused, block):
        torch.manual_seed(1)
        results.append(run(network.train(), x))
    assert_same(*results)


def test_mixed_precision_is_as_near_the_truth_as_the_block_s():
    # In float16: the interpreter does not multiply matrices of bfloat16.
    block, fused = make_blocks(16, torch.float32)
    x = torch.randn(4, 16, 6, 6)
    truth = run(copy.deepcopy(block).double(), x.double())
    with torch.autocast("cpu", torch.float16):
        got, other = run(fused, x), run(block, x)
    assert [g.dtype for g in got] == [o.dtype for o in other]

    def error(values, exact):
        return ((values.double() - exact).norm() / exact.norm()).item()

    for mine, theirs, exact in zip(got, other, truth, strict=True):
        assert error(mine, exact) < 1.5 * error(theirs, exact) + 1e-4


def test_pre_training_on_packed_rows_is_the_same():
    torch.manual_seed(0)
    models = []
    for block in (Block, FusedBlock):
        backbone = {"type": "convnextv2.ConvNeXtV2", "arch": ARCH, "block": block}
        decoder = {"type": "convnextv2.FCMAEDecoder", "block": block}
        models.append(FCMAE(backbone, decoder_dim=8, decoder=decoder).double())
    for parameter in models[0].parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    models[1].load_state_dict(models[0].state_dict())
    images = torch.randn(2, 3, 96, 64, dtype=torch.float64)
    mask = models[0].draw_mask(images, torch.tensor([3, 4]))
    results = []
    for model in models:
        loss = model(images, mask=mask, mode="loss")["loss"]
        results.append((loss, *torch.autograd.grad(loss, list(model.parameters()))))
    assert_same(*results)


def test_another_response_norm_and_a_cpu_have_the_block(monkeypatch):
    monkeypatch.setattr(FusedBlock, "fused_rows", None)  # not to be called
    x = torch.randn(1, 8, 4, 4)
    FusedBlock(8, response_norm=CBAMResponse)(x)
    monkeypatch.delenv("TRITON_INTERPRET")
    fused_block.can_fuse.cache_clear()
    FusedBlock(8)(x)
    fused_block.can_fuse.cache_clear()


def test_without_triton_the_log_says_so_once(monkeypatch):
    lines = []
    monkeypatch.setattr(fused_block, "find_spec", lambda name: None)
    monkeypatch.setattr(fused_block, "print_log", lambda text, **_: lines.append(text))
    fused_block.can_fuse.cache_clear()
    assert not any(FusedBlock(8).fuses("cuda") for _ in range(3))
    fused_block.can_fuse.cache_clear()
    assert lines == ["blocks are not fused: no Triton here"]


@pytest.mark.parametrize("kind", [FusedBlock, Block])
def test_a_backbone_takes_it_by_name(kind):
    network = ConvNeXtV2(ARCH, drop_path_rate=0.1, block=f"convnextv2.{kind.__name__}")
    blocks = [block for stage in network.stages for block in stage]
    assert {type(block) for block in blocks} == {kind}
    assert {type(block.grn) for block in blocks} == {GRN}
    assert isinstance(blocks[-1].drop_path, DropPath)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dim", [40, 512, 2816])
def test_kernels_compile_for_gpus(capability, dim):
    # Without Triton's interpreter, so in a process of its own.
    script = os.path.join(os.path.dirname(__file__), "compile_kernels.py")
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, script, str(capability), str(dim)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    kernels = dict(line.split() for line in done.stdout.splitlines())
    assert len(kernels) == 12
    memory = {80: 163, 90: 227}[capability] * 1024  # of a program, CUDA's table of capabilities
    assert max(map(int, kernels.values())) <= memory
