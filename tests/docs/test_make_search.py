"""The search of the site: its index, and what it finds in pages opened from a folder."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
LINKS = "links => links.map(link => link.getAttribute('href'))"


@pytest.fixture(scope="module")
def make_search(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("docs/make_search.py")


def test_the_index_has_plain_text_and_the_place_in_the_menu(
    make_search: ModuleType, tmp_path: Path
) -> None:
    item = {
        "location": "a.html#b",
        "title": "<code>K</code> &lt; 3",
        "text": "<p>one</p><p>two &amp; three</p>",
        "path": ["How to", "A page"],
    }
    (tmp_path / "search.json").write_text(json.dumps({"items": [item]}), encoding="utf-8")
    script = make_search.write_index(tmp_path).read_text(encoding="utf-8")
    name, _, values = script.removesuffix(";\n").partition("=")
    assert name == "globalThis.picieSearchIndex"
    [(address, heading, path, text, weight)] = json.loads(values)
    assert (address, heading, text) == ("a.html#b", "K < 3", "one two & three")
    assert path == ["How to", "A page"]
    assert weight > 1


def test_how_to_counts_more_than_results_and_research_least(make_search: ModuleType) -> None:
    places: list[list[str]] = [
        ["How to", "Use the masks", "x"],
        ["Reference", "x"],
        ["Explanation", "Results"],
        ["Explanation", "Research log", "x"],
    ]
    items: list[dict[str, Any]] = [
        {"location": "x.html", "title": "x", "text": "", "path": path} for path in places
    ]
    weights = [one[-1] for one in make_search.index(items)]
    assert weights == sorted(set(weights), reverse=True)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    load_script: Callable[[str], ModuleType],
    make_search: ModuleType,
) -> Path:
    """The whole site, in a folder whose name needs quoting."""
    folder = tmp_path_factory.mktemp("a site #1")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("reference"))
    shutil.copy(ROOT / "zensical.toml", folder)
    reference = load_script("docs/reference.py")
    (folder / "docs" / "reference").mkdir()
    for name, make in reference.PAGES.items():
        (folder / "docs" / "reference" / f"{name}.md").write_text(make(), encoding="utf-8")
    zensical = Path(sys.executable).with_name("zensical")
    subprocess.run([zensical, "build"], cwd=folder, check=True, capture_output=True)
    make_search.write_index(folder / "site")
    return folder / "site"


@pytest.fixture
def page(browser: Browser, site: Path) -> Iterator[Page]:
    """A page of the site, two folders deep, from the file system."""
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.goto((site / "research" / "clustering.html").as_uri())
    yield page
    page.close()
    assert complaints == []


def found(page: Page, query: str) -> list[str]:
    page.fill(".find__words", query)
    page.wait_for_selector(".find__link")
    links: list[str] = page.eval_on_selector_all(".find__link", LINKS)
    return links


def test_it_finds_what_people_ask_without_a_server(page: Page) -> None:
    page.keyboard.press("/")
    for query, place in {
        "split a cluster": "naming.html#split-a-cluster",
        "did not find my photos": "troubleshooting.html#picie-did-not-find-my-photos",
        "change colours": "troubleshooting.html#change-the-colours",
        "change the color": "troubleshooting.html#change-the-colours",
        "fewer classes": "troubleshooting.html#fewer-classes",
        "how many clusters": "clusters.html",
        "a vote of trees": "research/clustering.html#a-vote-of-trees",
        "upsid": "troubleshooting.html#masks-are-upside-down",  # in the middle of typing
    }.items():
        assert found(page, query)[0].removeprefix("../").startswith(place), query
    first = found(page, "merge clusters")[:3]
    assert not [link for link in first if "research/" in link]


def test_the_loupe_opens_it_and_enter_follows_the_first_link(page: Page) -> None:
    page.click("label[for=__search]")
    assert found(page, "split a cluster")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.matches('.find__link')")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/naming.html#split-a-cluster")


def test_nothing_found_is_said_and_markup_stays_text(page: Page) -> None:
    page.keyboard.press("/")
    page.fill(".find__words", "<img src=x onerror=alert(1)> qqqq")
    page.wait_for_function("window.picieSearchIndex")
    page.fill(".find__words", "zzqqzz")
    assert page.inner_text(".find__said").startswith("Nothing found")
    page.keyboard.press("Escape")
    assert not page.is_visible(".find__words")
