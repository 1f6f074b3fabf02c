"""Which id gets which colour: siblings in a tree get colours that nobody confuses."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.visualization.arrangement import arranged
from picie.visualization.palette import blended_distances, palette

IDS = np.arange(24)


def pairs_first(order: NDArray[np.int64]) -> list[tuple[int, int]]:
    """A tree of 24 centroids: pairs of neighbours in `order` merge, then the pairs one by one."""
    children = [(int(one), int(other)) for one, other in order.reshape(-1, 2)]
    nodes = list(range(24, 24 + len(children)))
    for number in range(1, len(nodes)):
        children.append((nodes[0] if number == 1 else 23 + len(children), nodes[number]))
    return children


@pytest.fixture(params=range(3))
def order(request: pytest.FixtureRequest) -> NDArray[np.int64]:
    return np.random.default_rng(request.param).permutation(24)


def test_siblings_are_far_apart(order: NDArray[np.int64]) -> None:
    siblings = order.reshape(-1, 2)
    colours = arranged(palette(24), IDS, pairs_first(order))
    apart = blended_distances(colours, colours)
    assert min(apart[one, other] for one, other in siblings) > 25
    assert sorted(colours.tolist()) == sorted(palette(24).tolist())


def test_it_depends_on_the_tree_alone(order: NDArray[np.int64]) -> None:
    tree = pairs_first(order)
    first = arranged(palette(24), IDS, tree)
    np.testing.assert_array_equal(arranged(palette(24), IDS, tree), first)
    mirrored = [(other, one) for one, other in tree]
    np.testing.assert_array_equal(arranged(palette(24), IDS, mirrored), first)


def test_no_swap_of_two_colours_is_better() -> None:
    """Against the sum as the docstring says it, pair by pair."""
    order = np.random.default_rng(3).permutation(24)
    tree = pairs_first(order)
    below: list[set[int]] = [{one} for one in range(24)]
    weight = np.zeros((24, 24))
    for left, right in tree:
        for one, other in itertools.product(below[left], below[right]):
            weight[one, other] = weight[other, one] = 1 / (len(below[left] | below[right]) - 1) ** 2
        below.append(below[left] | below[right])

    def cost(colours: NDArray[np.uint8]) -> float:
        apart = blended_distances(colours, colours) + np.diag(np.full(24, np.inf))
        return float((weight / apart**2).sum())

    colours = arranged(palette(24), IDS, tree)
    least = cost(colours)
    for one, other in itertools.combinations(range(24), 2):
        swapped = colours.copy()
        swapped[[one, other]] = colours[[other, one]]
        assert cost(swapped) > least * 0.999


def test_fixed_ids_and_ignored_centroids() -> None:
    ids = np.array([0, 1, 2, 2, 3, 4, 5, 6])  # of 6 ids: 6 is ignored, 2 has two centroids
    tree = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13)]
    colours = arranged(palette(6), ids, tree, fixed=2)
    np.testing.assert_array_equal(colours[:2], palette(6)[:2])
    assert len(np.unique(colours, axis=0)) == 6
    for fixed in (6, 9):
        np.testing.assert_array_equal(arranged(palette(6), ids, tree, fixed), palette(6))


def test_without_a_tree_or_with_many_ids_the_order_stays() -> None:
    np.testing.assert_array_equal(arranged(palette(5), np.arange(5), []), palette(5))
    chain = [(0, 1), *((298 + number, number) for number in range(2, 300))]
    many = arranged(palette(300), np.arange(300), chain)
    np.testing.assert_array_equal(many, palette(300))
