from typing import Any, get_args

import pytest
import torch
from torch import Tensor

import picie.clustering.kmeans.points
from picie.clustering.pseudo_labels import Rule, balance_weights, nearest, scores
from picie.errors import ConfigError, DataError

RULES: tuple[Rule, ...] = get_args(Rule)


@pytest.fixture
def features() -> Tensor:
    return torch.randn(2, 6, 5, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def centroids() -> Tensor:
    lengths = torch.linspace(0.2, 3, 9)[:, None]
    return torch.randn(9, 6, generator=torch.Generator().manual_seed(1)) * lengths


@pytest.mark.parametrize("rule", RULES)
def test_scores_equal_a_loop(features: Tensor, centroids: Tensor, rule: Rule) -> None:
    found = scores(features, centroids, rule)
    assert found.shape == (2, 9, 5, 4)
    for b, y, x, k in [(0, 0, 0, 0), (1, 4, 3, 8), (0, 2, 1, 5), (1, 3, 0, 2)]:
        f, c = features[b, :, y, x].tolist(), centroids[k].tolist()
        dot = sum(p * q for p, q in zip(f, c, strict=True))
        f2, c2 = sum(p * p for p in f), sum(q * q for q in c)
        expected = {
            "dot": dot,
            "cosine": dot / (f2 * c2) ** 0.5,
            "l2": -(f2 - 2 * dot + c2),
        }[rule]
        assert found[b, k, y, x].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def rows_of(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def test_l2_is_the_nearest_by_distance(features: Tensor, centroids: Tensor) -> None:
    unit = torch.nn.functional.normalize(rows_of(features), dim=1)
    found = nearest(rows_of(features), centroids, "l2")
    assert found.dtype == torch.int64
    assert torch.equal(found, torch.cdist(unit, centroids).argmin(1))


def test_cosine_is_the_nearest_by_angle(features: Tensor, centroids: Tensor) -> None:
    cosine = torch.cosine_similarity(features[:, None], centroids[None, :, :, None, None], dim=2)
    torch.testing.assert_close(scores(features, centroids, "cosine"), cosine)
    assert torch.equal(nearest(rows_of(features), centroids, "cosine"), cosine.argmax(1).flatten())


@pytest.mark.parametrize("rule", RULES)
def test_nearest_has_the_largest_score(features: Tensor, centroids: Tensor, rule: Rule) -> None:
    unit = torch.nn.functional.normalize(features, dim=1)
    found = scores(unit, centroids, rule).argmax(1).flatten()
    assert torch.equal(nearest(rows_of(features), centroids, rule), found)


@pytest.mark.parametrize("rule", RULES)
def test_nearest_does_not_depend_on_blocks_or_length(
    centroids: Tensor, monkeypatch: pytest.MonkeyPatch, rule: Rule
) -> None:
    rows = torch.randn(101, 6, generator=torch.Generator().manual_seed(5))
    whole = nearest(rows, centroids, rule)
    monkeypatch.setattr(picie.clustering.kmeans.points, "_CPU_ROWS", 7)
    assert torch.equal(nearest(rows, centroids, rule), whole)
    assert torch.equal(nearest(3 * rows, centroids, rule), whole)
    assert nearest(rows[:0], centroids, rule).shape == (0,)


def test_dot_prefers_long_centroids_and_l2_does_not() -> None:
    feature = torch.tensor([[1.0, 0.0]])
    centroids = torch.tensor([[0.5, 0.0], [0.6, 0.8]])
    assert nearest(feature, centroids, "dot").item() == 1  # 0.5 against 0.6
    assert nearest(feature, centroids, "l2").item() == 0  # distance 0.25 against 0.80
    assert nearest(feature, centroids, "cosine").item() == 0  # 1 against 0.6


def test_rules_agree_on_unit_vectors(features: Tensor, centroids: Tensor) -> None:
    rows = rows_of(torch.nn.functional.normalize(features, dim=1))
    centroids = torch.nn.functional.normalize(centroids, dim=1)
    first = nearest(rows, centroids, "dot")
    assert torch.equal(first, nearest(rows, centroids, "cosine"))
    assert torch.equal(first, nearest(rows, centroids, "l2"))


def test_cosine_of_zero_vectors_is_zero_with_finite_gradients(centroids: Tensor) -> None:
    features = torch.zeros(1, 6, 1, 2, requires_grad=True)
    centroids[0] = 0
    found = scores(features, centroids, "cosine")
    assert found.count_nonzero() == 0
    (gradient,) = torch.autograd.grad(found.sum(), features)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("rule", RULES)
def test_scores_carry_exact_gradients(rule: Rule) -> None:
    draws = torch.Generator().manual_seed(2)
    features = torch.randn(1, 3, 2, 2, generator=draws, dtype=torch.float64, requires_grad=True)
    centroids = torch.randn(2, 3, generator=draws, dtype=torch.float64, requires_grad=True)

    def score(f: Tensor, c: Tensor) -> Tensor:
        return scores(f, c, rule)

    assert torch.autograd.gradcheck(score, (features, centroids))
    leaf = torch.randn(2, 3, generator=draws, requires_grad=True)
    assert not nearest(leaf, torch.randn(2, 3, generator=draws), rule).requires_grad


def test_unknown_rule_is_an_error(features: Tensor, centroids: Tensor) -> None:
    unknown: Any = "euclid"
    for call, values in ((scores, features), (nearest, rows_of(features))):
        with pytest.raises(ConfigError, match=r"rule 'euclid' is unknown. Use cosine, l2 or dot"):
            call(values, centroids, unknown)


@pytest.mark.parametrize("shape", [(9, 5), (6,), (9, 6, 1, 1)])
def test_shapes_that_do_not_fit_are_an_error(features: Tensor, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"must share D, got \(2, 6, 5, 4\) and"):
        scores(features, torch.rand(shape), "l2")
    with pytest.raises(DataError, match=r"must share D, got \(40, 6\) and"):
        nearest(rows_of(features), torch.rand(shape), "l2")


def test_maps_and_rows_are_not_mixed_up(features: Tensor, centroids: Tensor) -> None:
    with pytest.raises(DataError, match="must share D"):
        scores(rows_of(features), centroids, "dot")
    with pytest.raises(DataError, match="must share D"):
        nearest(features, centroids, "dot")


def test_weights_by_hand() -> None:
    counts = torch.tensor([6, 3, 0, 1])
    assert balance_weights(counts, "none").tolist() == [1, 1, 1, 1]
    assert balance_weights(counts, "frequency").tolist() == pytest.approx([0.6, 0.3, 0, 0.1])
    expected = [10 / 24, 10 / 12, 0, 10 / 4]
    assert balance_weights(counts, "inverse").tolist() == pytest.approx(expected)


def test_weights_are_normalised_as_promised() -> None:
    counts = torch.tensor([16_777_217, 40, 3])
    assert balance_weights(counts, "frequency").sum().item() == pytest.approx(1)
    weights = balance_weights(counts, "inverse").double()
    assert (weights * counts / counts.sum()).sum().item() == pytest.approx(1, rel=1e-5)
    assert (weights * counts).tolist() == pytest.approx([counts.sum().item() / 3] * 3, rel=1e-5)


def test_weights_without_any_pixel() -> None:
    counts = torch.zeros(3, dtype=torch.int64)
    assert balance_weights(counts, "none").tolist() == [1, 1, 1]
    assert balance_weights(counts, "frequency").tolist() == [0, 0, 0]
    assert balance_weights(counts, "inverse").tolist() == [0, 0, 0]


@pytest.mark.parametrize("rule", ["none", "frequency", "inverse"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_weights_are_float32(rule: Any, dtype: torch.dtype) -> None:
    assert balance_weights(torch.tensor([2, 1], dtype=dtype), rule).dtype == torch.float32


@pytest.mark.parametrize("counts", [torch.tensor([1, -1]), torch.ones(2, 2)])
def test_impossible_counts_are_an_error(counts: Tensor) -> None:
    with pytest.raises(DataError, match=r"\(K,\) tensor of numbers >= 0"):
        balance_weights(counts, "none")


def test_unknown_balance_is_an_error() -> None:
    with pytest.raises(ConfigError, match="balance rule 'sqrt' is unknown"):
        balance_weights(torch.ones(2), "sqrt")  # type: ignore[arg-type]
