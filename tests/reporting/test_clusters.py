"""Words about clusters."""

import numpy as np
import pytest

from picie.reporting.clusters import card, percent, share_bar, swatch, whereabouts
from picie.reporting.content import Cluster
from picie.types import IGNORED

NOTHING = np.zeros((0, 0))


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (slice(0, 9), slice(0, 32), "top"),
        (slice(0, 15), slice(0, 32), "upper half"),
        (slice(12, 20), slice(12, 20), "centre"),
        (slice(12, 20), slice(0, 32), "middle, from left to right"),
        (slice(0, 32), slice(14, 16), "middle, from top to bottom"),
        (slice(24, 32), slice(24, 32), "bottom right"),
        (slice(0, 32), slice(8, 32), "everywhere"),
        (slice(0, 32), slice(0, 32), "everywhere"),
        (slice(0, 0), slice(0, 0), "nowhere"),
    ],
)
def test_where_a_cluster_is_in_words(rows: slice, columns: slice, words: str) -> None:
    heat = np.zeros((32, 32))
    heat[rows, columns] = 0.5
    assert whereabouts(heat) == words


@pytest.mark.parametrize("width", [2, 5])
def test_edges_are_not_everywhere(width: int) -> None:
    sides, around = np.zeros((2, 32, 32))
    sides[:, :width] = sides[:, -width:] = 0.5
    around[:] = 0.5
    around[width:-width, width:-width] = 0
    assert whereabouts(sides) == "both sides"
    assert whereabouts(sides.T) == "top and bottom"
    assert whereabouts(around) == "edges all around"
    assert whereabouts(around + 0.1) == "mostly edges all around"
    assert whereabouts(np.where(around, 0.5, 0.4)) == "everywhere"


def test_small_shares_are_not_called_none() -> None:
    assert [percent(one) for one in (0.0, 0.0004, 0.0006, 1.0)] == [
        "0.0 %",
        "< 0.1 %",
        "0.1 %",
        "100.0 %",
    ]


def test_a_cluster_of_a_few_specks_is_not_found_in_0_photos() -> None:
    """It has pixels and patches on its card, but in no photo 0.1 % of the pixels."""
    for photos, words in ((0, "none of 9 photos with 0.1 % or more"), (2, "2 of 9 photos")):
        specks = Cluster(0, "specks", "", (1, 2, 3), 1e-6, photos, NOTHING)
        shown = card(specks, {0: specks}, 9, node="", members="")
        assert f"{words}</" in shown
        assert ("data-show" in shown) == bool(photos)


def test_ignored_pixels_are_hatched_not_coloured() -> None:
    ignored = Cluster(IGNORED, "ignored", "", (1, 2, 3), 0.5, 1, NOTHING)
    seen = Cluster(0, "<road>", "", (1, 2, 3), 0.5, 1, NOTHING)
    assert "#010203" not in swatch(ignored)
    assert "#010203" in swatch(seen)
    bar = share_bar([seen, ignored])
    assert bar.count("<i ") == 2
    assert "&lt;road&gt;: 50.0 %" in bar
