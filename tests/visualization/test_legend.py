"""Legends: which entries, in which order, whatever the names are."""

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.visualization import lettering
from picie.visualization.legend import (
    draw_legend,
    legend_entries,
    legend_width,
    line_height,
    own_names,
)
from picie.visualization.palette import palette


def test_the_most_frequent_first_and_those_that_are_absent_not_at_all() -> None:
    entries = legend_entries(np.array([10, 0, 30, 1]), palette(4), ["a", "b", "c", "d"], 3000)
    assert [(one.number, one.name, one.share) for one in entries] == [
        ("2", "c", "1.0 %"),
        ("0", "a", "0.3 %"),
        ("3", "d", "< 0.1 %"),
    ]
    assert entries[0].colour == tuple(palette(4)[2].tolist())
    assert [one.share for one in legend_entries(np.array([1, 3]), palette(2), "ab")] == [
        "75.0 %",
        "25.0 %",
    ]


def test_more_than_sixty_share_one_entry() -> None:
    entries = legend_entries(np.ones(100, np.int64), palette(100), [""] * 100)
    assert len(entries) == 61
    assert (entries[-1].number, entries[-1].name, entries[-1].share) == ("", "40 more", "40.0 %")


@pytest.mark.parametrize(
    "name",
    ["", "x" * 70_000, "日本語", "سماء زرقاء", "a\nb\u202e\x1b[31m", "\U000e0041", "🌲", "  "],
)
def test_any_name_keeps_its_line(name: str) -> None:
    entries = legend_entries(np.array([3, 1]), palette(2), [name, "b"])
    legend = draw_legend(entries, 300, 14)
    assert legend.width == 300
    assert legend.height in (line_height(14), 2 * line_height(14))
    pixels = np.asarray(legend)
    for colour in palette(2):
        assert (pixels == colour).all(-1).sum() == 15 * 15


def test_names_are_cut_only_where_the_picture_is_too_narrow() -> None:
    long = "secondary_precipitate"
    entries = legend_entries(np.array([9, 2, 1]), palette(3), ["matrix", long, "void"])

    def shown(room: int) -> NDArray[np.uint8]:
        return np.asarray(draw_legend(entries, room, 14))

    assert shown(260).shape[0] == 3 * line_height(14)  # one below the other
    assert shown(450).shape[0] == 2 * line_height(14)
    assert shown(600).shape[0] == line_height(14)
    whole = (shown(600) != 255).any(-1).sum()
    assert (shown(260) != 255).any(-1).sum() == pytest.approx(whole, rel=0.01)
    assert (shown(170) != 255).any(-1).sum() < 0.95 * whole


def test_a_name_without_a_font_is_shown_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_OTHERS", ())
    counts, colours = np.array([0, 1]), palette(2)
    shown = draw_legend(legend_entries(counts, colours, ["", "Gebäude"]), 200, 14)
    number = draw_legend(legend_entries(counts, colours, ["", ""]), 200, 14)
    assert np.array_equal(np.asarray(shown), np.asarray(number))


@pytest.mark.parametrize("name", ["road", "سماء زرقاء", "Straße"])
def test_numbers_stand_in_a_column_of_their_own_before_the_names(name: str) -> None:
    """Also before a name that is read from right to left."""
    counts = np.arange(12)[::-1]
    plain = np.asarray(draw_legend(legend_entries(counts, palette(12), [""] * 12), 200, 14))
    named = np.asarray(draw_legend(legend_entries(counts, palette(12), [name] * 12), 200, 14))
    numbers = 14 + 8 + 16  # right of the swatch, two digits
    assert np.array_equal(plain[: 11 * line_height(14), :numbers], named[:, :numbers])
    assert (named[:, numbers + 4 : 130] < 128).any()


def test_the_width_in_which_no_name_is_cut() -> None:
    entries = legend_entries(np.array([3, 1]), palette(2), ["sea", "a name of some length"])
    width = legend_width(entries, 14)
    whole = (np.asarray(draw_legend(entries, width, 14)) != 255).any(-1).sum()
    wider = (np.asarray(draw_legend(entries, 2 * width, 14)) != 255).any(-1).sum()
    assert whole == wider
    assert (np.asarray(draw_legend(entries, width - 20, 14)) != 255).any(-1).sum() < whole
    assert legend_width([], 14) == 0


def test_a_heading_takes_a_line() -> None:
    entries = legend_entries(np.array([1]), palette(1), ["a"])
    assert draw_legend(entries, 99, 20, "all").height == 2 * line_height(20)
    assert draw_legend([], 99, 20).size == (99, 1)


def test_numbers_stand_for_clusters_without_a_name() -> None:
    assert own_names(["sky", "cluster 1", "cluster 7"]) == ["sky", "", "cluster 7"]
