"""Check the built site: no dead links, no missing pages, no external resources.

    python docs/check_site.py site      # last step of `make docs`

zensical checks links between pages. This script checks the HTML itself: every link, image, script
and anchor works, each page of docs/ is in the navigation, and no resource is loaded from another
server.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["left_out", "main", "problems"]

DOCS = Path(__file__).parent
_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
_ELSEWHERE = re.compile(r"(?:url\(|@import\s*)[\"']?((?:https?:)?//[^\"')\s]+)")
_HARMLESS = ("canonical", "next", "prev", "alternate")


class Page(HTMLParser):
    """Links, resources and anchors of one HTML file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the links, resources and anchors of one element."""
        attributes = {key: value or "" for key, value in attrs}
        self.anchors.update(attributes[key] for key in ("id", "name") if key in attributes)
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        loaded = attributes.get(_LOADED.get(tag, ""), "")
        if loaded and attributes.get("rel") not in _HARMLESS:
            self.loaded.append(loaded)


def problems(site: Path) -> list[str]:
    """Problems of the pages in a folder, one sentence each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        return [f"{site}: has no pages; build them with zensical build"]
    found = [
        f"{path.relative_to(site.resolve())}: {problem}"
        for path, page in pages.items()
        if path.name != "404.html"  # its links are relative to the root of the server
        for problem in _of_page(path, page, pages)
    ]
    if (site / "search.js").is_file() and not (site / "search_index.js").is_file():
        found.append(f"{site}: has no search_index.js; write it with docs/make_search.py")
    return found + [
        f"{path.relative_to(site)}: loads {target} from another machine"
        for path in sorted(site.rglob("*.css"))
        for target in _ELSEWHERE.findall(path.read_text(encoding="utf-8"))
    ]


def _of_page(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    for target in page.loaded:
        if urlsplit(target).netloc:
            yield f"loads {target} from another machine"
    for target in dict.fromkeys(page.links + page.loaded):
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        file = file / "index.html" if file.is_dir() else file
        if not file.is_file():
            yield f"{target} is not there"
        elif parts.fragment and file in pages and parts.fragment not in _anchors(pages[file]):
            yield f"{target}: the page has no such heading"


def _anchors(page: Page) -> set[str]:
    return page.anchors | {"__skip", "__top"}


def left_out(docs: Path, settings: Path) -> list[str]:
    """Pages missing from the navigation, and navigation entries without a page."""
    nav = tomllib.loads(settings.read_text(encoding="utf-8"))["project"]["nav"]
    named = set(_named(nav))
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    missing = [f"{settings.name}: nav names {name}, which is not there" for name in named - there]
    return missing + [f"{settings.name}: nav leaves out {name}" for name in there - named]


def _named(nav: Any) -> Iterator[str]:
    for entry in nav:
        for value in [entry] if isinstance(entry, str) else entry.values():
            yield from [value] if isinstance(value, str) else _named(value)


def main() -> None:
    """Check the site; exit with 1 and a list of problems if there are any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("site", type=Path)
    site = parser.parse_args().site
    found = sorted(left_out(DOCS, DOCS.parent / "zensical.toml")) + problems(site)
    sys.exit("\n".join(found) if found else 0)


if __name__ == "__main__":
    main()
