"""Groups of classes: slow loops, a hand example, and the mistake that is easy to make."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.errors import DataError
from picie.metrics.groups import GroupScores, check_groups, score_groups
from picie.metrics.matching import hungarian, in_class_order, majority
from picie.metrics.scores import score

Ints = NDArray[np.int64]

THINGS, STUFF = (0, 1), (2, 3)
GROUPS = {"things": THINGS, "stuff": STUFF}
NAMES = ["cat", "dog", "sky", "sea"]

# Clusters 0..3 are sky, cat, sea, dog. Rows: cat, dog, sky, sea.
BY_HAND = np.array(
    [
        [2, 6, 0, 2],  # cat: 6 right, 2 as dog, 2 as sky
        [0, 1, 4, 5],  # dog: 5 right, 1 as cat, 4 as sea
        [8, 0, 2, 0],  # sky: 8 right, 2 as sea
        [3, 1, 6, 0],  # sea: 6 right, 3 as sky, 1 as cat
    ]
)
MAPPING = (2, 0, 3, 1)


def slow(
    pixels: list[tuple[int, int]], ids: tuple[int, ...], every: list[tuple[int, int]]
) -> tuple[float | None, float]:
    """Accuracy over `pixels` (true, predicted; -1 = none) of the group, IoU among `every`."""
    hits = sum(true == found for true, found in pixels)
    values = []
    for label in ids:
        both = sum(true == found == label for true, found in every)
        either = sum(label in pair for pair in every)
        values.append(100 * both / either if either else 0)
    return 100 * hits / len(pixels) if pixels else None, sum(values) / len(values)


def pixels_of(matrix: Ints, mapping: tuple[int, ...]) -> list[tuple[int, int]]:
    return [
        (true, mapping[cluster])
        for true, row in enumerate(matrix.tolist())
        for cluster, count in enumerate(row)
        for _ in range(count)
    ]


def scored(matrix: Ints, groups: Any = GROUPS, match: Any = "hungarian") -> Any:
    rule = hungarian if match == "hungarian" else majority
    names = [f"class {label}" for label in range(len(matrix))]
    return score_groups(matrix, rule(matrix), names, groups, match)


def test_by_hand() -> None:
    assert hungarian(BY_HAND) == MAPPING
    things = score_groups(BY_HAND, MAPPING, NAMES, GROUPS, "hungarian")["things"]
    # block: cat row 6 + 2, column 6 + 1; dog row 1 + 5, column 2 + 5
    assert things["block"].accuracy == pytest.approx(100 * 11 / 14)
    assert things["block"].iou == pytest.approx({"cat": 600 / 9, "dog": 500 / 8})
    # rows: all 20 pixels; IoU as in the table of all classes
    assert things["rows"].accuracy == pytest.approx(100 * 11 / 20)
    assert things["rows"].iou == pytest.approx({"cat": 600 / 12, "dog": 500 / 12})
    assert things["rows"].miou == pytest.approx((50 + 500 / 12) / 2)
    # rematched: again cluster 1 and 3, but the columns hold pixels of things alone
    assert things["rematched"].accuracy == pytest.approx(100 * 11 / 20)
    assert things["rematched"].iou == pytest.approx({"cat": 600 / 11, "dog": 500 / 12})


def authors_block(matrix: Ints, mapping: tuple[int, ...], first: int, last: int) -> float:
    """What the authors' code logs as the accuracy of a group: ROWS moved to cluster order."""
    moved = matrix[list(mapping)]
    block = moved[first:last, first:last]
    return float(100 * block.trace() / block.sum())


def test_rows_in_cluster_order_score_other_classes() -> None:
    """Their first two rows here are sky and cat: a thing and a stuff class."""
    wrong = authors_block(BY_HAND, MAPPING, 0, 2)
    assert wrong == pytest.approx(100 * (8 + 6) / (8 + 0 + 2 + 6))
    right = score_groups(BY_HAND, MAPPING, NAMES, GROUPS, "hungarian")["things"]["block"]
    assert right.accuracy == pytest.approx(100 * 11 / 14)
    assert right.accuracy != pytest.approx(wrong)


def test_the_mistake_depends_on_the_numbers_of_clusters_and_the_readings_do_not() -> None:
    order = [1, 3, 0, 2]  # clusters by class: now both ways agree
    sorted_matrix = BY_HAND[:, order]
    mapping = hungarian(sorted_matrix)
    assert mapping == (0, 1, 2, 3)
    assert authors_block(sorted_matrix, mapping, 0, 2) == pytest.approx(100 * 11 / 14)
    assert scored(sorted_matrix) == scored(BY_HAND)


