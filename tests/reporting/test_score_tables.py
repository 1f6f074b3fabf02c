"""Scores in HTML: undefined numbers and unmatched classes are told as such."""

import numpy as np

from picie.reporting.content import Cluster, Score
from picie.reporting.score_tables import score_tables

CLUSTERS = {0: Cluster(0, "road", "", (1, 2, 3), 0.5, 1, np.zeros((0, 0)))}
SCORE = Score(
    50.0,
    25.0,
    "How.",
    (("road", (50.0, 60.0, 70.0, 80.0), "cluster 1"), ("sky", (None, None, None, 0.0), "")),
    np.array([[10, 30], [0, 0]]),
    (-1, 0),
    (("cluster 0 (road)", 0), ("cluster 1", 0)),
)


def test_each_class_has_a_row() -> None:
    html = score_tables(SCORE, CLUSTERS)
    assert '<td class="number">50.0</td><td class="number">60.0</td>' in html
    assert '<td class="number">-</td>' in html
    assert "<td><span class=quiet>none</span></td>" in html
    assert "50.0 %</dd>" in html
    assert "How." in html


def test_columns_stand_in_the_order_of_their_classes() -> None:
    html = score_tables(SCORE, CLUSTERS)
    assert html.index("cluster 1</span>") < html.index("cluster 0 (road)</span>")
    assert (
        '<td class="own dark" style="--share:0.75">75</td><td style="--share:0.25">25</td>' in html
    )
