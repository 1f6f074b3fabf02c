"""What a benchmark's tables say, before it is Markdown or HTML."""

from dataclasses import dataclass

from picie.visualization.charts import Line

__all__ = ["Chart", "Document", "Section", "Table"]


@dataclass(frozen=True)
class Table:
    """Rows of text under headings.

    Attributes:
        columns: the headings.
        rows: as many cells each as there are columns.
        text_columns: so many columns from the left hold text, the others numbers.
        foreign: positions of the rows that others measured.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    foreign: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Chart:
    """One quantity over the epochs."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Section:
    """One data set.

    Attributes:
        title: its name.
        protocol: sentences that say what was scored and how.
        scores: the table that the benchmark is about.
        sources: where published numbers stand, numbered as in the table.
        correlations: rank correlation of label-free numbers with mIoU; None with too few runs.
        runs: every single run.
        charts: curves over the epochs.
        legend: name and stroke of each line.
    """

    title: str
    protocol: tuple[str, ...]
    scores: Table
    sources: tuple[str, ...]
    correlations: Table | None
    runs: Table
    charts: tuple[Chart, ...]
    legend: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Document:
    """A whole benchmark.

    Attributes:
        title: of the suite.
        sections: one for each data set.
        systems: their settings.
        notes: who measured with what, and what failed.
    """

    title: str
    sections: tuple[Section, ...]
    systems: Table
    notes: tuple[str, ...]
