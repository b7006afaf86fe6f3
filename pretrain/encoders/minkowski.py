"""The paper's own way: sparse tensors of MinkowskiEngine (section 3.1), to compare with.

Needs the extra ``[minkowski]``, which `make minkowski` builds. The parameters are those of the
backbone, laid out as MinkowskiEngine wants them: one matrix for each kernel position, the
horizontal one running slowest. `packed.py` gives the same values several times faster.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from convnextv2.backbone import Block, ConvNeXtV2, LayerNorm2d

from .dense import check_counts, resize_mask


def encode_minkowski(
    backbone: ConvNeXtV2, images: Tensor, mask: Tensor, out_indices: Sequence[int] = (3,)
) -> tuple[Tensor, ...]:
    """Run the backbone on the visible patches of images; the same contract as `encode_dense`.

    Raises:
        ImportError: MinkowskiEngine is not installed.
    """
    me = _import_minkowski()
    check_counts(mask)
    x = backbone.downsample_layers[0](images)
    size = x.shape[2:]
    pixels = resize_mask(mask, size)[:, 0].nonzero().to(x.device)  # (N, 3): image, row, column
    x = x.permute(0, 2, 3, 1)[tuple(pixels.T)]  # (N, C)
    x = me.SparseTensor(x, coordinates=pixels.int().contiguous())
    maps = {}
    for i, (downsample, stage) in enumerate(backbone.levels()):
        if i > 0:
            x = _downsample(me, downsample, x)
        for block in stage:
            rows = backbone.run(_run_block, x.F, me, block, x, len(images))
            x = _with_rows(me, x, rows)
        maps[i] = _to_map(x, len(images), size)
    return tuple(maps[i] for i in out_indices)


def _to_map(x: Any, batch_size: int, size: Sequence[int]) -> Tensor:
    """A sparse tensor, whose stem's map was of this size, as a map (B, C, H, W)."""
    image, row, column = x.C.long().T
    stride = x.tensor_stride[0]
    features = x.F.new_zeros(batch_size, size[0] // stride, size[1] // stride, x.F.shape[1])
    features = features.index_put((image, row // stride, column // stride), x.F)
    return features.permute(0, 3, 1, 2)


def _import_minkowski() -> Any:
    try:
        import MinkowskiEngine
    except ImportError as error:
        raise ImportError(
            "encoder='minkowski' needs MinkowskiEngine 0.5.4; build it with `make minkowski`, or "
            "use the default encoder='packed', which gives the same values"
        ) from error
    return MinkowskiEngine


def _downsample(me: Any, downsample: nn.Sequential, x: Any) -> Any:
    """Norm and 2x2 convolution of stride 2."""
    norm, conv = cast("tuple[LayerNorm2d, nn.Conv2d]", tuple(downsample))
    assert conv.bias is not None  # in every layer of the backbone
    dims = {"in_channels": conv.in_channels, "out_channels": conv.out_channels}
    with torch.random.fork_rng(devices=[]):  # it draws parameters of its own, not used here
        sparse = me.MinkowskiConvolution(**dims, kernel_size=2, stride=2, bias=True, dimension=2)
    kernel = conv.weight.permute(3, 2, 1, 0).flatten(0, 1)  # (2*2, in, out)
    parameters = {"kernel": kernel.contiguous(), "bias": conv.bias[None]}
    rows = norm.rows(x.F).to(conv.weight.dtype)  # this convolution knows no autocast
    return functional_call(sparse, parameters, (_with_rows(me, x, rows),))


def _run_block(rows: Tensor, me: Any, block: Block, x: Any, batch_size: int) -> Tensor:
    """New rows of a sparse tensor from its rows, which are an argument to be recomputed from."""
    image = x.C[:, 0].long()
    order = image.argsort()  # image after image, as many rows of each
    back = order.argsort()

    def convolve(conv: nn.Conv2d, rows: Tensor) -> Tensor:
        y = _convolve(me, conv, _with_rows(me, x, rows.flatten(0, 1)[back].to(conv.weight.dtype)))
        return y[order].unflatten(0, (batch_size, -1))

    h = F.gelu(block.pwconv1(block.norm(_convolve(me, block.dwconv, _with_rows(me, x, rows)))))
    h = block.grn.respond(h[order].unflatten(0, (batch_size, -1)), convolve)
    h = block.drop_path(block.layer_scale(block.pwconv2(h)))
    return rows + h.flatten(0, 1)[back]


def _convolve(me: Any, conv: nn.Conv2d, x: Any) -> Tensor:
    """Rows of a convolution of stride 1 of a sparse tensor."""
    assert conv.bias is not None
    size, dims = conv.kernel_size[0], {"in_channels": conv.in_channels}
    if conv.groups == 1:
        layer, dims["out_channels"] = me.MinkowskiConvolution, conv.out_channels
    else:
        layer = me.MinkowskiChannelwiseConvolution
    with torch.random.fork_rng(devices=[]):
        sparse = layer(**dims, kernel_size=size, bias=True, dimension=2)
    kernel = conv.weight.permute(3, 2, 1, 0).flatten(0, 1)  # (7*7, in or 1, out)
    if conv.groups > 1:
        kernel = kernel[:, 0]
    parameters = {"kernel": kernel.contiguous(), "bias": conv.bias[None]}
    return functional_call(sparse, parameters, (x,)).F


def _with_rows(me: Any, x: Any, rows: Tensor) -> Any:
    return me.SparseTensor(
        rows, coordinate_map_key=x.coordinate_map_key, coordinate_manager=x.coordinate_manager
    )
