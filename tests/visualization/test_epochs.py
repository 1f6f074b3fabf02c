"""Points of curves: what is no number is left out."""

from typing import Any

from picie.visualization.charts import epoch_points, is_number


def test_epochs_count_from_one_and_gaps_stay_gaps() -> None:
    records: list[dict[str, Any]] = [
        {"epoch": 0, "loss": 2.0, "effective_clusters": [3.0, 4.0]},
        {"epoch": 1, "loss": None, "effective_clusters": []},
        {"epoch": 2, "loss": float("nan")},
        {"epoch": 3, "loss": 1},
    ]
    assert epoch_points(records, "loss") == {1.0: 2.0, 4.0: 1.0}
    assert epoch_points(records, "effective_clusters") == {1.0: 3.0}
    assert epoch_points(records, "miou") == {}


def test_truth_values_and_text_are_no_numbers() -> None:
    assert [is_number(one) for one in (1, 0.5, True, "1", None, float("inf"))] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
