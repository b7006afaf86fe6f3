"""What compiled blocks move and launch, on fake tensors: inductor plans kernels, and builds none.

A planned kernel reads its inputs and writes its outputs once. Plans are those for a CPU, on which
inductor fuses much as for a GPU. The depthwise convolution's backward pass counts as torch's own.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch._functorch.aot_autograd import aot_function, make_boxed_func
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._inductor import compile_fx
from torch._inductor.debug import DebugContext
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.graph import GraphLowering
from torch._inductor.scheduler import NopKernelSchedulerNode
from torch._inductor.virtualized import V
from torch._subclasses.fake_tensor import FakeTensor
from torch.func import functional_call
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg
from torch.utils._python_dispatch import (
    _disable_current_modes,
    _get_current_dispatch_mode_stack,
)
from torch.utils.flop_counter import flop_registry

from convnextv2.backbone import Block, CompiledBlock
from convnextv2.backbone.compiled import mlp_of_pixels
from convnextv2.tools.analysis_tools.benchmarks.roofline_counter import Traffic, TrafficCounter


class CountedBlock(CompiledBlock):
    """`CompiledBlock` on fake tensors: a `TrafficCounter` counts the plans of its `mlp`."""

    def compiled_mlp(self, x: Tensor) -> Tensor:
        """The same values' shapes, and what the compiled function would move."""
        assert isinstance(x, FakeTensor)
        kinds = tuple(type(layer) for layer in self.children())
        mixed = torch.is_autocast_enabled("cpu")
        planned = _plan_mlp(x.fake_mode, kinds, tuple(x.shape), x.dtype, mixed)
        counter = _find_counter()
        with _disable_current_modes(), x.fake_mode:
            y = planned.function(self, x)
        counter.traffic += planned.forward
        return y


def plan(graph: GraphModule, inputs: Sequence, is_backward: bool) -> Traffic:
    """What inductor's kernels for a graph move, by their kind."""
    fake_mode = compile_fx.fake_tensor_prop(graph, inputs)
    with V.set_fake_mode(fake_mode):
        compile_fx._recursive_post_grad_passes(graph, False)
    compile_fx.record_original_output_strides(graph)
    lowering = GraphLowering(
        graph, example_inputs=inputs, shape_env=fake_mode.shape_env, is_backward=is_backward
    )
    handlers = (
        V.set_graph_handler(lowering),
        V.set_fake_mode(fake_mode),
        V.set_extern_kernel_nodes([]),
        V.set_debug_handler(DebugContext()),
    )
    traffic = Traffic(flops=sum(map(_operations, graph.graph.nodes)))
    with handlers[0], handlers[1], handlers[2], handlers[3]:
        lowering.run(*inputs)
        lowering.init_wrapper_code()
        lowering._update_scheduler()
        for node in lowering.scheduler.nodes:
            if isinstance(node, NopKernelSchedulerNode):
                continue
            moved = node.get_read_write_buffers_sizes()
            name = getattr(node.node, "python_kernel_name", None) or "fused"
            traffic.moved += moved
            traffic.kernels[name] += 1
            traffic.moved_by[name] += moved
    return traffic


class _PlannedMLP:
    """The `mlp` of blocks of one width as inductor would run it, and what its kernels move."""

    def __init__(self) -> None:
        self.forward, self.backward = Traffic(), Traffic()
        self.run: Callable | None = None

    def function(self, block: Block, x: Tensor) -> Tensor:
        parameters = {f"block.{name}": value for name, value in block.named_parameters()}
        if self.run is None:  # planned by the first block of a kind, and used by the others
            self.run = aot_function(
                partial(functional_call, _OnlyMLP(block)),
                fw_compiler=self._compile_forward,
                bw_compiler=self._compile_backward,
                partition_fn=_partition,
                decompositions=select_decomp_table(),
            )
        return self.run(parameters, (x,))

    def _compile_forward(self, gm: GraphModule, example_inputs: Sequence) -> Callable:
        self.forward = plan(gm, example_inputs, is_backward=False)
        return make_boxed_func(gm)

    def _compile_backward(self, gm: GraphModule, example_inputs: Sequence) -> Callable:
        with _disable_current_modes():
            self.backward = plan(gm, example_inputs, is_backward=True)

        def run(*args: Any) -> Any:
            counter = _find_counter()
            (fake_mode,) = {a.fake_mode for a in args if isinstance(a, FakeTensor)}
            with _disable_current_modes(), fake_mode:
                out = gm(*args)
            counter.traffic += self.backward
            return out

        return make_boxed_func(run)


class _OnlyMLP(torch.nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return mlp_of_pixels(self.block, x)


@cache
def _plan_mlp(*like: object) -> _PlannedMLP:
    """The plan that blocks share of which all this is the same."""
    return _PlannedMLP()


def _find_counter() -> TrafficCounter:
    modes = _get_current_dispatch_mode_stack()
    return next(mode for mode in reversed(modes) if isinstance(mode, TrafficCounter))


def _partition(graph: GraphModule, inputs: Any, **options: Any) -> Any:
    """Into forward and backward pass, as inductor does it."""
    compile_fx._recursive_joint_graph_passes(graph)
    return min_cut_rematerialization_partition(graph, inputs, compiler="inductor", **options)


def _operations(node: Node) -> int:
    """Floating-point operations of a matrix product; 0 of anything else."""
    count = flop_registry.get(getattr(node.target, "overloadpacket", None))
    if count is None:
        return 0
    args, kwargs = map_arg((node.args, node.kwargs), lambda n: n.meta["val"])
    return count(*args, **kwargs, out_val=node.meta["val"])
