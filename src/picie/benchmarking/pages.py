"""The tables of a benchmark as files: table.md and table.html."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from picie.benchmarking.plan import Job
from picie.benchmarking.suite import Suite
from picie.runtime.files import write_atomically
from picie.tables.document import Document, Table
from picie.tables.markdown import to_markdown
from picie.tables.page import to_html
from picie.tables.protocol import Record, provenance
from picie.tables.summary import Row, summarise

__all__ = ["make_document", "write_pages"]


def write_pages(document: Document, out: Path) -> None:
    """Write table.md and table.html, each whole or not at all.

    Raises:
        PicieError: they cannot be written.
    """
    write_atomically(out / "table.md", to_markdown(document).encode())
    write_atomically(out / "table.html", to_html(document).encode())


def make_document(
    suite: Suite, jobs: Sequence[Job], records: Sequence[Record], failures: Sequence[Record]
) -> Document:
    """All that the tables say.

    Args:
        suite: what is compared.
        jobs: every run of it, which also gives the order of the rows.
        records: the runs that are done.
        failures: runs that ended with an error, and are not done since.
    """
    rows = [Row(job.data.name, job.system.name, job.backbone) for job in jobs]
    planned = Counter(rows)
    names = [system.name for system in suite.systems]
    order = sorted(planned, key=lambda row: names.index(row.system))
    by_data = sorted(order, key=lambda row: [data.name for data in suite.data].index(row.data))
    published = [one.model_dump() for one in suite.published]
    sections = summarise({row: planned[row] for row in by_data}, records, published)
    return Document(suite.title, sections, _systems(suite), _notes(suite, records, failures))


def _systems(suite: Suite) -> Table:
    rows = [("every run", "", _settings(suite.defaults))] if suite.defaults else []
    rows += [(f"on {one.name}", "", _settings(one.settings)) for one in suite.data if one.settings]
    rows += [(one.name, one.preset, _settings(one.settings)) for one in suite.systems]
    return Table(("system", "preset", "settings"), tuple(rows), 3)


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items())


def _notes(suite: Suite, records: Sequence[Record], failures: Sequence[Record]) -> tuple[str, ...]:
    marks = [
        "Rows in italics are published numbers, measured by others; unverified ones were not read "
        "in the source itself. Their protocol may differ."
    ]
    failed = [f"Failed: {one['slug']}: {one['error']}: {one['message']}" for one in failures]
    return (provenance(records), *(marks if suite.published else []), *failed)
