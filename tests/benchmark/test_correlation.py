"""Spearman's rho: scipy as oracle, and what must not change it."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from picie.benchmark.summary import ranks, spearman


@pytest.mark.parametrize("seed", range(5))
def test_scipy_agrees_with_ties_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 6, 12).tolist(), rng.normal(size=12).tolist()
    assert ranks(first).tolist() == rankdata(first).tolist()
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_it_follows_the_order_only() -> None:
    values = [0.3, 5.0, 1.0, 2.0]
    assert spearman(values, [np.exp(value) for value in values]) == pytest.approx(1.0)
    assert spearman(values, [-(value**3) for value in values]) == pytest.approx(-1.0)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3])])
def test_it_may_be_undefined(first: list[float], second: list[float]) -> None:
    assert spearman(first, second) is None
    assert spearman(second, first) is None
