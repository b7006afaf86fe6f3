"""Where rows lie: features (B, N, C) of pixels of maps that exist, N of each image."""

from typing import NamedTuple, Protocol

from torch import Tensor, nn


class Neighbours(NamedTuple):
    """Where rows lie, for kernels that find the 7x7 pixels around each.

    Attributes:
        height: Of the maps, in pixels.
        width: Of the maps, in pixels.
        rows: int32 (B, height + 6, width + 6), the number of the row at each place and -1 where
            none is, with three places of margin. Without it, all pixels are rows, in order.
        places: int32 (B*N,), the place of each row among those of `rows`, flattened.
    """

    height: int
    width: int
    rows: Tensor | None = None
    places: Tensor | None = None


class Grid(Protocol):
    """What a block needs to know of where its rows lie."""

    @property
    def neighbours(self) -> Neighbours:
        """The same as tables."""

    def convolve(self, conv: nn.Conv2d, rows: Tensor) -> Tensor:
        """Run a convolution of stride 1, which keeps the size, among rows (B, N, C)."""
