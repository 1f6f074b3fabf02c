"""Classifiers on features against scikit-learn and plain loops."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn import functional as F

import picie.evaluation.probes
from picie.errors import ConfigError, DataError
from picie.evaluation.probes import PENALTY, fit_linear, neighbour_votes


def samples(count: int, classes: int, size: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Unit vectors around one direction for each class, so wide that they overlap."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, size, generator=generator)
    labels = torch.randint(0, classes, (count,), generator=generator)
    points = centres[labels] + 1.5 * torch.randn(count, size, generator=generator)
    return F.normalize(points, dim=1), labels


def objective(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> float:
    loss = F.cross_entropy(features @ weight.T + bias, labels)
    return float(loss + PENALTY / 2 * weight.square().sum())


def test_linear_equals_scikit_learn() -> None:
    features, labels = samples(600, 4)
    weight, bias = fit_linear(features, labels, 4)
    oracle = LogisticRegression(C=1 / (PENALTY * len(features)), tol=1e-10, max_iter=10_000)
    oracle.fit(features.double().numpy(), labels.numpy())
    found = F.softmax(features @ weight.T + bias, dim=1).numpy()
    expected = oracle.predict_proba(features.double().numpy())
    np.testing.assert_allclose(found, expected, atol=5e-3)
    best = torch.from_numpy(oracle.coef_).float(), torch.from_numpy(oracle.intercept_).float()
    assert objective(features, labels, weight, bias) <= objective(features, labels, *best) + 1e-5


def test_linear_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = samples(200, 3)
    whole = fit_linear(features, labels, 3)
    monkeypatch.setattr(picie.evaluation.probes, "_ROWS", 37)
    parts = fit_linear(features, labels, 3)
    one, other = (F.softmax(features @ w.T + b, dim=1) for w, b in (whole, parts))
    torch.testing.assert_close(one, other, atol=5e-3, rtol=0)


def test_linear_is_the_same_each_time_and_draws_nothing() -> None:
    features, labels = samples(100, 3)
    before = torch.get_rng_state()
    first, second = (fit_linear(features, labels, 3) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(torch.get_rng_state(), before)
    assert not first[0].requires_grad


def test_linear_fits_within_no_grad() -> None:
    features, labels = samples(50, 2)
    with torch.no_grad():
        weight, _ = fit_linear(features, labels, 2)
    assert weight.abs().sum() > 0


def test_a_class_without_a_sample_is_never_found() -> None:
    features, labels = samples(100, 2)
    weight, bias = fit_linear(features, labels * 2, 4)  # classes 0 and 2 of 0..3
    assert (weight.shape, bias.shape) == ((4, 8), (4,))
    logits = samples(500, 3, seed=1)[0] @ weight.T + bias
    assert logits.isfinite().all()
    assert set(logits.argmax(1).tolist()) <= {0, 2}
    alone = fit_linear(features, labels, 2)
    torch.testing.assert_close(weight[[0, 2]], alone[0])


def test_separable_classes_are_told_apart() -> None:
    features = F.normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]), dim=1)
    labels = torch.tensor([0, 0, 1, 1])
    weight, bias = fit_linear(features, labels, 2)
    assert (features @ weight.T + bias).argmax(1).tolist() == labels.tolist()


@pytest.mark.parametrize("neighbours", [1, 5, 20])
def test_votes_equal_scikit_learn(neighbours: int) -> None:
    bank, labels = samples(150, 4)
    queries = torch.randn(60, 8, generator=torch.Generator().manual_seed(1))
    found = neighbour_votes(queries, bank, labels, 4, neighbours)
    oracle = KNeighborsClassifier(neighbours, metric="cosine").fit(bank.numpy(), labels.numpy())
    np.testing.assert_allclose(found.numpy(), oracle.predict_proba(queries.numpy()), atol=1e-6)


def test_votes_do_not_depend_on_the_blocks_nor_on_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, labels = samples(90, 3)
    queries = samples(40, 3, seed=2)[0]
    whole = neighbour_votes(queries, bank, labels, 5, 7)
    assert whole.shape == (40, 5)
    torch.testing.assert_close(whole.sum(1), torch.ones(40))
    monkeypatch.setattr(picie.evaluation.probes, "_SCORES", 1)
    lengths = torch.arange(1.0, 91)[:, None]
    assert torch.equal(neighbour_votes(3 * queries, lengths * bank, labels, 5, 7), whole)


@pytest.mark.parametrize("neighbours", [0, -3])
def test_no_neighbours_are_named(neighbours: int) -> None:
    bank, labels = samples(5, 2)
    with pytest.raises(ConfigError, match=f"{neighbours} neighbours cannot vote; give 1 or more"):
        neighbour_votes(bank, bank, labels, 2, neighbours)


def test_too_few_samples_are_named() -> None:
    bank, labels = samples(5, 2)
    with pytest.raises(DataError, match="5 labelled feature pixels for a probe that needs 6; use"):
        neighbour_votes(bank, bank, labels, 2, 6)
    none = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(DataError, match="0 labelled feature pixels for a probe that needs 1"):
        fit_linear(torch.zeros(0, 4), none, 2)
