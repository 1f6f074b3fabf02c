"""Charts: well-formed, inside their frame, and readable whatever the values."""

import itertools
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from picie.visualization.charts import Line, chart, epoch_points, is_number, stroke, ticks


def test_ticks_enclose_the_values_in_even_round_steps() -> None:
    for low, high in [
        (0, 1),
        (11.2, 47),
        (0.39141, 0.39149),
        (-3, 5),
        (1e6, 3e6),
        (2.0, 2.0),
        (0, 0),
        (-7, -7),
    ]:
        found = ticks(low, high)
        steps = [after - before for before, after in itertools.pairwise(found)]
        assert found[0] <= low <= high <= found[-1]
        assert 2 <= len(found) <= 9
        assert steps == pytest.approx([steps[0]] * len(steps))
        assert re.fullmatch(r"[125]e[+-]\d+", f"{steps[0]:.0e}")


def test_noise_of_rounding_is_no_spread() -> None:
    assert len(ticks(0.1, 0.1 + 1e-16)) < 10


def test_the_higher_value_stands_higher_and_all_stay_inside() -> None:
    svg = chart("loss", [Line("a", stroke(0), ((1, 5.0), (2, 3.0), (3, 4.0)))])
    root = ElementTree.fromstring(svg)
    [line] = root.iter("polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[0][1] < points[2][1] < points[1][1]
    assert all(0 <= x <= 300 and 0 <= y <= 200 for x, y in points)
    assert [text.text for text in root.iter("text")][:1] == ["loss"]


def test_a_single_epoch_is_a_dot() -> None:
    root = ElementTree.fromstring(chart("mIoU", [Line("a", stroke(1), ((1, 20.0),))]))
    [dot] = root.iter("circle")
    assert dot.attrib["fill"] == "#e69f00"


def test_names_are_text_not_markup() -> None:
    svg = chart("<b> & c", [Line('"x" <i>', stroke(0), ((1, 1.0), (2, 2.0)))])
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "<b> & c"
    assert next(root.iter("title")).text == '"x" <i>'


def test_nothing_to_draw_is_nothing() -> None:
    assert chart("loss", []) == ""
    assert chart("loss", [Line("a", stroke(0), ())]) == ""


def test_the_first_28_strokes_differ() -> None:
    assert len({stroke(number) for number in range(28)}) == 28
    assert stroke(28) == stroke(0)


# --- points of curves: what is no number is left out


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
