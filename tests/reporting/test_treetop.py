"""The top of a tree: true numbers, every centroid in one leaf."""

import pytest

from picie.reporting.treetop import top_of

# 0 and 1 join as n5, 2 and 3 as n6, then 4 and n6 as n7, all as n8.
MERGES = ((0, 1, 1.0), (2, 3, 2.0), (4, 6, 3.0), (5, 7, 5.0))


@pytest.mark.parametrize("leaves", [5, 9])
def test_a_small_tree_is_its_own_top(leaves: int) -> None:
    top = top_of(MERGES, leaves)
    assert top.numbers == tuple(range(9))
    assert top.places == tuple(range(5))
    assert top.merges == MERGES


def test_of_a_large_tree_the_last_merges_are_left_with_their_numbers() -> None:
    top = top_of(MERGES, 3)
    assert top.numbers == (4, 5, 6, 7, 8)
    assert [top.numbers[place] for place in top.places] == [5, 5, 6, 6, 4]
    assert top.merges == ((0, 2, 3.0), (1, 3, 5.0))
    assert [{top.numbers[leaf] for leaf in below} for below in top.below()][3:] == [
        {4, 6},
        {4, 5, 6},
    ]


def test_one_leaf_is_the_root() -> None:
    assert top_of(MERGES, 1) == top_of(((0, 1, 1.0),), 1).__class__((8,), (0,) * 5, ())
    assert top_of((), 4).numbers == (0,)
