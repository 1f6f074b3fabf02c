"""The gallery: every photo once, with what is on it."""

import numpy as np

from picie.reporting.content import Cluster, GalleryImage
from picie.reporting.html import gallery

NOTHING = np.zeros((0, 0))
CLUSTERS = {
    number: Cluster(number, f"cluster {number}", "", (9, 9, 9), 0.1, 1, NOTHING)
    for number in range(7)
}
SHARES = tuple((number, 0.3 - 0.04 * number) for number in range(6))


def test_each_photo_names_its_largest_clusters_and_counts_the_others() -> None:
    html = gallery([GalleryImage("a/b <c>", (40, 30), b"", b"", SHARES)], CLUSTERS, "All.")
    assert html.count("<figure") == 1
    assert 'data-ids="0 1 2 3 4 5"' in html
    assert html.count("<li>") == 4
    assert "2 more" in html
    assert "a/b &lt;c&gt;" in html
    assert "cluster 5 10.0 %" in html  # in the words for those who do not see the mask


def test_the_filter_offers_clusters_that_occur_with_their_number_of_photos() -> None:
    shots = [
        GalleryImage("a", (4, 3), b"", b"", SHARES),
        GalleryImage("b", (4, 3), b"", b"", SHARES[:1]),
    ]
    html = gallery(shots, CLUSTERS, "")
    assert '<option value="">any cluster (2)</option>' in html
    assert '<option value="0">cluster 0 (2)</option>' in html
    assert '<option value="5">cluster 5 (1)</option>' in html
    assert 'value="6"' not in html


def test_without_photos_there_is_only_the_note() -> None:
    assert gallery([], CLUSTERS, "Nothing <here>.") == '<p class="quiet">Nothing &lt;here&gt;.</p>'


def test_traces_are_counted_not_called_zero() -> None:
    html = gallery([GalleryImage("a", (4, 3), b"", b"", ((0, 0.996), (1, 0.004)))], CLUSTERS, "")
    assert "cluster 0 <span>100 %</span>" in html
    assert " <span>0 %" not in html
    assert '<li class="quiet">1 more</li>' in html
