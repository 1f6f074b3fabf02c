"""Confusion matrix, matching and scores against slow loops, torchmetrics and scikit-learn."""

import dataclasses
import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, jaccard_score

from picie.errors import ConfigError, DataError
from picie.metrics import Confusion, hungarian, majority, score

Ints = NDArray[np.int64]


def random_matrix(seed: int, classes: int, clusters: int, top: int = 50) -> Ints:
    return np.random.default_rng(seed).integers(0, top, (classes, clusters))


def names(count: int) -> list[str]:
    return [f"class {index}" for index in range(count)]


def pixels_of(matrix: Ints) -> tuple[Ints, Ints]:
    truth, clusters = np.indices(matrix.shape)
    counts = matrix.ravel()
    return np.repeat(truth.ravel(), counts), np.repeat(clusters.ravel(), counts)


@pytest.mark.parametrize(("classes", "clusters"), [(5, 5), (3, 7), (7, 3)])
def test_matrix_equals_the_loop_and_ignores_void(classes: int, clusters: int) -> None:
    generator = np.random.default_rng(0)
    expected = np.zeros((classes, clusters), dtype=np.int64)
    confusion = Confusion(classes, clusters)
    for _ in range(3):
        truth = generator.integers(0, classes, (4, 6))
        truth[generator.random(truth.shape) < 0.3] = 255
        found = generator.integers(0, clusters, (4, 6))
        confusion.update(truth, found)
        for true, cluster in zip(truth.ravel(), found.ravel(), strict=True):
            if true != 255:
                expected[true, cluster] += 1
    assert confusion.matrix.dtype == np.int64
    np.testing.assert_array_equal(confusion.matrix, expected)


@pytest.mark.filterwarnings("default")  # what torchmetrics imports is not this project's business
@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 9), (6, 2), (5, 300)])
def test_matrix_equals_torchmetrics(classes: int, clusters: int) -> None:
    from torchmetrics.classification import MulticlassConfusionMatrix

    generator = torch.Generator().manual_seed(1)
    oracle = MulticlassConfusionMatrix(max(classes, clusters), ignore_index=255)
    confusion = Confusion(classes, clusters)
    for _ in range(2):
        truth = torch.randint(0, classes, (2, 20, 20), generator=generator)
        truth[:, :3] = 255
        found = torch.randint(0, clusters, (2, 20, 20), generator=generator)
        oracle.update(found, truth)
        confusion.update(truth, found)
    expected = oracle.compute()[:classes, :clusters].numpy()
    np.testing.assert_array_equal(confusion.matrix, expected)


def test_cluster_255_is_a_cluster_and_not_void() -> None:
    confusion = Confusion(2, 300)
    confusion.update(torch.tensor([0, 1, 255]), torch.tensor([255, 255, 255]))
    assert confusion.matrix.sum() == 2
    assert confusion.matrix[:, 255].tolist() == [1, 1]


def test_cluster_ids_under_void_are_not_looked_at() -> None:
    confusion = Confusion(2, 2)
    confusion.update(torch.tensor([255, 0]), torch.tensor([77, 1]))
    assert confusion.matrix.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_integer_types_give_the_same_counts(kind: Any) -> None:
    confusion = Confusion(3, 3)
    confusion.update(np.array([[0, 2, 255]], dtype=kind), np.array([[1, 2, 0]], dtype=kind))
    assert confusion.matrix.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_matrix_is_a_copy() -> None:
    confusion = Confusion(2, 2)
    confusion.matrix[0, 0] = 5
    assert confusion.matrix.sum() == 0


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        ([0, 3], [0, 0], r"truth holds class id 3; use 255 for void \(known ids: 0 to 2\)"),
        ([0, -1], [0, 0], r"truth holds class id -1; .*0 to 2"),
        ([0, 1], [0, 4], r"clusters hold id 4; .*0 to 3"),
        ([0, 1], [-1, 0], r"clusters hold id -1; "),
        ([0, 1], [0], r"truth has shape \(2,\) and clusters \(1,\); bring both"),
        ([0.5, 1.0], [0, 0], r"truth has type torch.float32; give whole-number"),
        ([0, 1], [True, False], r"clusters has type torch.bool; give whole-number"),
    ],
)
def test_bad_pixels_are_named(truth: list[Any], found: list[Any], message: str) -> None:
    confusion = Confusion(3, 4)
    with pytest.raises(DataError, match=message):
        confusion.update(truth, found)
    assert confusion.matrix.sum() == 0


@pytest.mark.parametrize("classes", [0, 256])
def test_number_of_classes_is_checked(classes: int) -> None:
    with pytest.raises(DataError, match=f"{classes} classes cannot be scored; give 1 to 255"):
        Confusion(classes, 2)


def test_number_of_clusters_is_checked() -> None:
    with pytest.raises(DataError, match="0 clusters cannot be scored"):
        Confusion(2, 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 5), (5, 3)])
def test_hungarian_equals_brute_force(seed: int, classes: int, clusters: int) -> None:
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


@pytest.mark.parametrize("match", ["hungarian", "majority"])
@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 6), (6, 3)])
def test_scores_equal_scikit_learn_after_mapping(match: Any, classes: int, clusters: int) -> None:
    matrix = random_matrix(3, classes, clusters)
    mapping = hungarian(matrix) if match == "hungarian" else majority(matrix)
    truth, found = pixels_of(matrix)
    mapped = np.array([classes if label < 0 else label for label in mapping])[found]
    scores = score(matrix, names(classes), match=match, protocol={})
    assert scores.accuracy == pytest.approx(100 * accuracy_score(truth, mapped))
    labels = list(range(classes))  # the extra label of unmatched clusters has no IoU of its own
    expected = jaccard_score(truth, mapped, labels=labels, average="macro", zero_division=0)
    assert scores.miou == pytest.approx(100 * expected)


