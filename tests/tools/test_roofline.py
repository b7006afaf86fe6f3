"""benchmark.py roofline counts what can be counted by hand, and networks without their weights."""

import argparse
import json
from functools import partial

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from convnextv2.backbone import GRN, Block, CBAMResponse, ConvNeXtV2, NoResponseNorm
from convnextv2.engine.errors import InputError
from convnextv2.pretrain import FCMAE
from convnextv2.tools.analysis_tools.benchmarks import roofline, roofline_compiled
from convnextv2.tools.analysis_tools.benchmarks.roofline_compiled import CountedBlock
from convnextv2.tools.analysis_tools.benchmarks.roofline_counter import (
    TrafficCounter,
    bfloat16_as_on_gpu,
)

ARCH = {"depths": (1, 1, 1, 1), "channels": (8, 16, 32, 64)}


def count(function, *shapes, dtype=torch.float32):
    """Traffic of a function of fake tensors of these shapes."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        tensors = [torch.empty(shape, dtype=dtype) for shape in shapes]
    with TrafficCounter(mode) as counter:
        function(*tensors)
    return counter.traffic


@pytest.mark.parametrize(
    ("function", "shapes", "numbers", "launches"),
    [
        (lambda a: a + 1, [(10, 3)], 30 + 30, 1),
        (lambda a, b: a * b, [(10, 3), (3,)], 30 + 3 + 30, 1),
        (lambda a: a * a, [(10, 3)], 30 + 30, 1),  # the same memory is read once
        (lambda a: a.expand(10, 3).sum(), [(1, 3)], 3 + 1, 1),  # what is repeated, too
        (lambda a: a.add_(1), [(10, 3)], 30 + 30, 1),
        (lambda a: a.zero_(), [(10, 3)], 30, 1),
        (lambda a, b: a.copy_(b), [(10, 3), (3,)], 30 + 3, 1),
        (lambda a: a.new_zeros(7), [(10, 3)], 7, 1),
        (lambda a: a.new_empty(7), [(10, 3)], 0, 0),
        (lambda a: a.t().view(3, 2, 5).flatten().float(), [(10, 3)], 30 + 30, 1),  # one copy
        (lambda a: a[:, :1].squeeze_(1), [(10, 3)], 0, 0),
        (lambda *t: torch._foreach_copy_(t[:2], t[2:]), [(10, 3)] * 4, 4 * 30, 1),
        (lambda a: a.view(5, 6).permute(1, 0)[2:].detach().to(a.dtype), [(10, 3)], 0, 0),
        (lambda a, b: a @ b, [(10, 3), (3, 4)], 30 + 12 + 40, 1),
    ],
)
def test_bytes_and_launches_counted_by_hand(function, shapes, numbers, launches):
    traffic = count(function, *shapes)
    assert (traffic.moved, traffic.launches) == (4 * numbers, launches)
    assert traffic.moved == sum(traffic.moved_by.values())


def test_rows_picked_and_placed_are_what_counts_not_what_lies_around_them():
    rows = torch.tensor([4, 1])  # 16 bytes
    traffic = count(lambda a: a.index_select(0, rows), (10, 3))
    assert traffic.moved == 4 * (6 + 6) + 16
    traffic = count(lambda a, b: a.index_copy_(0, rows, b), (10, 3), (2, 3))
    assert traffic.moved == 4 * (6 + 6) + 16


def test_what_is_done_on_the_host_costs_nothing():
    traffic = count(lambda a: torch.ones(9).cumsum(0).nonzero(), (2,))
    assert (traffic.moved, traffic.launches) == (0, 0)


def test_operations_of_products_and_of_grouped_convolutions_and_their_gradients():
    assert count(lambda a, b: a @ b, (10, 3), (3, 4)).flops == 2 * 10 * 3 * 4

    def depthwise(x, weight):
        weight.requires_grad_()
        y = nn.functional.conv2d(x.requires_grad_(), weight, padding=3, groups=5)
        if backward:
            y.sum().backward()

    backward = False
    forward = 2 * (2 * 5 * 8 * 8) * 49
    assert count(depthwise, (2, 5, 8, 8), (5, 1, 7, 7)).flops == forward
    backward = True
    assert count(depthwise, (2, 5, 8, 8), (5, 1, 7, 7)).flops == 3 * forward


def test_casts_are_a_gpus():
    """Weights, biases and inputs of linear layers to bfloat16, those of LayerNorm to float32."""

    def layers(x, weight):
        with bfloat16_as_on_gpu():
            y = nn.functional.layer_norm(nn.functional.linear(x, weight), (4,))
        assert y.dtype == torch.float32

    traffic = count(layers, (10, 3), (4, 3))
    assert traffic.kernels == {"_to_copy": 3, "mm": 1, "native_layer_norm": 1}
    casts = (30 + 12) * (4 + 2) + 40 * (2 + 4)
    assert traffic.moved_by["_to_copy"] == casts


@pytest.mark.parametrize("encoder", roofline.ENCODERS)
def test_a_step_of_pretraining_is_counted_without_values(encoder):
    def build():
        return FCMAE({"type": "convnextv2.ConvNeXtV2", "arch": ARCH}, encoder, decoder_dim=32)

    found = roofline.count_step(build, roofline.fcmae_losses, (2, 64, 64))
    total = found["forward"] + found["backward"] + found["AdamW"]
    assert (found["training"].moved, found["training"].flops) == (total.moved, total.flops)
    assert found["inference"].flops == found["forward"].flops
    # Twice the forward pass, but that the image has no gradient.
    assert 1.8 < found["backward"].flops / found["forward"].flops <= 2
    number = sum(p.numel() for p in build().parameters())
    steps = 4 * sum(1 for _ in build().parameters())  # a counter for each
    # Weights, moments: read and written; gradients read.
    assert found["AdamW"].moved == pytest.approx(28 * number, abs=3 * steps)


def test_compiled_blocks_compute_the_same_and_move_less():
    def build(block):
        return lambda: FCMAE(
            {"type": "convnextv2.ConvNeXtV2", "arch": ARCH, "block": block}, decoder_dim=32
        )

    eager, compiled = (
        roofline.count_step(build(block), roofline.fcmae_losses, (2, 64, 64))
        for block in (Block, CountedBlock)
    )
    for step in ("inference", "forward", "backward", "AdamW"):
        assert compiled[step].flops == eager[step].flops
    for step in ("forward", "backward"):
        assert compiled[step].moved < eager[step].moved
        assert compiled[step].launches < eager[step].launches
        assert compiled[step].kernels["fused"]
        assert not eager[step].kernels["fused"]
    assert compiled["AdamW"] == eager["AdamW"]
    assert compiled["inference"] == eager["inference"]


def test_fused_blocks_compute_the_same_and_move_less():
    size = (2, 64, 96)

    def count_steps(**options):
        args = argparse.Namespace(compiled=False, **options)
        block = roofline._block(args)
        build = partial(ConvNeXtV2, ARCH, block=block)
        return roofline.count_step(build, roofline.backbone_losses, size)

    eager, fused = count_steps(fused=False), count_steps(fused=True)
    blocks = sum(ARCH["depths"])
    for step in ("forward", "backward"):
        # Weights times beta is a product of matrices in one of them alone.
        assert fused[step].flops == pytest.approx(eager[step].flops, rel=2e-2)
        assert fused[step].moved < 0.85 * eager[step].moved
        assert fused[step].launches < 0.6 * eager[step].launches
    assert fused["forward"].kernels["depthwise_norm"] == blocks
    assert fused["backward"].kernels["response_grad_input"] == blocks
    # The gradient of the first linear layer: gradient, input and weights in bfloat16, the vectors
    # of an image and the sums of a tile of 64 rows in float32. Of the first stage's block:
    rows, channels, images = 2 * 16 * 24, 8, 2
    first = 2 * (rows * channels + 2 * rows * 4 * channels + 4 * channels**2)
    first += 4 * (2 * images + rows // 64) * 4 * channels
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        tensors = [
            torch.empty(*shape, dtype=torch.bfloat16)
            for shape in ((rows, channels), (rows, 4 * channels), (channels, 4 * channels))
        ]
        vectors = [torch.empty(images, 4 * channels) for _ in range(2)]
    with TrafficCounter(mode) as counter:
        torch.ops.convnextv2.response_grad_input(*tensors, *vectors)
    assert (counter.traffic.moved, counter.traffic.launches) == (first, 1)


def test_blocks_that_look_around_are_counted_as_they_run():
    """Not compiled; nor do blocks of the same sizes share the plan of others."""

    def count_training(block, response_norm):
        def build():
            return ConvNeXtV2(ARCH, block=block, response_norm=response_norm)

        return roofline.count_step(build, roofline.backbone_losses, (2, 64, 64))["training"]

    looking = count_training(CountedBlock, CBAMResponse)
    eager = count_training(Block, CBAMResponse)
    assert not looking.kernels["fused"]
    assert (looking.moved, looking.launches) == (eager.moved, eager.launches)
    grn, none = (count_training(CountedBlock, norm) for norm in (GRN, NoResponseNorm))
    assert grn.kernels["fused"]
    assert grn.moved > none.moved


def test_a_plan_is_counted_by_hand():
    """Two products of elements are one kernel; a matrix product is its own."""

    def function(a, b):
        return (a * 2 + 1) @ b

    mode = FakeTensorMode()
    with mode:
        a, b = torch.empty(10, 3), torch.empty(3, 4)
        graph = make_fx(function, tracing_mode="real")(a, b)
    plan = roofline_compiled.plan(graph, [a, b], is_backward=False)
    assert plan.kernels == {"fused": 1, "extern_kernels.mm": 1}
    assert plan.moved == 4 * (30 + 30 + 30 + 12 + 40)
    assert plan.flops == 2 * 10 * 3 * 4


def test_the_command_writes_what_it_shows_and_refuses_what_it_cannot_count(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    roofline.add_arguments(parser)
    size = ["--arch", "atto", "--batch", "2", "--shape", "64", "64"]
    file = tmp_path / "figures.json"
    roofline.run(parser.parse_args(["backbone", *size, "--json", str(file), "--kernels"]), "")
    figures = {f["step"]: f for f in json.loads(file.read_text())}
    f = figures["training"]
    assert f["images_per_s_by_bandwidth"] == pytest.approx(3e12 / (f["mb_per_image"] * 1e6))
    assert f["images_per_s_by_flops"] == pytest.approx(790e12 / (f["gflop_per_image"] * 1e9))
    shown = capsys.readouterr().out
    assert f"{f['mb_per_image']:.1f}" in shown
    assert "backbone: _fused_adamw_, 1 times" in shown
    for wrong in (["backbone", "--arch", "giant"], ["backbone", "--bandwidth", "0"]):
        with pytest.raises(InputError):
            roofline.run(parser.parse_args(wrong), "")
