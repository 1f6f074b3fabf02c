"""Write the search index of the built site as a script: site/search_index.js.

    python docs/make_search.py site     # part of `make docs`, after zensical

Pages that are opened from a folder cannot fetch files, but they can load scripts. zensical lists
the sections of all pages in search.json; docs/search.js searches them.
"""

import argparse
import html
import json
import re
from pathlib import Path
from typing import Any

__all__ = ["index", "main", "write_index"]

_WEIGHTS = {"Start": 1.2, "Tutorial": 1.1, "How to": 1.3, "Reference": 0.8, "Explanation": 0.6}
_RESEARCH = 0.3
"""How-to pages come before reference, and that before results and research."""


def index(items: list[dict[str, Any]]) -> list[tuple[str, str, list[str], str, float]]:
    """Address, heading, place in the menu, plain text and weight of each section."""
    return [
        (item["location"], _plain(item["title"]), path, _plain(item["text"]), _weight(path))
        for item in items
        for path in [[_plain(part) for part in item["path"]]]
    ]


def _weight(path: list[str]) -> float:
    return _RESEARCH if "Research log" in path else _WEIGHTS.get(path[0] if path else "", 1.0)


def _plain(text: str) -> str:
    """Text without tags; a tag may be all that stands between two words."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def write_index(site: Path) -> Path:
    """Write the index of a built site."""
    listed = json.loads((site / "search.json").read_text(encoding="utf-8"))["items"]
    made = json.dumps(index(listed), ensure_ascii=False, separators=(",", ":"))
    out = site / "search_index.js"
    out.write_text(f"globalThis.picieSearchIndex={made};\n", encoding="utf-8")
    return out


def main() -> None:
    """Write the index of the site in a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("site", type=Path)
    write_index(parser.parse_args().site)


if __name__ == "__main__":
    main()
