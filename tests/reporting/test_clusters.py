"""Words about clusters."""

import numpy as np
import pytest

from picie.reporting.clusters import percent, share_bar, swatch, whereabouts
from picie.reporting.content import Cluster
from picie.types import IGNORED

NOTHING = np.zeros((0, 0))


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (slice(0, 9), slice(0, 32), "mostly in the upper third"),
        (slice(12, 20), slice(12, 20), "mostly in the middle third, mostly in the middle"),
        (slice(24, 32), slice(24, 32), "mostly in the lower third, mostly at the right"),
        (slice(0, 32), slice(0, 32), "all over the image"),
        (slice(0, 0), slice(0, 0), "nowhere"),
    ],
)
def test_where_a_cluster_is_in_words(rows: slice, columns: slice, words: str) -> None:
    heat = np.zeros((32, 32))
    heat[rows, columns] = 0.5
    assert whereabouts(heat) == words


def test_small_shares_are_not_called_none() -> None:
    assert [percent(one) for one in (0.0, 0.0004, 0.0006, 1.0)] == [
        "0.0 %",
        "< 0.1 %",
        "0.1 %",
        "100.0 %",
    ]


def test_ignored_pixels_are_hatched_not_coloured() -> None:
    ignored = Cluster(IGNORED, "ignored", "", (1, 2, 3), 0.5, 1, NOTHING)
    seen = Cluster(0, "<road>", "", (1, 2, 3), 0.5, 1, NOTHING)
    assert "#010203" not in swatch(ignored)
    assert "#010203" in swatch(seen)
    bar = share_bar([seen, ignored])
    assert bar.count("<i ") == 2
    assert "&lt;road&gt;: 50.0 %" in bar
