"""How good frozen features are: a k-NN classifier and a linear one on them, and folds of images.

Features are (N, D), labels int64 (N,) from 0 on.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = 20
TEMPERATURE = 0.07
DECAY = 1e-3  # of the linear probe


def knn_scores(
    queries: Tensor,
    features: Tensor,
    labels: Tensor,
    classes: int,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Votes of the nearest neighbours (Wu et al., 2018, section 3.4; the values are DINO's).

    Each of the k labelled images of the largest cosine votes for its class by
    exp(cosine / temperature).

    Args:
        queries: (M, D).
        features: Of labelled images; if there are less than k, all of them vote.
        labels: Of these.
        classes: Their number.
        k: Neighbours.
        temperature: Small: the nearest count most.

    Returns:
        (M, classes).
    """
    cosine = F.normalize(queries, dim=1) @ F.normalize(features, dim=1).T
    return _vote(cosine, labels, classes, k, temperature)


def knn_leave_one_out(
    features: Tensor,
    labels: Tensor,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> float:
    """Top-1 of `knn_scores` where each image asks all others."""
    unit = F.normalize(features, dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
    k = min(k, len(labels) - 1)
    scores = _vote(cosine, labels, int(labels.max()) + 1, k, temperature)
    return top1(scores, labels)


def _vote(cosine: Tensor, labels: Tensor, classes: int, k: int, temperature: float) -> Tensor:
    nearest, places = cosine.topk(min(k, cosine.shape[1]), dim=1)
    # Less the largest, a common factor: float32 would overflow at small temperatures.
    votes = ((nearest - nearest[:, :1]) / temperature).exp()
    scores = votes.new_zeros(len(cosine), classes)
    return scores.scatter_add_(1, labels[places], votes)


class LinearProbe(NamedTuple):
    """Logistic regression on standardised features."""

    mean: Tensor
    std: Tensor
    weight: Tensor
    """(classes, D)."""
    bias: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """Logits (N, classes)."""
        x = (features.double() - self.mean) / self.std
        return F.linear(x, self.weight, self.bias)


def fit_linear(
    features: Tensor, labels: Tensor, classes: int, decay: float = DECAY, steps: int = 500
) -> LinearProbe:
    """Fit by L-BFGS in float64, from zeros, so that nothing is drawn.

    The least of the mean cross-entropy + decay / 2 * |weight|^2, of features less their mean,
    divided by their standard deviation; features that do not vary are left out so.

    Args:
        features: (N, D).
        labels: (N,).
        classes: Their number.
        decay: Of the weights, not of the biases.
        steps: At most.
    """
    x = features.double()
    std, mean = torch.std_mean(x, dim=0, correction=0)
    std = torch.where(std > 1e-12 * mean.abs().clamp_min(1e-30), std, torch.inf)
    x = (x - mean) / std
    weight = x.new_zeros(classes, x.shape[1], requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=steps,
        tolerance_grad=1e-6,
        tolerance_change=1e-10,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(x, weight, bias), labels)
        value = value + decay / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return LinearProbe(mean, std, weight.detach(), bias.detach())


def top1(scores: Tensor, labels: Tensor) -> float:
    """Share of the images whose own class has the highest score, from 0 to 1."""
    return (scores.argmax(dim=1) == labels).double().mean().item()


def make_folds(labels: Tensor, folds: int, seed: int = 0) -> Tensor:
    """Which fold each image belongs to, (N,): shuffled, every class in equal parts.

    Raises:
        ValueError: Less than two folds, or a class has less images than there are folds.
    """
    counts = labels.bincount()
    least = int(counts[counts > 0].min())
    if not 2 <= folds <= least:
        raise ValueError(
            f"folds must be 2 to {least}, the images of the smallest class; got {folds}"
        )
    generator = torch.Generator().manual_seed(seed)
    fold = torch.empty(len(labels), dtype=torch.int64)
    first = 0  # goes on from class to class, so that the folds are of one size
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        fold[members] = (torch.arange(len(members)) + first) % folds
        first += len(members)
    return fold


class Score(NamedTuple):
    """Top-1 over folds."""

    mean: float
    std: float
    """Of the folds, with n - 1."""


class ProbeScores(NamedTuple):
    """What the two probes say of a stage's features."""

    knn: Score
    linear: Score


def probe(
    features: Tensor,
    labels: Tensor,
    fold: Tensor,
    held_out: tuple[Tensor, Tensor] | None = None,
) -> ProbeScores:
    """Probe features fold by fold.

    Args:
        features: (N, D).
        labels: (N,).
        fold: (N,), see `make_folds`. Each fold in turn is what is tested, the others are what is
            learned from.
        held_out: Features and labels that are tested instead, every time.
    """
    classes = int(labels.max()) + 1
    if held_out is not None:
        classes = max(classes, int(held_out[1].max()) + 1)
    found: list[tuple[float, float]] = []
    for i in fold.unique().tolist():
        known = fold != i
        x, y = features[known], labels[known]
        tested, truth = held_out or (features[~known], labels[~known])
        knn = knn_scores(tested, x, y, classes)
        linear = fit_linear(x, y, classes).scores(tested)
        found.append((top1(knn, truth), top1(linear, truth)))
    std, mean = torch.std_mean(torch.tensor(found, dtype=torch.float64), dim=0)
    return ProbeScores(*(Score(m, s) for m, s in zip(mean.tolist(), std.tolist(), strict=True)))


def principal_map(features: Tensor) -> tuple[Tensor, list[float]]:
    """Places of images on a map: the two directions in which their features vary most.

    Args:
        features: (N, D).

    Returns:
        (N, 2), float64, in the units of the features; and the share of the variance that each
        direction has. Signs are such that the largest weight of a direction is positive.
    """
    x = features.double()
    x = x - x.mean(dim=0)
    _, values, directions = torch.linalg.svd(x, full_matrices=False)
    directions = F.pad(directions, (0, 0, 0, max(0, 2 - len(directions))))[:2]
    signs = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)).sign()
    squares = values.square()
    total = squares.sum().clamp_min(1e-300)
    shares = F.pad(squares / total, (0, max(0, 2 - len(values))))[:2]
    return x @ (directions * signs).T, shares.tolist()
