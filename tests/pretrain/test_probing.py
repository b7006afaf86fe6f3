"""The probes are their definitions, and see nothing of what they are tested on."""

import math

import numpy as np
import pytest
import torch

from convnextv2.pretrain.probing import (
    fit_linear,
    knn_leave_one_out,
    knn_scores,
    make_folds,
    principal_map,
    probe,
)

CLASSES = 4


@pytest.fixture
def features():
    """60 features of four classes that overlap, in float64."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (60,), generator=generator)
    centres = torch.randn(CLASSES, 6, dtype=torch.float64, generator=generator)
    noise = torch.randn(60, 6, dtype=torch.float64, generator=generator)
    return 3 + centres[labels] + noise, labels


def votes_by_loops(query, features, labels, k, temperature):
    cosines = [float(query @ x) / math.sqrt(float(query @ query) * float(x @ x)) for x in features]
    nearest = sorted(range(len(features)), key=lambda i: -cosines[i])[:k]
    votes = [0.0] * CLASSES
    for i in nearest:
        votes[labels[i]] += math.exp(cosines[i] / temperature)
    return np.array(votes) / sum(votes)


@pytest.mark.parametrize(("k", "temperature"), [(20, 0.07), (1, 0.07), (7, 1.0), (100, 0.5)])
def test_knn_is_the_loop(features, k, temperature):
    x, y = features
    scores = knn_scores(x[:10], x[10:], y[10:], CLASSES, k, temperature)
    for query, found in zip(x[:10], scores, strict=True):
        expected = votes_by_loops(query, x[10:], y[10:].tolist(), k, temperature)
        np.testing.assert_allclose(found / found.sum(), expected, atol=1e-12)


def test_votes_of_a_small_temperature_do_not_overflow(features):
    x, y = features
    scores = knn_scores(x[:5].float(), x.float(), y, CLASSES, k=3, temperature=1e-4)
    assert torch.isfinite(scores).all()
    assert scores.argmax(1).equal(y[:5])  # each is its own nearest


def test_leave_one_out_asks_all_others_and_not_itself(features):
    x, y = features
    right = []
    for i in range(len(x)):
        others = torch.arange(len(x)) != i
        votes = votes_by_loops(x[i], x[others], y[others].tolist(), 5, 0.07)
        right.append(votes.argmax() == y[i])
    assert knn_leave_one_out(x, y, k=5) == pytest.approx(np.mean(right))
    assert knn_leave_one_out(torch.eye(4), torch.arange(4)) == 0  # all classes have one image


def test_the_linear_probe_is_at_the_least_of_its_loss(features):
    """Against the gradient, written in numpy, of the standardised features' loss."""
    x, y = features
    x = torch.cat([x, torch.full((60, 1), 2.5)], 1)  # one that does not vary
    fitted = fit_linear(x, y, CLASSES, decay=0.01)
    z = x.numpy()
    z = (z - z.mean(0)) / np.where(z.std(0) > 1e-12, z.std(0), np.inf)
    weight, bias = fitted.weight.numpy(), fitted.bias.numpy()
    logits = z @ weight.T + bias
    np.testing.assert_allclose(fitted.scores(x), logits, atol=1e-9)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    error = (p - np.eye(CLASSES)[y]) / len(z)
    np.testing.assert_allclose(error.T @ z + 0.01 * weight, 0, atol=1e-5)
    np.testing.assert_allclose(error.sum(0), 0, atol=1e-5)
    assert not fitted.weight[:, -1].any()


def test_the_linear_probe_does_not_care_for_units(features):
    x, y = features
    scores = fit_linear(x, y, CLASSES).scores(x)
    scaled = x * torch.logspace(-3, 3, 6, dtype=torch.float64) + 7
    np.testing.assert_allclose(fit_linear(scaled, y, CLASSES).scores(scaled), scores, atol=1e-2)


def test_folds_part_every_class_evenly_by_their_seed():
    labels = torch.tensor([0] * 13 + [1] * 7 + [2] * 5)
    fold = make_folds(labels, 5, seed=3)
    for label in range(3):
        counts = fold[labels == label].bincount(minlength=5)
        assert counts.max() - counts.min() <= 1
    assert fold.bincount().tolist() == [5] * 5
    assert torch.equal(fold, make_folds(labels, 5, seed=3))
    assert not torch.equal(fold, make_folds(labels, 5, seed=4))
    with pytest.raises(ValueError, match="folds must be 2 to 5, the images of the smallest class"):
        make_folds(labels, 6)


def test_a_fold_is_tested_by_what_the_others_know(features):
    x, y = features
    fold = make_folds(y, 3)
    knn, linear = [], []
    for i in range(3):
        known, tested = fold != i, fold == i
        votes = [votes_by_loops(q, x[known], y[known].tolist(), 20, 0.07) for q in x[tested]]
        knn.append(np.mean(np.argmax(votes, 1) == y[tested].numpy()))
        scores = fit_linear(x[known], y[known], CLASSES).scores(x[tested])
        linear.append((scores.argmax(1) == y[tested]).double().mean())
    found = probe(x, y, fold)
    assert found.knn == pytest.approx((np.mean(knn), np.std(knn, ddof=1)))
    assert found.linear == pytest.approx((np.mean(linear), np.std(linear, ddof=1)))


def test_labels_without_a_relation_to_features_are_guessed():
    """What is tested on is not learned from: otherwise noise would be known by heart."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 50, generator=generator)
    y = torch.arange(200) % 2
    found = probe(x, y, make_folds(y, 4))
    assert 0.35 < found.knn.mean < 0.65
    assert 0.35 < found.linear.mean < 0.65


def test_images_that_are_held_out_are_tested_every_time(features):
    x, y = features
    held_out = x[:20], y[:20]
    found = probe(x[20:], y[20:], make_folds(y[20:], 2), held_out)
    fold = make_folds(y[20:], 2)
    expected = []
    for i in range(2):
        known = fold != i
        scores = knn_scores(x[:20], x[20:][known], y[20:][known], CLASSES)
        expected.append((scores.argmax(1) == y[:20]).double().mean())
    assert found.knn.mean == pytest.approx(np.mean(expected))


def test_the_map_is_numpys_principal_components(features):
    x, _ = features
    places, shares = principal_map(x)
    values, vectors = np.linalg.eigh(np.cov(x.numpy().T))
    np.testing.assert_allclose(shares, values[:-3:-1] / values.sum(), atol=1e-12)
    expected = (x.numpy() - x.numpy().mean(0)) @ vectors[:, :-3:-1]
    np.testing.assert_allclose(np.abs(places), np.abs(expected), atol=1e-10)
    assert torch.equal(places, principal_map(x)[0])
    assert principal_map(x[:1])[0].tolist() == [[0, 0]]  # one image has no directions
