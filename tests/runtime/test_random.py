import numpy as np
import pytest
import torch
from scipy import stats

from picie.runtime.random import (
    Stream,
    numpy_generator,
    torch_generator,
    torch_seed,
    uniform_draws,
)


def test_a_row_depends_on_nothing_but_its_image() -> None:
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
    expected = [0.70796921, 0.02498169, 0.63212655]
    assert uniform_draws(0, 0, [0], 3)[0].tolist() == pytest.approx(expected, abs=1e-8)


def test_no_stream_is_that_of_another() -> None:
    """Neither of the same numbers, nor of fewer, nor of those in another place."""
    assert len({stream.value for stream in Stream}) == len(Stream)
    keys = [(), (1,), (0, 1), (2,), (0, 0, 1), (1, 1, 1), (2**32,), (0, 2**32)]
    draws = [
        numpy_generator(stream, seed, *key).integers(2**63)
        for stream in Stream
        for seed in (0, 1, 2, 2**32)
        for key in keys
    ]
    assert len(set(draws)) == len(draws)


def test_an_image_shares_no_numbers_with_the_orders_of_its_epoch() -> None:
    """They did once: image 2 with the clustering order, 4 with the training order."""
    images = uniform_draws(0, 0, range(len(Stream) + 1), 4)
    others = [
        numpy_generator(stream, 0, 0).random(4) for stream in Stream if stream != Stream.VIEWS
    ]
    rows = {tuple(row) for row in images.tolist()} | {tuple(row.tolist()) for row in others}
    assert len(rows) == len(images) + len(others)


def test_trailing_zeros_are_part_of_the_key_as_the_docstring_says() -> None:
    with_zeros = numpy_generator(Stream.KMEANS, 3, 1, 0, 0).random(3)
    assert numpy_generator(Stream.KMEANS, 3, 1).random(3).tolist() == with_zeros.tolist()
    with pytest.raises(ValueError, match="numbers"):
        numpy_generator(Stream.KMEANS, 3, 1, 2, 3, 4)


def test_torch_gets_the_same_streams() -> None:
    seed = torch_seed(Stream.NETWORK, 5, 1)
    assert seed == int(numpy_generator(Stream.NETWORK, 5, 1).integers(2**63))
    drawn = torch.rand(3, generator=torch_generator(Stream.NETWORK, 5, 1))
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(seed)))
