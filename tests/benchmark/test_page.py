"""The page: whole, self-contained, and free of markup from names."""

import re
from html.parser import HTMLParser

from picie.benchmark.summary import Chart, Document, Section, Table
from picie.benchmark.tables import to_html
from picie.visualization.charts import Line, stroke

SCORES = Table(("system", "mIoU"), (("a <b>", "1.0"), ("c", "2.0")), foreign=frozenset({1}))
CHART = Chart("loss", (Line("a", stroke(0), ((1, 2.0), (2, 1.0))),))
EMPTY = Chart("mIoU %", ())
SECTION = Section(
    "photos", ("Protocol.",), SCORES, ("[1] a log",), SCORES, SCORES, (CHART, EMPTY), (("a", ""),)
)
VOID = {"meta", "br"}


class Checker(HTMLParser):
    """Keeps the open elements; fails where one is closed that is not the last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(*sections: Section) -> str:
    return to_html(Document("Suite & <co>", sections, SCORES, ("A note.",)))


def test_every_element_is_closed_and_names_are_text() -> None:
    checker = Checker()
    checker.feed(page(SECTION))
    assert checker.open == []
    assert {"Suite & <co>", "a <b>", "Protocol.", "A note."} <= set(checker.text)


def test_nothing_comes_from_elsewhere() -> None:
    text = page(SECTION)
    assert not re.search(r"https?:|//|<script|<link|@import|url\(|src=", text)


def test_it_follows_the_reader_s_colours_and_prints() -> None:
    text = page(SECTION)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_published_rows_are_marked() -> None:
    assert page(SECTION).count('<tr class="foreign">') == 4  # once in each table


def test_empty_charts_are_left_out() -> None:
    assert page(SECTION).count("<h3>Curves over the epochs</h3>") == 1
    assert 'aria-label="mIoU %"' not in page(SECTION)
    bare = Section("photos", (), SCORES, (), None, SCORES, (EMPTY,), ())
    assert "<h3>Curves over the epochs</h3>" not in page(bare)
