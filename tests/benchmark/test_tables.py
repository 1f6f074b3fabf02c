"""From a suite and its records to the two files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from picie.benchmark.plan import plan
from picie.benchmark.suite import read_suite
from picie.benchmark.tables import make_document, write_pages

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


def test_rows_keep_the_suite_s_order_whatever_the_seeds(
    write_suite: WriteSuite, tmp_path: Path
) -> None:
    systems: list[dict[str, Any]] = [{"name": "a", "seeds": [7]}, {"name": "b"}]
    data = [{"name": "second"}, {"name": "first"}]
    suite = read_suite(write_suite(systems=systems, data=data))
    document = make_document(suite, plan(suite, root=tmp_path, out=tmp_path), [], [])
    assert [section.title for section in document.sections] == ["second", "first"]
    assert [row[0] for row in document.sections[0].scores.rows] == ["a", "b"]
