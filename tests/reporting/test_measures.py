"""Numbers of health: what is said about them; none is judged."""

import pytest

from picie.metrics.health import MEASURES
from picie.reporting.measures import shown_measures

FULL = {
    "view_agreement": 0.84,
    "view_information": 0.71,
    "effective_clusters": 8.17,
    "largest_cluster": 0.26,
    "position_information": 0.48,
    "silhouette": -0.16,
    "relighting": 0.94,
    "lighting_clusters": 0.0,
    "one_image_clusters": 2.0,
    "constant_images": 0.125,
    "pictures": 64.0,
    "half_agreement": 0.55,
    "tree_agreement": 0.81,
    "border_contrast": 2.2,
    "training_undone": 1.0,
}


def test_every_measure_is_explained_in_a_fixed_order() -> None:
    found = shown_measures(FULL)
    assert {one.key for one in found} == set(FULL) - {"pictures"} == set(MEASURES) - {"pictures"}
    assert [one.key for one in found] == [
        one.key for one in shown_measures(dict(sorted(FULL.items())))
    ]
    assert all(one.sentence.endswith(".") for one in found)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_no_value_is_called_good_or_bad(value: float) -> None:
    for one in shown_measures(dict.fromkeys(FULL, value)):
        words = f"{one.label} {one.value} {one.sentence}".lower()
        assert not {"good", "bad", "doubtful"} & set(words.replace(".", " ").split())


def test_values_are_told_in_their_unit() -> None:
    told = {one.key: one.value for one in shown_measures(FULL)}
    assert told["view_agreement"] == "84 %"
    assert told["effective_clusters"] == "8.2"
    assert told["silhouette"] == "-0.16"
    assert told["lighting_clusters"] == "0"
    assert told["constant_images"] == "12 %"


def test_broken_and_unknown_numbers() -> None:
    found = shown_measures(
        {"view_information": float("nan"), "other_thing": 3.0, "largest_cluster": 1.2}
    )
    assert [(one.label, one.place) for one in found] == [
        ("largest cluster", 1.0),
        ("other thing", None),
    ]
    assert shown_measures({}) == ()


def test_a_health_from_before_a_measure_is_shown_without_it() -> None:
    old = {key: value for key, value in FULL.items() if key != "relighting"}
    shown = [one for one in shown_measures(FULL) if one.key != "relighting"]
    assert list(shown_measures(old)) == shown
