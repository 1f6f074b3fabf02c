"""The tables of a benchmark as files: table.md and table.html."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from picie.benchmark.comparison import Comparison
from picie.benchmark.overview import overview
from picie.benchmark.plan import Job
from picie.benchmark.suite import Suite
from picie.benchmark.summary import Document, Record, Row, Section, Table, provenance, summarise
from picie.runtime.files import write_atomically
from picie.runtime.outputs import check_output
from picie.visualization.charts import chart

__all__ = ["is_table", "make_document", "to_html", "to_markdown", "write_pages"]


def write_pages(document: Document, out: Path) -> None:
    """Write table.md and table.html, each atomically.

    Raises:
        ConfigError: one of them exists and is no such table.
        PicieError: they cannot be written.
    """
    for name in ("table.md", "table.html"):
        check_output(out / name, is_table, inputs=tuple)
    write_atomically(out / "table.md", to_markdown(document).encode())
    write_atomically(out / "table.html", to_html(document).encode())


def is_table(path: Path) -> bool:
    """Whether a file is a page of `write_pages`, of this or an earlier version.

    Raises:
        OSError: it cannot be read.
    """
    text = path.read_bytes()
    return b"<h2>Systems</h2>" in text or b"## Systems\n\n| system | preset | settings |" in text


def make_document(
    suite: Suite, jobs: Sequence[Job], records: Sequence[Record], failures: Sequence[Record]
) -> Document:
    """The content of the tables.

    Args:
        suite: what is compared.
        jobs: every run of the suite, in the order of the rows.
        records: of the finished runs.
        failures: failed runs that are still unfinished.
    """
    planned = Counter(Row(job.data.name, job.system.name, job.backbone) for job in jobs)
    names = [system.name for system in suite.systems]
    order = sorted(planned, key=lambda row: names.index(row.system))
    by_data = sorted(order, key=lambda row: [data.name for data in suite.data].index(row.data))
    published = [entry.model_dump() for entry in suite.published]
    rows = {row: planned[row] for row in by_data}
    comparison = Comparison.of(suite.summary.floor, records) if suite.summary else None
    sections = summarise(rows, records, published, comparison)
    if comparison is not None:
        sections += overview([*rows], records, comparison)
    return Document(suite.title, sections, _systems(suite), _notes(suite, records, failures))


def _systems(suite: Suite) -> Table:
    rows = [("every run", "", _settings(suite.defaults))] if suite.defaults else []
    rows += [
        (f"on {entry.name}", "", _settings(entry.settings))
        for entry in suite.data
        if entry.settings
    ]
    rows += [(entry.name, entry.preset, _settings(entry.settings)) for entry in suite.systems]
    return Table(("system", "preset", "settings"), tuple(rows), 3)


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items())


def _notes(suite: Suite, records: Sequence[Record], failures: Sequence[Record]) -> tuple[str, ...]:
    marks = [
        "Rows in italics are published numbers, measured by others; unverified ones were not "
        "checked in the source itself. Their protocol may differ."
    ]
    failed = [
        f"Failed: {failure['slug']}: {failure['error']}: {failure['message']}"
        for failure in failures
    ]
    return (provenance(records), *(marks if suite.published else []), *failed)


def to_markdown(document: Document) -> str:
    """Headings, pipe tables and notes; only the HTML page has curves and single runs."""
    parts = [f"# {_cell(document.title)}"]
    for section in document.sections:
        parts += _section(section)
    parts += ["## Systems", _table(document.systems), *map(_cell, document.notes)]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    parts = [
        f"## {_cell(section.title)}",
        *section.protocol,
        _table(section.scores),
        *section.sources,
    ]
    if section.correlations is not None:
        parts += ["Label-free numbers against mIoU:", _table(section.correlations)]
    return parts


def _table(table: Table) -> str:
    rule = ["---" if n < table.text_columns else "--:" for n in range(len(table.columns))]
    rows = []
    for number, row in enumerate(table.rows):
        cells = [_cell(text) for text in row]
        if number in table.foreign:
            cells = [f"*{cell}*" if cell else "" for cell in cells]
        rows.append(cells)
    lines = [[_cell(text) for text in table.columns], rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Text in one line, without HTML, code or further columns."""
    return " ".join(re.sub(r"[\\|<`]", r"\\\g<0>", text).split())


