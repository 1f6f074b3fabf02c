"""Matching against brute force, and the matrix in the order of the classes."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.errors import ConfigError
from picie.metrics.matching import (
    MATCHINGS,
    check_matching,
    hungarian,
    in_class_order,
    majority,
    match_clusters,
)

Ints = NDArray[np.int64]


def random_matrix(seed: int, classes: int, clusters: int, top: int = 50) -> Ints:
    return np.random.default_rng(seed).integers(0, top, (classes, clusters))


@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 5), (5, 3)])
def test_hungarian_equals_brute_force(classes: int, clusters: int) -> None:
    for seed in range(5):
        matrix = random_matrix(seed, classes, clusters)
        choices = [*range(classes), *[-1] * max(0, clusters - classes)]
        best = max(
            sum(int(matrix[label, k]) for k, label in enumerate(labels) if label >= 0)
            for labels in itertools.permutations(choices, clusters)
        )
        mapping = hungarian(matrix)
        matched = [label for label in mapping if label >= 0]
        assert len(mapping) == clusters
        assert len(set(matched)) == len(matched) == min(classes, clusters)
        assert sum(int(matrix[label, k]) for k, label in enumerate(mapping) if label >= 0) == best


def test_majority_by_hand() -> None:
    matrix = np.array([[5, 0, 2, 3], [4, 0, 7, 3], [1, 0, 0, 0]])
    assert majority(matrix) == (0, -1, 1, 0)


def test_matchings_go_by_their_names() -> None:
    matrix = random_matrix(0, 3, 5)
    assert match_clusters(matrix, "hungarian") == hungarian(matrix)
    assert match_clusters(matrix, "majority") == majority(matrix)
    for name in MATCHINGS:
        check_matching(name)


def test_unknown_matching_is_named() -> None:
    wrong: Any = "Hungarian"
    with pytest.raises(ConfigError, match="unknown matching 'Hungarian'; known: hungarian, maj"):
        match_clusters(random_matrix(0, 2, 2), wrong)


@pytest.mark.parametrize("rule", [hungarian, majority])
@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 6), (6, 3)])
def test_class_order_equals_the_loop(rule: Any, classes: int, clusters: int) -> None:
    matrix = random_matrix(4, classes, clusters)
    mapping = rule(matrix)
    expected = np.zeros((classes, classes + 1), dtype=np.int64)
    for row in range(classes):
        for cluster in range(clusters):
            column = mapping[cluster] if mapping[cluster] >= 0 else classes
            expected[row, column] += matrix[row, cluster]
    ordered = in_class_order(matrix, mapping)
    np.testing.assert_array_equal(ordered, expected)
    np.testing.assert_array_equal(ordered.sum(1), matrix.sum(1))


def test_class_order_undoes_any_numbering_of_clusters() -> None:
    matrix = np.diag([5, 6, 7, 8]) + random_matrix(1, 4, 4, top=3)
    order = [2, 0, 3, 1]
    shuffled = matrix[:, order]
    np.testing.assert_array_equal(in_class_order(shuffled, hungarian(shuffled))[:, :4], matrix)
