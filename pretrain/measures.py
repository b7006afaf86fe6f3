"""What features are like: how alike their channels are, how many work, how many there really are.

Features are (B, C, N), N pixels of each image, or are made so from maps by `flatten(2)`. Sums are
in float64. What needs more than one image is gathered batch by batch by an object with `add`.
"""

import torch
from torch import Tensor

# Of channels, measured over all pixels of all images. The paper speaks of dead and saturated
# feature maps (section 3.2) and gives no limits; these are ours.
DEAD = 0.01  # root mean square, as a share of the whole layer's
SATURATED = 0.1  # standard deviation, as a share of the channel's own root mean square

ROWS = 16384  # that are in float64 at once


def channel_distance(features: Tensor) -> Tensor:
    """Mean cosine distance between the channels of each image (paper, section 3.2 and Fig. 4).

    (1 / C^2) sum_ij (1 - cos(X_i, X_j)) / 2, X_i the values of channel i at all pixels; the cosine
    with a channel that is 0 everywhere is 0. 0: all channels are alike. Unrelated channels give
    .5, trained or not, and so do constants of both signs: it finds one kind of collapse only.

    Args:
        features: (B, C, N).

    Returns:
        (B,), float64.
    """
    norms = torch.linalg.vector_norm(features, dim=2, dtype=torch.float64)
    # The sum over all pairs of unit vectors is the square of their sum's length. As a product it
    # needs no copy of the features, which of large images are what fills a GPU.
    weights = (1 / norms.clamp_min(1e-12)).to(features.dtype)
    total = torch.bmm(weights[:, None], features)[:, 0].double()  # (B, N)
    return (1 - total.square().sum(dim=1) / features.shape[1] ** 2).clamp_min(0) / 2


def effective_rank(singular_values: Tensor) -> float:
    """How many directions are used: exp of the entropy of the singular values' shares.

    From 1, all in one direction, to their number, all alike (Roy and Vetterli, The effective rank,
    EUSIPCO 2007). 0 if all are 0.
    """
    total = singular_values.sum()
    if total == 0:
        return 0.0
    shares = singular_values / total
    return torch.special.entr(shares).sum().exp().item()


def selectivity(means: Tensor) -> Tensor:
    """Class-selectivity index of channels (Morcos et al., 2018, section 3; paper, Fig. 7).

    (a - b) / (a + b), a the largest of a channel's mean activities by class, b the mean of its
    others. 0: the same for all classes, or no activity at all; 1: active for one class only.

    Args:
        means: (classes, C), two classes at least, none negative.

    Returns:
        (C,).
    """
    largest = means.max(dim=0).values
    others = (means.sum(dim=0) - largest) / (len(means) - 1)
    total = largest + others
    return torch.where(total > 0, (largest - others) / total.clamp_min(1e-300), 0)


class ClassMeans:
    """Gathers the mean activity of each channel by class: what of the features is above 0.

    An image counts by the mean over its pixels. Features before a rectifier have both signs, for
    which the index of selectivity is not made; their positive part is the activity.
    """

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self.counts: dict[int, int] = {}

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Take in the features (B, C, N) of images with their classes (B,)."""
        activity = features.clamp_min(0).mean(dim=2, dtype=torch.float64)
        for label in labels.unique().tolist():
            found = activity[labels == label]
            self.sums[label] = self.sums.get(label, 0) + found.sum(dim=0)
            self.counts[label] = self.counts.get(label, 0) + len(found)

    def selectivity(self) -> Tensor:
        """Of each channel, (C,)."""
        means = [self.sums[label] / self.counts[label] for label in sorted(self.sums)]
        return selectivity(torch.stack(means))


class ChannelStates:
    """Counts channels that do nothing: over all pixels of all images.

    Dead: the root mean square is at most `DEAD` of the layer's, or 0. Saturated: not dead, and
    the standard deviation is at most `SATURATED` of the channel's root mean square, so that it
    hardly depends on the pixel or the image.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sums: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, features: Tensor) -> None:
        """Take in features (B, C, N)."""
        self.count += len(features) * features.shape[2]
        self.sums = self.sums + features.sum(dim=(0, 2), dtype=torch.float64)
        norms = torch.linalg.vector_norm(features, dim=(0, 2), dtype=torch.float64)
        self.squares = self.squares + norms.square()

    def shares(self) -> tuple[float, float]:
        """Of all channels the share that is dead, and that which is saturated."""
        mean, square = torch.as_tensor(self.sums) / self.count, self.squares / self.count
        square = torch.as_tensor(square)
        rms = square.sqrt()
        dead = rms <= DEAD * square.mean().sqrt()
        deviation = (square - mean.square()).clamp_min(0).sqrt()
        saturated = ~dead & (deviation <= SATURATED * rms)
        return dead.double().mean().item(), saturated.double().mean().item()


class Spectrum:
    """Gathers the singular values of centred features, pixels of all images as rows.

    A value, divided by the root of the number of pixels, is the standard deviation along a
    direction of the channels' space.
    """

    def __init__(self) -> None:
        self.count = 0
        self.origin: Tensor | None = None

    def add(self, features: Tensor) -> None:
        """Take in features (B, C, N)."""
        rows = features.transpose(1, 2).flatten(0, 1)  # (B*N, C)
        if self.origin is None:
            # What is nearly the mean, so that little is lost when the mean is taken off.
            self.origin = rows.mean(dim=0, dtype=torch.float64)
            self.sums = torch.zeros_like(self.origin)
            self.products = self.origin.new_zeros(len(self.origin), len(self.origin))
        self.count += len(rows)
        for part in rows.split(ROWS):
            part = part.double() - self.origin
            self.sums += part.sum(dim=0)
            self.products += part.T @ part

    def singular_values(self) -> Tensor:
        """Divided by the root of the number of pixels, largest first, (C,)."""
        mean = self.sums / self.count
        covariance = self.products / self.count - mean[:, None] * mean
        values = torch.linalg.eigvalsh(covariance).flip(0)
        # Below this is the noise of the arithmetic.
        noise = values[0].clamp_min(0) * len(values) * torch.finfo(values.dtype).eps
        return torch.where(values > noise, values, 0).sqrt()

    def varying_share(self) -> float:
        """Of the mean square, the share that is not the same for every pixel and image."""
        assert self.origin is not None  # something was taken in
        mean = self.sums / self.count
        varying = (self.products.diagonal() / self.count - mean.square()).sum().item()
        total = varying + (self.origin + mean).square().sum().item()
        return varying / total if total > 0 else 0.0
