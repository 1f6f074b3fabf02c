"""Draw the figure of docs/results.md from the tables of the research pages.

    python docs/make_figure.py          # docs/images/results_*.svg

Each point is the mIoU of a set, as a share of that of a linear classifier that knows all labels.
The two halves are files of their own, beside each other on a wide screen and below on a phone.
"""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

__all__ = ["halves", "main", "rows_below"]

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"

_SYSTEMS = ("k-means on frozen features", "`--epochs 0`", "`default`")
_ACTS = ("names", "+ 50 strokes, random order", "+ 200 strokes, random order")
_COLOURS = ("#8a8a8a", "#0072b2", "#d55e00")  # grey, then two of Okabe and Ito
_LEFT, _WIDTH, _ROW = 58, 338, 20
_ROWS = 7  # of both halves, so that they are equally high


def rows_below(page: Path, heading: str) -> dict[str, list[str]]:
    """The first table below a heading: cells by the first of their row.

    Args:
        page: a Markdown file.
        heading: as written in it.
    """
    text = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    if table is None:
        raise SystemExit(f"{page}: no table below {heading!r}")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[0].splitlines()]
    return {first: rest for first, *rest in lines}


def _shares(rows: dict[str, list[str]], named: tuple[str, ...], probe: str) -> list[list[float]]:
    ceiling = [float(cell) for cell in rows[probe]]
    return [
        [float(cell.split()[0]) / most for cell, most in zip(rows[name], ceiling, strict=False)]
        for name in named
    ]


def halves() -> dict[str, str]:
    """SVG by file name: without labels, and with a person."""
    kinds = rows_below(DOCS / "research" / "scores.md", "Seven kinds of images")
    minutes = rows_below(DOCS / "research" / "teaching.md", "What minutes are worth")
    return {
        "results_clusters.svg": _drawn(
            "Without labels: as many clusters as classes",
            ("k-means", "no training", "default"),
            kinds["system"][:-1],
            _shares(kinds, _SYSTEMS, "probe, with all labels"),
        ),
        "results_person.svg": _drawn(
            "With a person: 64 clusters named, then strokes",
            ("names: 9 minutes", "50 strokes: 13", "200: 25"),
            minutes[""],
            _shares(minutes, _ACTS, "probe"),
        ),
    }


def _drawn(title: str, systems: tuple[str, ...], sets: list[str], values: list[list[float]]) -> str:
    height = 66 + _ROW * _ROWS
    style = "text{font:12px sans-serif;fill:#222}.title{font-weight:600}.grid{stroke:#ddd}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}">',
        f'<style>{style}</style><rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        *_panel(title, systems, sets, values),
        "</svg>\n",
    ]
    return "\n".join(lines)


def _panel(
    title: str, systems: tuple[str, ...], sets: list[str], values: list[list[float]]
) -> Iterator[str]:
    yield f'<text class="title" x="8" y="16">{escape(title)}</text>'
    x = 8.0
    for colour, system in zip(_COLOURS, systems, strict=True):
        yield f'<circle cx="{x + 5}" cy="32" r="5" fill="{colour}"/>'
        yield f'<text x="{x + 14}" y="36">{escape(system)}</text>'
        x += 26 + 6.3 * len(system)
    bottom = 46 + _ROW * len(sets)
    for percent in range(0, 101, 20):
        at = _x(percent / 100)
        yield f'<line class="grid" x1="{at}" x2="{at}" y1="44" y2="{bottom}"/>'
        sign = " %" if percent == 100 else ""
        yield f'<text x="{at}" y="{bottom + 14}" text-anchor="middle">{percent}{sign}</text>'
    for number, name in enumerate(sets):
        y = 56 + _ROW * number
        row = [of_system[number] for of_system in values]
        yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
        yield f'<line stroke="#bbb" x1="{_x(min(row))}" x2="{_x(max(row))}" y1="{y}" y2="{y}"/>'
        for colour, system, share in zip(_COLOURS, systems, row, strict=True):
            told = f"{name}, {system}: {share:.0%} of the probe"
            yield (
                f'<circle cx="{_x(share)}" cy="{y}" r="5" fill="{colour}">'
                f"<title>{escape(told)}</title></circle>"
            )


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _LEFT - 24), 1)


def main() -> None:
    """Write both halves."""
    for name, svg in halves().items():
        (IMAGES / name).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
