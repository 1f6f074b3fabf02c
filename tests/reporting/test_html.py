"""The page: whole, self-contained, free of markup from names, and the same each time."""

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from picie.reporting.content import (
    Cluster,
    Crop,
    Document,
    GalleryImage,
    Node,
    Patch,
    Score,
    Tree,
)
from picie.reporting.html import gallery, is_report, to_html
from picie.types import IGNORED
from picie.visualization.palette import palette
from picie.visualization.thumbnails import fit_mask, fit_photo

BAD = "<script>alert('x')</script> & \"q\" ü"
IMAGE = fit_photo(np.full((20, 20, 3), 90, np.uint8), 1_000)
MASK = fit_mask(np.array([[0, 1], [1, -1]]), palette(2), 1_000)
HEAT = np.eye(32)
PATCHES = (Patch(BAD, 0.93, IMAGE), Patch("b", 0.91, IMAGE))


def cluster(number: int, **changes: object) -> Cluster:
    base = Cluster(
        number, f"cluster {number}", "", (230, 159, 0), 0.4, 3, HEAT, PATCHES, PATCHES[::-1]
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


CLUSTERS = (
    cluster(0, name=BAD, note=BAD, nearest=((1, 0.82), (9, 0.5))),
    cluster(1, nearest=((0, -0.25),)),
    cluster(IGNORED, name="ignored", note=BAD, typical=(), atypical=(), share=0.2),
)
SCORE = Score(
    69.2,
    32.8,
    f"protocol {BAD}",
    ((BAD, (50.0, 60.0, 70.0, 80.0), BAD), ("none", (None, None, None, 0.0), "")),
    np.array([[30, 10], [0, 0]]),
    (0, -1),
    ((BAD, 0), ("cluster 1", IGNORED)),
)
TREE = Tree(
    ((0, 1, 1.0),),
    (0, 1),
    2,
    2,
    (0, 1),
    {number: Node(number, 1, 0.5, 3, ((0, IMAGE),)) for number in range(3)},
    (Crop(BAD, IMAGE),),
    f"picie name {BAD}",
)
DOCUMENT = Document(
    title=BAD,
    lede=BAD,
    facts=((BAD, BAD),),
    clusters=CLUSTERS,
    absent=(BAD,),
    photos=1_234,
    problems=(BAD,),
    gallery=(GalleryImage(BAD, (20, 20), IMAGE, MASK, ((0, 0.7), (1, 0.2), (IGNORED, 0.1))),),
    gallery_note=BAD,
    health={"view_information": 0.5, BAD: 1.0},
    health_note=BAD,
    charts=('<svg role="img"></svg>',),
    tree=TREE,
    tree_note=BAD,
    score=SCORE,
)
BARE = Document("run", "", (), (cluster(0, heat=np.zeros((0, 0))),), (), 1, (), (), "No photo.")
VOID = {"meta", "br", "img", "input"}


class Checker(HTMLParser):
    """Keeps the open elements; fails where one is closed that is not the last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(document: Document) -> list[tuple[str, dict[str, str | None]]]:
    checker = Checker()
    checker.feed(to_html(document))
    assert checker.open == []
    return checker.found


@pytest.mark.parametrize("document", [DOCUMENT, BARE])
def test_it_is_well_formed_and_every_link_leads_somewhere(document: Document) -> None:
    found = checked(document)
    ids = [attrs["id"] for _, attrs in found if "id" in attrs]
    assert len(ids) == len(set(ids))
    for name in ("href", "aria-labelledby", "for"):
        links = {str(attrs[name]).removeprefix("#") for _, attrs in found if name in attrs}
        assert links <= set(ids)


def test_names_are_text_wherever_they_stand() -> None:
    found = checked(DOCUMENT)
    assert [tag for tag, _ in found].count("script") == 1
    html = to_html(DOCUMENT)
    assert "alert('x')" not in html
    assert html.count("&lt;script&gt;") > 20


def test_nothing_comes_from_elsewhere_and_only_its_own_script_runs() -> None:
    html = to_html(DOCUMENT)
    outside = r"https?:|<link|@import|url\((?!data:image/)|<iframe|<form[^>]+action"
    assert not re.search(outside, html)
    assert all(
        str(attrs["src"]).startswith("data:image/")
        for _, attrs in checked(DOCUMENT)
        if "src" in attrs
    )
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "default-src 'none'" in html


def test_readers_of_all_kinds() -> None:
    found, html = checked(DOCUMENT), to_html(DOCUMENT)
    assert all(attrs.get("alt") for tag, attrs in found if tag == "img")
    named = [tag for tag, attrs in found if "aria-label" in attrs or "aria-labelledby" in attrs]
    assert named.count("section") == 6
    assert {"main", "nav", "header"} <= {tag for tag, _ in found}
    assert [tag for tag, _ in found].count("h1") == 1
    inputs = [attrs for tag, attrs in found if tag in ("input", "select")]
    labels = {attrs.get("for") for tag, attrs in found if tag == "label"}
    # The box stands inside its label.
    assert all(attrs["id"] in labels or attrs["id"] == "large" for attrs in inputs)
    for rule in (
        "prefers-color-scheme: dark",
        "@media print",
        "prefers-reduced-motion",
        ":focus-visible",
    ):
        assert rule in html


def test_the_same_document_gives_the_same_page() -> None:
    assert to_html(DOCUMENT) == to_html(DOCUMENT)


def test_what_is_missing_is_said() -> None:
    html = to_html(dataclasses.replace(BARE, charts_note="No curve.", score_note="No label."))
    for sentence in ("No photo.", "No curve.", "No label."):
        assert sentence in html
    assert "could not be read" not in html
    assert "skipped 1 unreadable photo" in to_html(DOCUMENT)
    assert "In none of these photos: &lt;script" in to_html(DOCUMENT)


def test_only_so_many_clusters_get_a_card() -> None:
    many = tuple(cluster(number, share=1 / 300) for number in range(300))
    html = to_html(dataclasses.replace(BARE, clusters=many))
    assert html.count('<article class="card"') == 256
    assert "Not shown: 44 smaller clusters, 14.7 % of the pixels." in html


def test_thousands_of_problems_are_counted_not_listed() -> None:
    html = to_html(dataclasses.replace(BARE, problems=("a: broken",) * 20_500))
    assert "skipped 20500 unreadable photos" in html
    assert html.count("a: broken") == 20_000
    assert "and 500 more" in html


def test_health_is_explained_and_never_called_good() -> None:
    html = to_html(DOCUMENT)
    assert "<code>view_information</code>" in html
    assert "No number here tells good masks from bad ones" in html
    assert "Warning:" not in html
    assert "verdict" not in html


def test_warnings_stand_above_the_measures() -> None:
    health = {"largest_cluster": 0.95, "constant_images": 0.25}
    html = to_html(dataclasses.replace(DOCUMENT, health=health))
    assert html.count('<p class="warning"><b>Warning:</b>') == 2
    assert html.index("one cluster holds 95%") < html.index("<code>largest_cluster</code>")


def test_what_was_left_out_is_on_the_page() -> None:
    notes = ("left out 5 .heic: picie does not <read> them",)
    html = to_html(dataclasses.replace(DOCUMENT, notes=notes, constant=("night/1", "night/2")))
    assert "left out 5 .heic: picie does not &lt;read&gt; them" in html
    assert "2 photos of (nearly) one colour, which show nothing: night/1, night/2" in html


def test_large_matrices_are_a_image_and_small_ones_text() -> None:
    assert '<table class="matrix">' in to_html(DOCUMENT)
    names = tuple((f"class {number}", (None,) * 4, "") for number in range(50))
    score = dataclasses.replace(
        SCORE,
        rows=names,
        confusion=np.ones((50, 2), np.int64),
    )
    html = to_html(dataclasses.replace(DOCUMENT, score=score))
    assert '<table class="matrix">' not in html
    assert '<img class="matrix"' in html
    empty = dataclasses.replace(SCORE, confusion=np.zeros((2, 2), np.int64))
    assert "No pixel is labelled." in to_html(dataclasses.replace(DOCUMENT, score=empty))


def test_cells_of_the_matrix_are_per_cent_of_their_row() -> None:
    html = to_html(DOCUMENT)
    assert '<td class="own dark" style="--share:0.75">75</td>' in html
    assert '<td style="--share:0.25">25</td>' in html


# --- the gallery: every photo once, with what is on it


NOTHING = np.zeros((0, 0))
SHOWN = {
    number: Cluster(number, f"cluster {number}", "", (9, 9, 9), 0.1, 1, NOTHING)
    for number in range(7)
}
SHARES = tuple((number, 0.3 - 0.04 * number) for number in range(6))


def test_each_photo_names_its_largest_clusters_and_counts_the_others() -> None:
    html = gallery([GalleryImage("a/b <c>", (40, 30), b"", b"", SHARES)], SHOWN, "All.")
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
    html = gallery(shots, SHOWN, "")
    assert '<option value="">any cluster (2)</option>' in html
    assert '<option value="0">cluster 0 (2)</option>' in html
    assert '<option value="5">cluster 5 (1)</option>' in html
    assert 'value="6"' not in html


def test_without_photos_there_is_only_the_note() -> None:
    assert gallery([], SHOWN, "Nothing <here>.") == '<p class="quiet">Nothing &lt;here&gt;.</p>'


def test_photos_can_be_sorted_by_their_doubt() -> None:
    html = gallery([GalleryImage("a", (4, 3), b"", b"", SHARES, 0.2345)], SHOWN, "")
    assert 'data-doubt="0.2345"' in html
    assert "doubt 23.4 %" in html
    assert '<select id="order"><option value="name">name</option>' in html


def test_the_tree_has_its_rows_and_says_where_they_end() -> None:
    html = to_html(DOCUMENT)
    assert html.count('<details class="node"') == 3
    assert "The page shows the nodes from" not in html
    assert "Nodes above the cut" in html
    later = dataclasses.replace(TREE, nodes={2: TREE.nodes[2]})
    html = to_html(dataclasses.replace(DOCUMENT, tree=later))
    assert "The page shows the nodes from n2 on, the last to merge." in html


def test_traces_are_counted_not_called_zero() -> None:
    html = gallery([GalleryImage("a", (4, 3), b"", b"", ((0, 0.996), (1, 0.004)))], SHOWN, "")
    assert "<bdi>cluster 0</bdi> <span>100 %</span>" in html
    assert " <span>0 %" not in html
    assert '<li class="quiet">1 more</li>' in html


def test_a_report_is_recognised(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(to_html(DOCUMENT))
    assert is_report(page)
    for text in ("", "<!doctype html>\n<title>mine</title>", "x - picie report</title>"):
        page.write_text(text)
        assert not is_report(page)
