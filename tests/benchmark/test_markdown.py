"""Markdown: tables stay tables whatever stands in their cells."""

from picie.benchmark.summary import Document, Section, Table
from picie.benchmark.tables import to_markdown

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