@pytest.mark.parametrize(("classes", "clusters"), [(5, 5), (3, 6), (6, 4)])
def test_miou_equals_the_loop(classes: int, clusters: int) -> None:
    matrix = random_matrix(7, classes, clusters)
    mapping = hungarian(matrix)
    truth, found = pixels_of(matrix)
    values = []
    for label in range(classes):
        both = either = 0
        for true, cluster in zip(truth, found, strict=True):
            is_true, is_found = true == label, mapping[cluster] == label
            both += bool(is_true and is_found)
            either += bool(is_true or is_found)
        values.append(100 * both / either)
    scores = score(matrix, names(classes), protocol={})
    assert list(scores.iou.values()) == pytest.approx(values)
    assert scores.miou == pytest.approx(sum(values) / classes)


@pytest.mark.parametrize("match", ["hungarian", "majority"])
@pytest.mark.parametrize("seed", range(20))
def test_renaming_clusters_changes_no_score(match: Any, seed: int) -> None:
    matrix = random_matrix(seed, 4, 5, top=3)  # small counts: matchings tie often
    order = np.random.default_rng(seed + 100).permutation(5)
    one = score(matrix, names(4), match=match, protocol={})
    two = score(matrix[:, order], names(4), match=match, protocol={})
    assert two.accuracy == pytest.approx(one.accuracy)
    assert two.miou == pytest.approx(one.miou)


def test_ties_in_matched_pixels_go_to_the_higher_miou() -> None:
    matrix = np.array([[0, 4], [4, 8]])  # 0 + 8 = 4 + 4; IoUs 0, 8/16 or 4/12, 4/12
    scores = score(matrix, names(2), protocol={})
    swapped = score(matrix[:, ::-1], names(2), protocol={})
    assert scores.accuracy == pytest.approx(50.0)
    assert scores.miou == pytest.approx(swapped.miou) == pytest.approx(100 / 3)


def test_perfect_clusters_score_100() -> None:
    matrix = np.diag([3, 5, 2])[:, [2, 0, 1]]
    scores = score(matrix, ["a", "b", "c"], protocol={})
    assert (scores.accuracy, scores.miou) == (100.0, 100.0)
    assert scores.mapping == {0: "c", 1: "a", 2: "b"}


@pytest.mark.parametrize("seed", range(10))
def test_majority_is_never_less_accurate_than_hungarian(seed: int) -> None:
    matrix = random_matrix(seed, 4, 3 + seed % 4)
    one = score(matrix, names(4), match="hungarian", protocol={})
    many = score(matrix, names(4), match="majority", protocol={})
    assert many.accuracy >= one.accuracy


def test_unmatched_clusters_count_as_wrong() -> None:
    scores = score(np.array([[6, 2, 0], [0, 0, 8]]), ["a", "b"], protocol={})
    assert scores.mapping == {0: "a", 1: None, 2: "b"}
    assert scores.accuracy == pytest.approx(100 * 14 / 16)
    assert scores.iou == pytest.approx({"a": 75.0, "b": 100.0})


def test_class_without_cluster_has_iou_zero() -> None:
    scores = score(np.array([[5], [3]]), ["a", "b"], protocol={})
    assert scores.iou == pytest.approx({"a": 62.5, "b": 0.0})
    assert scores.miou == pytest.approx(31.25)


def test_class_without_truth_is_left_out_of_the_mean() -> None:
    scores = score(np.array([[4, 0], [0, 0], [1, 5]]), ["a", "gone", "c"], protocol={})
    assert scores.iou["gone"] is None
    assert scores.miou == pytest.approx((100 * 4 / 5 + 100 * 5 / 6) / 2)


def test_protocol_names_the_matching_and_json_keeps_all() -> None:
    matrix = np.array([[4, 0, 1], [0, 0, 5]])
    scores = score(matrix, ["a", "b"], match="majority", protocol={"data": "val", "size": 320})
    assert scores.protocol == {
        "data": "val",
        "size": 320,
        "matching": "majority (many-to-one, not comparable with one-to-one)",
        "K": 3,
    }
    assert score(matrix, ["a", "b"], protocol={}).protocol["matching"] == "hungarian (one-to-one)"
    loaded = json.loads(json.dumps(scores.to_json()))
    assert loaded == scores.to_json()
    assert loaded["mapping"] == {"0": "a", "1": None, "2": "b"}
    assert loaded["confusion"] == matrix.tolist()
    assert set(loaded) == {field.name for field in dataclasses.fields(scores)}


@pytest.mark.parametrize(
    ("matrix", "class_names", "message"),
    [
        ([[1, 2], [3, 4]], ["a"], r"1 class names for a confusion matrix of shape \(2, 2\)"),
        ([[1], [2]], ["a", "a"], "class name 'a' occurs more than once; make names unique"),
        ([[0, 0], [0, 0]], ["a", "b"], "no labelled pixel to score; check that the masks"),
    ],
)
def test_what_cannot_be_scored_is_named(
    matrix: list[list[int]], class_names: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        score(np.array(matrix), class_names, protocol={})


def test_unknown_matching_is_named() -> None:
    wrong: Any = "Hungarian"
    with pytest.raises(ConfigError, match="unknown matching 'Hungarian'; known: hungarian, maj"):
        score(np.eye(2, dtype=np.int64), ["a", "b"], match=wrong, protocol={})
