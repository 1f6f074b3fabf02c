"""From a suite and its records to the two files."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from picie.benchmark.plan import plan
from picie.benchmark.suite import read_suite
from picie.benchmark.summary import Chart, Document, Section, Table
from picie.benchmark.tables import is_table, make_document, to_html, to_markdown, write_pages
from picie.errors import ConfigError
from picie.visualization.charts import Line, stroke

WriteSuite = Callable[..., Path]


def test_settings_of_every_level_are_told(write_suite: WriteSuite, tmp_path: Path) -> None:
    suite = read_suite(
        write_suite(
            defaults={"clusters": 3},
            data=[{"name": "photos", "temperature": 0.2}],
            systems=[{"name": "a", "preset": "paper", "balance": "none"}, {"name": "b"}],
        )
    )
    document = make_document(suite, plan(suite, root=tmp_path, out=tmp_path), [], [])
    assert document.systems.rows == (
        ("every run", "", "clusters = 3"),
        ("on photos", "", "temperature = 0.2"),
        ("a", "paper", 'balance = "none"'),
        ("b", "default", ""),
    )


def test_failures_and_published_numbers_are_explained(
    write_suite: WriteSuite, tmp_path: Path
) -> None:
    number = {"system": "theirs", "data": "scenes", "miou": 14.4, "source": "a paper"}
    suite = read_suite(write_suite(published=[number]))
    failure = {"slug": "one", "error": "DataError", "message": "no images"}
    jobs = plan(suite, root=tmp_path, out=tmp_path)
    document = make_document(suite, jobs, [], [failure])
    assert document.notes[1].startswith("Rows in italics are published numbers")
    assert document.notes[2] == "Failed: one: DataError: no images"
    [section] = document.sections
    assert [row[:3] for row in section.scores.rows] == [
        ("default", "0 of 2", "-"),
        ("the reference", "0 of 2", "-"),
        ("theirs, published [1], unverified", "", "-"),
    ]
    write_pages(document, tmp_path)
    assert "| *theirs, published [1], unverified* |" in (tmp_path / "table.md").read_text()
    assert "14.4</td>" in (tmp_path / "table.html").read_text()


@pytest.mark.parametrize("name", ["table.md", "table.html"])
def test_only_tables_are_replaced(tmp_path: Path, name: str) -> None:
    document = Document("a", (), Table(("system", "preset", "settings"), (), 3), ())
    for _ in range(2):
        write_pages(document, tmp_path)
        assert is_table(tmp_path / name)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"{name}: already exists and was not written by this"):
        write_pages(document, tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_rows_keep_the_suite_s_order_whatever_the_seeds(
    write_suite: WriteSuite, tmp_path: Path
) -> None:
    systems: list[dict[str, Any]] = [{"name": "a", "seeds": [7]}, {"name": "b"}]
    data = [{"name": "second"}, {"name": "first"}]
    suite = read_suite(write_suite(systems=systems, data=data))
    document = make_document(suite, plan(suite, root=tmp_path, out=tmp_path), [], [])
    assert [section.title for section in document.sections] == ["second", "first"]
    assert [row[0] for row in document.sections[0].scores.rows] == ["a", "b"]


# --- markdown: tables stay tables whatever stands in their cells


SCORES = Table(("system", "mIoU"), (("a | b", "1.0"), ("c", "2.0")), foreign=frozenset({1}))
SECTION = Section("photos", ("Protocol.",), SCORES, ("[1] a log",), None, SCORES, (), ())


def text(section: Section = SECTION) -> str:
    systems = Table(("system", "settings"), (("a", "x = 1"),), 2)
    return to_markdown(Document("My suite", (section,), systems, ("A note.",)))


def test_headings_tables_and_notes() -> None:
    assert text() == (
        "# My suite\n\n## photos\n\nProtocol.\n\n"
        "| system | mIoU |\n| --- | --: |\n| a \\| b | 1.0 |\n| *c* | *2.0* |\n\n"
        "[1] a log\n\n## Systems\n\n"
        "| system | settings |\n| --- | --- |\n| a | x = 1 |\n\nA note.\n"
    )


def test_correlations_come_where_there_are_any() -> None:
    found = Table(("number", "runs", "rho"), (("entropy", "6", "+0.50"),))
    other = Section("photos", (), SCORES, (), found, SCORES, (), ())
    assert "Label-free numbers against mIoU" not in text()
    assert "Label-free numbers against mIoU:\n\n| number | runs | rho |" in text(other)


# --- the page: whole, self-contained, and free of markup from names


WIDE = Table(("system", "mIoU"), (("a <b>", "1.0"), ("c", "2.0")), foreign=frozenset({1}))
CHART = Chart("loss", (Line("a", stroke(0), ((1, 2.0), (2, 1.0))),))
EMPTY = Chart("mIoU %", ())
SHOWN = Section(
    "photos",
    ("Protocol.",),
    WIDE,
    ("[1] a log",),
    WIDE,
    WIDE,
    (CHART, EMPTY),
    (("a", ""),),
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
    return to_html(Document("Suite & <co>", sections, WIDE, ("A note.",)))


def test_every_element_is_closed_and_names_are_text() -> None:
    checker = Checker()
    checker.feed(page(SHOWN))
    assert checker.open == []
    assert {"Suite & <co>", "a <b>", "Protocol.", "A note."} <= set(checker.text)


def test_nothing_comes_from_elsewhere() -> None:
    text = page(SHOWN)
    assert not re.search(r"https?:|//|<script|<link|@import|url\(|src=", text)


def test_it_follows_the_reader_s_colours_and_prints() -> None:
    text = page(SHOWN)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_published_rows_are_marked() -> None:
    assert page(SHOWN).count('<tr class="foreign">') == 4  # once in each table


def test_empty_charts_are_left_out() -> None:
    assert page(SHOWN).count("<h3>Curves over the epochs</h3>") == 1
    assert 'aria-label="mIoU %"' not in page(SHOWN)
    bare = Section("photos", (), WIDE, (), None, WIDE, (EMPTY,), ())
    assert "<h3>Curves over the epochs</h3>" not in page(bare)


def test_names_are_no_html_in_markdown() -> None:
    evil = "<img src=x> | `x`\n# y"
    text = to_markdown(Document(evil, (), Table(("system",), ((evil,),)), (evil,)))
    assert text.count(r"\<img src=x> \| \`x\` # y") == 3
    assert "<img" not in text.replace(r"\<img", "")
