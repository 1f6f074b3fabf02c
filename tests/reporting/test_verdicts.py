"""Numbers of health: what is said about them, and what is not."""

import pytest

from picie.reporting.verdicts import verdicts

FULL = {
    "view_agreement": 0.84,
    "view_information": 0.71,
    "effective_clusters": 8.17,
    "largest_cluster": 0.26,
    "position_information": 0.48,
    "silhouette": -0.16,
    "pictures": 64.0,
    "half_agreement": 0.55,
}


def test_those_with_grounds_come_first_and_only_they_get_a_verdict() -> None:
    found = verdicts(FULL)
    assert [one.key for one in found[:2]] == ["view_information", "view_agreement"]
    assert [one.verdict for one in found] == ["good", "good", "", "", "", "", ""]
    assert {one.key for one in found} == set(FULL) - {"pictures"}
    assert all(one.sentence.endswith(".") for one in found)


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.62, "good"), (0.61, "doubtful"), (0.45, "doubtful"), (0.44, "bad")]
)
def test_ranges_of_the_information_of_views(value: float, verdict: str) -> None:
    [found] = verdicts({"view_information": value})
    assert (found.verdict, found.place, found.ranges) == (verdict, value, (0.45, 0.62))


def test_values_are_told_in_their_unit() -> None:
    told = {one.key: one.value for one in verdicts(FULL)}
    assert told["view_agreement"] == "84 %"
    assert told["effective_clusters"] == "8.2"
    assert told["silhouette"] == "-0.16"


def test_broken_and_unknown_numbers() -> None:
    found = verdicts({"view_information": float("nan"), "other_thing": 3.0, "largest_cluster": 1.2})
    assert [(one.label, one.place) for one in found] == [
        ("largest cluster", 1.0),
        ("other thing", None),
    ]
    assert verdicts({}) == ()
