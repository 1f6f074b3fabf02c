"""Scores against slow loops and scikit-learn."""

import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, jaccard_score, precision_score, recall_score

from picie.errors import ConfigError, DataError
from picie.metrics.groups import READINGS
from picie.metrics.matching import hungarian, majority
from picie.metrics.scores import score, score_classes

Ints = NDArray[np.int64]


def random_matrix(seed: int, classes: int, clusters: int, top: int = 50) -> Ints:
    return np.random.default_rng(seed).integers(0, top, (classes, clusters))


def names(count: int) -> list[str]:
    return [f"class {index}" for index in range(count)]


def pixels_of(matrix: Ints) -> tuple[Ints, Ints]:
    truth, clusters = np.indices(matrix.shape)
    counts = matrix.ravel()
    return np.repeat(truth.ravel(), counts), np.repeat(clusters.ravel(), counts)


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
def test_renaming_clusters_changes_no_score(match: Any) -> None:
    for seed in range(20):
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


def test_majority_is_never_less_accurate_than_hungarian() -> None:
    for seed in range(10):
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
    fields = {field.name for field in dataclasses.fields(scores)}
    assert set(loaded) == fields - {"groups"}
    grouped = score(matrix, ["a", "b"], groups={"one": (1,)}, protocol={})
    loaded = json.loads(json.dumps(grouped.to_json()))
    assert set(loaded) == fields | {"readings"}
    assert set(loaded["groups"]["one"]) == set(loaded["readings"]) == set(READINGS)
    rows = loaded["groups"]["one"]["rows"]
    assert (rows["accuracy"], rows["iou"]) == (100, pytest.approx({"b": 500 / 6}))


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


@pytest.mark.parametrize("match", ["hungarian", "majority"])
@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 6), (6, 3)])
def test_scores_of_classes_equal_scikit_learn(match: Any, classes: int, clusters: int) -> None:
    matrix = random_matrix(5, classes, clusters)
    mapping = hungarian(matrix) if match == "hungarian" else majority(matrix)
    truth, found = pixels_of(matrix)
    mapped = np.array([classes if label < 0 else label for label in mapping])[found]
    scores = score(matrix, names(classes), match=match, protocol={})
    labels = list(range(classes))
    recall = recall_score(truth, mapped, labels=labels, average=None, zero_division=np.nan)
    precision = precision_score(truth, mapped, labels=labels, average=None, zero_division=np.nan)
    for label, name in enumerate(names(classes)):
        assert scores.recall[name] == pytest.approx(100 * recall[label])
        given = scores.precision[name]
        assert (np.nan if given is None else given) == pytest.approx(
            100 * precision[label], nan_ok=True
        )
        assert scores.share[name] == pytest.approx(100 * (truth == label).mean())


def test_what_is_undefined_has_no_number() -> None:
    scores = score(np.array([[4, 0], [0, 0], [1, 5]]), ["a", "gone", "c"], protocol={})
    assert (scores.iou["gone"], scores.recall["gone"], scores.share["gone"]) == (None, None, 0)
    assert scores.precision["gone"] is None  # no cluster either
    assert scores.recall == {"a": 100, "gone": None, "c": pytest.approx(500 / 6)}


def test_predicted_classes_are_not_matched() -> None:
    matrix = np.array([[1, 9], [9, 1]])
    scores = score_classes(matrix, ["a", "b"], protocol={"uses_labels": True})
    assert scores.accuracy == 10
    assert scores.mapping == {0: "a", 1: "b"}
    assert scores.protocol == {"uses_labels": True, "matching": "none (classes were predicted)"}
    assert score(matrix, ["a", "b"], protocol={}).accuracy == 90


def test_classes_by_a_given_mapping() -> None:
    matrix = np.array([[4, 1, 1], [0, 3, 1]])
    found = score_classes(matrix, ["a", "b"], mapping=(0, 1, -1), protocol={"matching": "mine"})
    assert found.protocol["matching"] == "mine"
    assert found.mapping == {0: "a", 1: "b", 2: None}
    assert found.accuracy == pytest.approx(70)
    assert found.iou == {"a": pytest.approx(100 * 4 / 6), "b": pytest.approx(100 * 3 / 5)}
    grouped = score_classes(
        matrix, ["a", "b"], mapping=(0, 1, -1), groups={"one": (0,)}, protocol={}
    )
    assert set(grouped.groups["one"]) == {"block", "rows"}


def test_the_share_of_void() -> None:
    matrix = np.array([[3, 0], [0, 3]])
    assert score(matrix, ["a", "b"], protocol={}).to_json()["void_share"] is None
    assert score(matrix, ["a", "b"], protocol={}, pixels=8).to_json()["void_share"] == 25
    assert score_classes(matrix, ["a", "b"], protocol={}, pixels=6).void_share == 0


def test_scores_in_one_line_and_as_a_page() -> None:
    matrix = np.array([[9, 1, 0], [0, 8, 2], [0, 0, 0]])
    protocol = {"split": "val", "dataset": "", "columns": ["a"]}
    scores = score(matrix, ["<b>sky", "sea", "gone"], protocol=protocol)
    found = "accuracy 85.0 %, mIoU 81.4 % of 3 classes"
    assert repr(scores) == f"<Scores: {found}; matching: hungarian (one-to-one)>"
    html = scores._repr_html_()
    assert "<b>" not in html
    cells = re.findall(r"<t[dh][^>]*>([^<]*)", html)
    head = ["class", "ids", "share %", "IoU %", "recall %", "precision %"]
    assert cells[:6] == head
    assert cells[6:12] == ["&lt;b&gt;sky", "0", "50.0", "90.0", "90.0", "100.0"]
    assert cells[18:] == ["gone", "2", "0.0", "-", "-", "0.0"]
    assert ">split val; matching hungarian (one-to-one); K 3<" in html