@pytest.mark.parametrize("match", ["hungarian", "majority"])
def test_readings_equal_the_loop(match: Any) -> None:
    for seed in range(5):
        for clusters in [4, 7]:
            matrix = np.random.default_rng(seed).integers(1, 9, (4, clusters))
            rule = hungarian if match == "hungarian" else majority
            found = scored(matrix, match=match)
            every = pixels_of(matrix, rule(matrix))
            for name, ids in GROUPS.items():
                rows = [(true, given) for true, given in every if true in ids]
                block = [(true, given) for true, given in rows if given in (*ids, -1)]
                own = matrix[list(ids)]
                again = [
                    (ids[true], ids[given] if given >= 0 else -1)
                    for true, given in pixels_of(own, rule(own))
                ]
                for reading, pixels, among in (
                    ("block", block, block),
                    ("rows", rows, every),
                    ("rematched", again, again),
                ):
                    accuracy, miou = slow(pixels, ids, among)
                    assert found[name][reading].accuracy == pytest.approx(accuracy), reading
                    assert found[name][reading].miou == pytest.approx(miou), reading


@pytest.mark.parametrize("match", ["hungarian", "majority"])
def test_the_group_of_all_classes_has_the_scores_of_all(match: Any) -> None:
    matrix = np.random.default_rng(3).integers(0, 50, (5, 8))
    names = [f"class {label}" for label in range(5)]
    everything = score(matrix, names, match=match, groups={"all": range(5)}, protocol={})
    for one in everything.groups["all"].values():
        assert one.accuracy == pytest.approx(everything.accuracy)
        assert one.miou == pytest.approx(everything.miou)
        assert one.iou == pytest.approx(everything.iou)


def test_rows_of_a_partition_make_up_the_whole() -> None:
    matrix = np.random.default_rng(4).integers(1, 50, (4, 4))
    whole = score(matrix, NAMES, groups=GROUPS, protocol={})
    parts = [readings["rows"] for readings in whole.groups.values()]
    assert np.mean([one.miou for one in parts]) == pytest.approx(whole.miou)
    for one in parts:
        assert one.iou == {name: whole.iou[name] for name in one.iou}


@pytest.mark.parametrize("match", ["hungarian", "majority"])
def test_matching_a_group_again_never_lowers_its_accuracy(match: Any) -> None:
    for seed in range(10):
        for readings in scored(
            np.random.default_rng(seed).integers(0, 9, (4, 6)), match=match
        ).values():
            assert readings["rematched"].accuracy >= readings["rows"].accuracy - 1e-9


def test_unmatched_clusters_are_mistakes_in_a_block() -> None:
    matrix = np.array([[6, 0, 3], [0, 5, 0]])
    ordered = in_class_order(matrix, (0, 1, -1))
    assert ordered.tolist() == [[6, 0, 3], [0, 5, 0]]
    found = scored(matrix, {"first": (0,)})["first"]["block"]
    assert found.accuracy == pytest.approx(100 * 6 / 9)


def test_a_class_that_went_to_other_groups_alone_has_iou_zero_in_its_block() -> None:
    matrix = np.array([[9, 0, 0], [0, 0, 4], [0, 1, 8]])  # class 1 lies in the cluster of class 2
    found = scored(matrix, {"group": (0, 1)})["group"]["block"]
    assert found == GroupScores(100.0, 50.0, {"class 0": 100.0, "class 1": 0.0})


def test_groups_without_a_pixel_have_no_number() -> None:
    matrix = np.array([[4, 0, 0], [0, 0, 0], [0, 0, 3]])
    found = scored(matrix, {"gone": (1,), "half": (1, 2)})
    for one in found["gone"].values():
        assert one == GroupScores(None, None, {"class 1": None})
    assert found["half"]["rows"].miou == 100


def test_groups_may_overlap_and_leave_classes_out() -> None:
    found = scored(BY_HAND, {"a": [0, 2], "b": (2,), "c": range(3)})
    assert list(found) == ["a", "b", "c"]
    assert scored(BY_HAND, {}) == {}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"things": (0, 4)}, "group 'things' holds class id 4; known ids: 0 to 3"),
        ({"things": (-1,)}, "group 'things' holds class id -1; known ids: 0 to 3"),
        ({"things": ()}, "group 'things' must hold at least one class, and each only once"),
        ({"things": (1, 1)}, "group 'things' must hold at least one class, and each"),
    ],
)
def test_groups_that_cannot_be_are_named(groups: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_groups(groups, 4)
