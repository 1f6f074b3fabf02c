import numpy as np
import pytest
import torch
from scipy import stats

from picie.views.draws import uniform_draws


def test_a_row_depends_on_nothing_but_its_picture() -> None:
    together = uniform_draws(3, 2, range(40), 7)
    order = np.random.default_rng(0).permutation(40)
    torch.testing.assert_close(uniform_draws(3, 2, order, 7), together[order], rtol=0, atol=0)
    parts = [uniform_draws(3, 2, part, 7) for part in np.split(np.arange(40), [1, 9, 20])]
    torch.testing.assert_close(torch.cat(parts), together, rtol=0, atol=0)


def test_neither_global_state_nor_a_repetition_changes_a_row() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = uniform_draws(0, 0, iter([5, 5]), 3)
    assert torch.equal(first[0], first[1])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(uniform_draws(0, 0, [5], 3)[0], first[0])


def test_seed_epoch_and_index_each_change_every_number() -> None:
    triples = [(s, e, i) for s in range(4) for e in range(4) for i in range(12)]
    values = torch.cat([uniform_draws(s, e, [i], 5) for s, e, i in triples])
    assert len(values.unique()) == values.numel()


def test_large_seeds_and_indices_are_told_apart() -> None:
    big = 2**40
    rows = [uniform_draws(s, 0, [i], 2) for s, i in ((big, 0), (big + 1, 0), (0, big), (0, 0))]
    assert len(torch.cat(rows).unique()) == 8


def test_numbers_are_uniform_and_independent() -> None:
    values = uniform_draws(0, 0, range(3000), 4).numpy()
    assert values.shape == (3000, 4)
    assert values.dtype == np.float64
    assert values.min() >= 0
    assert values.max() < 1
    for column in values.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    lagged = np.hstack([values[:-1], values[1:]])  # neighbours in the folder beside each other
    correlation = np.corrcoef(lagged.T) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(3000)


def test_a_run_of_another_day_gets_the_same_numbers() -> None:
    expected = [0.63696169, 0.26978671, 0.04097352]
    assert uniform_draws(0, 0, [0], 3)[0].tolist() == pytest.approx(expected, abs=1e-8)
