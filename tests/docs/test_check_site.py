"""The check of the built site sees what it is there for."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FINE = (
    '<h1 id="top">a</h1><a href="b.html#part">b</a><img src="x.png"><a href="https://x.org">x</a>'
)


@pytest.fixture(scope="module")
def check(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("docs/check_site.py")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text(FINE, encoding="utf-8")
    (tmp_path / "b.html").write_text('<h2 id="part">b</h2>', encoding="utf-8")
    (tmp_path / "x.png").touch()
    return tmp_path


def test_a_site_in_order_has_no_problems(check: ModuleType, site: Path) -> None:
    assert check.problems(site) == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="c.html">c</a>', "a.html: c.html is not there"),
        ('<img src="y.png">', "a.html: y.png is not there"),
        ('<a href="b.html#other">b</a>', "b.html#other: the page has no such heading"),
        ('<a href="#nowhere">b</a>', "#nowhere: the page has no such heading"),
        ('<script src="https://cdn.org/x.js"></script>', "loads https://cdn.org/x.js from another"),
        ('<link rel="stylesheet" href="//fonts.org/x">', "loads //fonts.org/x from another"),
    ],
)
def test_each_fault_is_named(check: ModuleType, site: Path, html: str, problem: str) -> None:
    (site / "a.html").write_text(FINE + html, encoding="utf-8")
    [found] = check.problems(site)[:1]
    assert problem in found


def test_style_sheets_that_load_from_elsewhere_are_named(check: ModuleType, site: Path) -> None:
    (site / "s.css").write_text("@import url(https://fonts.org/x.css);", encoding="utf-8")
    assert check.problems(site) == ["s.css: loads https://fonts.org/x.css from another machine"]


def test_a_search_without_its_index_is_named(check: ModuleType, site: Path) -> None:
    (site / "search.js").touch()
    [found] = check.problems(site)
    assert "has no search_index.js" in found
    (site / "search_index.js").touch()
    assert check.problems(site) == []


def test_an_empty_folder_is_no_site(check: ModuleType, tmp_path: Path) -> None:
    [found] = check.problems(tmp_path)
    assert "has no pages" in found


def test_pages_beside_the_navigation_are_named(check: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    (tmp_path / "b.md").touch()
    settings = tmp_path / "zensical.toml"
    settings.write_text('[project]\nnav = [{ "A" = "a.md" }, { "B" = ["c.md"] }]', encoding="utf-8")
    found = check.left_out(tmp_path, settings)
    assert found == [
        "zensical.toml: nav names c.md, which is not there",
        "zensical.toml: nav leaves out b.md",
    ]


def test_the_navigation_names_every_page(check: ModuleType) -> None:
    made = {"reference/command-line.md", "reference/settings.md", "reference/python.md"}
    wrong = check.left_out(ROOT / "docs", ROOT / "zensical.toml")
    assert [one for one in wrong if not any(name in one for name in made)] == []
