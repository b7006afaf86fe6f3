"""What the paper compares GRN with: ConvNeXt V1's block, other forms of GRN, other layers.

Each goes into `response_norm` of a backbone or a decoder, `LayerScale` into `layer_scale`; V1's
block is `NoResponseNorm` with `LayerScale`. Rows (B, N, C) are of the pixels that exist, so that
every statistic here is over visible pixels only when a network is pre-trained.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnextv2.registry import MODELS

from .grn import GRN, Convolve, ResponseNorm


@MODELS.register_module()
class NoResponseNorm(ResponseNorm):
    """Nothing, as in ConvNeXt V1."""

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """The rows as they are."""
        return x


@MODELS.register_module()
class LayerScale(nn.Module):
    """ConvNeXt V1's factor of each channel of the residual branch, at first close to 0."""

    no_weight_decay = frozenset({"scale"})

    def __init__(self, dim: int, init_value: float = 1e-6) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), init_value))

    def forward(self, x: Tensor) -> Tensor:
        """Scale rows (B, N, C)."""
        return self.scale * x


def _average(x: Tensor) -> Tensor:
    return x.mean(1, keepdim=True, dtype=_statistics(x))


def _l1(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, ord=1, dim=1, keepdim=True, dtype=_statistics(x))


def _l2(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, ord=2, dim=1, keepdim=True, dtype=_statistics(x))


def _statistics(x: Tensor) -> torch.dtype:
    """At least float32: a sum over pixels may overflow half precision."""
    return torch.promote_types(x.dtype, torch.float32)


def _divide(gx: Tensor) -> Tensor:
    return gx / (gx.mean(dim=-1, keepdim=True) + 1e-6)


def _standardize(gx: Tensor) -> Tensor:
    return F.layer_norm(gx, gx.shape[-1:], eps=1e-6)


Statistic = Callable[[Tensor], Tensor]
AGGREGATIONS: dict[str, Statistic] = {"l2": _l2, "l1": _l1, "average": _average}
NORMALIZATIONS: dict[str, Statistic] = {
    "divisive": _divide,
    "standardizing": _standardize,
    "none": lambda gx: gx,
}


@MODELS.register_module()
class GRNVariant(ResponseNorm):
    """GRN with another aggregation, normalisation, or without its residual (paper, section 3.2).

    ``y = gamma * (x * N(G(x))) + beta (+ x)``. With the defaults it is `GRN`.

    Args:
        dim: Channels.
        aggregation: G, from the pixels of an image to a number for each channel: ``l2`` or ``l1``
            norm, or the ``average``, which may be negative.
        normalization: N, among an image's channels: ``divisive``, by their mean;
            ``standardizing``, less the mean and by the deviation; or ``none``.
        residual: Add x. Without it `gamma` starts at 1, as with 0 nothing would pass.

    Raises:
        ValueError: An unknown aggregation or normalization.
    """

    no_weight_decay = frozenset({"gamma", "beta"})

    def __init__(
        self,
        dim: int,
        aggregation: str = "l2",
        normalization: str = "divisive",
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.aggregate = _choose("aggregation", aggregation, AGGREGATIONS)
        self.normalize = _choose("normalization", normalization, NORMALIZATIONS)
        self.residual = float(residual)
        self.gamma = nn.Parameter(torch.full((dim,), 1 - self.residual))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows (B, N, C)."""
        nx = self.normalize(self.aggregate(x))
        return (self.gamma * (x * nx) + self.beta + self.residual * x).to(x.dtype)


def _choose(what: str, name: str, known: dict[str, Statistic]) -> Statistic:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; choose one of {', '.join(known)}")
    return known[name]


@MODELS.register_module()
class BatchGRN(GRN):
    """GRN whose norm is over the pixels of all images of a process's batch.

    So the released code pre-trains (its sparse GRN; facebookresearch/ConvNeXt-V2 issue 86), and
    fine-tunes with `GRN`, which has the same parameters. An image's features then depend on the
    other images of its batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows (B, N, C)."""
        return super().forward(_one_image(x)).view_as(x)

    def then_linear(self, x: Tensor, linear: nn.Linear, convolve: Convolve) -> Tensor:
        """The linear layer of the normalised rows, folded into one operation."""
        rows = super().then_linear(_one_image(x), linear, convolve)
        return rows[0].unflatten(0, x.shape[:2])


def _one_image(x: Tensor) -> Tensor:
    return x.flatten(0, 1)[None]  # (1, B*N, C)


@MODELS.register_module()
class LRNResponse(ResponseNorm):
    """Local response normalisation among `size` neighbouring channels, with AlexNet's constants.

    ``y_c = x_c / (k + alpha / size * sum of x_d^2 over the channels d around c) ** beta``
    """

    def __init__(
        self, dim: int, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        super().__init__()
        self.norm = nn.LocalResponseNorm(size, alpha, beta, k)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows (B, N, C)."""
        x32 = x.to(_statistics(x)).transpose(1, 2)  # a square may overflow half precision
        return self.norm(x32).transpose(1, 2).to(x.dtype)


@MODELS.register_module()
class BNResponse(ResponseNorm):
    """Batch normalisation: of each channel, over the pixels of all images of a process's batch.

    ``sync_bn='torch'`` of a config takes all processes' batches together. With `with_cp` of the
    backbone each batch counts twice in the running statistics.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows (B, N, C)."""
        return self.norm(x.flatten(0, 1)).view_as(x)


@MODELS.register_module()
class LNResponse(ResponseNorm):
    """Layer normalisation: of each pixel, over its channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows (B, N, C)."""
        return self.norm(x)


@MODELS.register_module()
class SEResponse(ResponseNorm):
    """Squeeze-and-excitation (arXiv 1709.01507): ``x * sigmoid(MLP(mean of x over pixels))``.

    Args:
        dim: Channels.
        reduction: The gate's hidden layer has `dim` / `reduction` channels.
    """

    def __init__(self, dim: int, reduction: int = 16) -> None:
        super().__init__()
        self.gate = _make_gate(dim, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """Gate rows (B, N, C)."""
        return x * self.gate(x.mean(1, keepdim=True)).sigmoid()


@MODELS.register_module()
class CBAMResponse(ResponseNorm):
    """CBAM (arXiv 1807.06521): a gate of the channels, then one of the pixels.

    The first is ``sigmoid(MLP(mean) + MLP(max))`` over pixels, the second the sigmoid of a 7x7
    convolution of the mean and the max over channels. Arguments are those of `SEResponse`.
    """

    def __init__(self, dim: int, reduction: int = 16) -> None:
        super().__init__()
        self.gate = _make_gate(dim, reduction)
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3)

    def respond(self, x: Tensor, convolve: Convolve) -> Tensor:
        """Gate rows (B, N, C)."""
        x = x * (self.gate(x.mean(1, keepdim=True)) + self.gate(x.amax(1, keepdim=True))).sigmoid()
        pixels = torch.cat([x.mean(-1, keepdim=True), x.amax(-1, keepdim=True)], dim=-1)
        return x * convolve(self.conv, pixels).sigmoid()


def _make_gate(dim: int, reduction: int) -> nn.Module:
    hidden = max(dim // reduction, 1)
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