_STYLE = """\
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --quiet: #5b6570;
  --rule: #d5dae0; --foreign: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #15181c; --quiet: #a0a9b3;
  --rule: #363d45; --foreign: #1f242a; } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; font-size: 1.25rem; }
h3 { margin-top: 1.5rem; font-size: 1rem; }
p.quiet, .sources { color: var(--quiet); font-size: 0.9rem; max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid var(--rule); text-align: right;
  vertical-align: top; }
th.text, td.text { text-align: left; } td.number { white-space: nowrap; }
thead th { border-bottom: 2px solid var(--ink); }
tr.foreign { background: var(--foreign); font-style: italic; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1rem; }
svg { width: 100%; height: auto; font-size: 11px; fill: currentColor; break-inside: avoid; }
svg .title { font-weight: 600; font-size: 12px; }
svg .grid { stroke: currentColor; stroke-opacity: 0.18; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; }
.legend svg { width: 2rem; height: 0.7rem; margin-right: 0.4rem; }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --quiet: #444;
  --rule: #bbb; --foreign: #f3f5f7; } body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow: visible; } tr, h2, h3 { break-inside: avoid; break-after: auto; }
  h2, h3 { break-after: avoid; } }
"""


def to_html(document: Document) -> str:
    """The whole page: for each data set the protocol, scores, curves and every run."""
    title = escape(document.title)
    body = [f"<h1>{title}</h1>"]
    for section in document.sections:
        body += _html_section(section)
    body += ["<h2>Systems</h2>", _html_table(document.systems)]
    body += [_quiet(note) for note in document.notes]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _html_section(section: Section) -> list[str]:
    parts = [f"<h2>{escape(section.title)}</h2>", *(_quiet(text) for text in section.protocol)]
    parts.append(_html_table(section.scores))
    if section.sources:
        items = "<br>\n".join(escape(source) for source in section.sources)
        parts.append(f'<p class="sources">{items}</p>')
    drawn = [chart(panel.title, panel.lines) for panel in section.charts]
    if any(drawn):
        parts += ["<h3>Curves over the epochs</h3>", _legend(section.legend)]
        parts.append('<div class="charts">\n' + "\n".join(drawn) + "\n</div>")
    if section.correlations is not None:
        parts += ["<h3>Label-free numbers against mIoU</h3>", _html_table(section.correlations)]
    if section.runs.rows:
        parts += ["<h3>Every run</h3>", _html_table(section.runs)]
    return parts


def _quiet(text: str) -> str:
    return f'<p class="quiet">{escape(text)}</p>'


def _legend(entries: tuple[tuple[str, str], ...]) -> str:
    items = [
        f'<li><svg viewBox="0 0 30 10" aria-hidden="true"><line x1="0" x2="30" y1="5" y2="5" '
        f'{style} stroke-width="3"/></svg>{escape(name)}</li>'
        for name, style in entries
    ]
    return '<ul class="legend">\n' + "\n".join(items) + "\n</ul>"


def _html_table(table: Table) -> str:
    head = _row(table.columns, table.text_columns, "th")
    body = [
        _row(row, table.text_columns, "td", foreign=number in table.foreign)
        for number, row in enumerate(table.rows)
    ]
    return (
        f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n'
        + "\n".join(body)
        + "\n</tbody>\n</table></div>"
    )


def _row(cells: tuple[str, ...], text_columns: int, tag: str, *, foreign: bool = False) -> str:
    kinds = ["text" if number < text_columns else "number" for number in range(len(cells))]
    inside = "".join(
        f'<{tag} class="{kind}">{escape(cell)}</{tag}>'
        for kind, cell in zip(kinds, cells, strict=True)
    )
    return f'<tr class="foreign">{inside}</tr>' if foreign else f"<tr>{inside}</tr>"
