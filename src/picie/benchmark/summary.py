"""From the records of single runs to tables: means, spreads, curves, correlations."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.visualization.charts import PANELS, Line, epoch_points, is_number, stroke

__all__ = [
    "Chart",
    "Document",
    "Record",
    "Row",
    "Section",
    "Table",
    "code_of",
    "protocol",
    "provenance",
    "ranks",
    "spearman",
    "spread",
    "summarise",
]


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


Record = Mapping[str, Any]
"""A finished or failed run, as `records` keeps it."""

_NONE = "-"
_FEWEST_RUNS = 5  # below, a rank correlation says nothing
_SCORES = ("accuracy", "miou")


@dataclass(frozen=True)
class Row:
    """What one row of a table averages over seeds."""

    data: str
    system: str
    backbone: str


_Runs = Mapping[Row, Sequence[Record]]


def spread(values: Sequence[float]) -> str:
    """Mean ± sample standard deviation; without the latter for a single value.

    Example:
        >>> spread([60.0, 62.0]), spread([60.0]), spread([])
        ('61.0 ± 1.4', '60.0', '-')
    """
    if not values:
        return _NONE
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.1f}"


def summarise(
    planned: Mapping[Row, int], records: Iterable[Record], published: Sequence[Record]
) -> tuple[Section, ...]:
    """One section for each data set, in the order of `planned`.

    Args:
        planned: the rows in their order, each with its number of runs.
        records: the runs that are done; each belongs to one of these rows.
        published: numbers of others: system, data, accuracy, miou, source, verified.
    """
    done: dict[Row, list[Record]] = {row: [] for row in planned}
    for record in records:
        done[Row(record["data"]["name"], record["system"], record["backbone"])].append(record)
    return tuple(
        _section(
            name,
            {row: runs for row, runs in done.items() if row.data == name},
            planned,
            [one for one in published if one["data"] == name],
        )
        for name in dict.fromkeys(row.data for row in planned)
    )


def _section(
    name: str, done: _Runs, planned: Mapping[Row, int], published: Sequence[Record]
) -> Section:
    records = [record for runs in done.values() for record in runs]
    sources = tuple(dict.fromkeys(str(one["source"]) for one in published))
    legend = tuple(
        (_label(row, done), stroke(number))
        for number, (row, runs) in enumerate(done.items())
        if any(record["curves"] for record in runs)
    )
    return Section(
        title=name,
        protocol=protocol(records),
        scores=_scores(done, planned, published, sources),
        sources=tuple(f"[{number}] {source}" for number, source in enumerate(sources, 1)),
        correlations=_correlations(records),
        runs=_single_runs(records),
        charts=tuple(Chart(title, _lines(key, done)) for key, title in PANELS.items()),
        legend=legend,
    )


# --- the table of scores


def _scores(
    done: _Runs,
    planned: Mapping[Row, int],
    published: Sequence[Record],
    sources: Sequence[str],
) -> Table:
    fresh = any(record["scores"].get("fresh") for runs in done.values() for record in runs)
    several = len({row.backbone for row in done}) > 1
    rows: list[tuple[str, ...]] = []
    foreign = set()
    for system in dict.fromkeys([row.system for row in done] + [p["system"] for p in published]):
        for row in (row for row in done if row.system == system):
            label = (system, *[row.backbone] * several)
            rows += _own_rows(label, done[row], planned[row], fresh=fresh)
        for one in (one for one in published if one["system"] == system):
            foreign.add(len(rows))
            name = (_foreign_name(one, sources), *[""] * several)
            numbers = [_published(one, key) for key in _SCORES]
            rows.append((*name, "", *numbers, *["", ""] * fresh, ""))
    columns = ["system", *["backbone"] * several, "seeds", "accuracy", "mIoU"]
    columns += [*["fresh accuracy", "fresh mIoU"] * fresh, "minutes"]
    return Table(tuple(columns), tuple(rows), 1 + several, frozenset(foreign))


def _own_rows(
    label: tuple[str, ...], runs: Sequence[Record], planned: int, *, fresh: bool
) -> list[tuple[str, ...]]:
    """The scores of the model, and a row for each further view that it keeps centroids of."""
    seeds = str(len(runs)) if len(runs) == planned else f"{len(runs)} of {planned}"
    scores = [record["scores"] for record in runs]
    cells = [spread([one[key] for one in scores]) for key in _SCORES]
    if fresh:
        repeated = [one["fresh"] for one in scores if one.get("fresh")]
        cells += [spread([one[key]["mean"] for one in repeated]) for key in _SCORES]
    minutes = [record["seconds"]["train"] / 60 for record in runs]
    cells.append(f"{statistics.median(minutes):.1f}" if minutes else _NONE)
    rows = [(*label, seeds, *cells)]
    for view in range(max((len(one.get("other_views", ())) for one in scores), default=0)):
        views = [one.get("other_views", ()) for one in scores]
        seen = [one[view] for one in views if len(one) > view]
        cells = [spread([one[key] for one in seen]) for key in _SCORES]
        named = (f"— the same, view {view + 2}", *label[1:])
        rows.append((*named, str(len(seen)), *cells, *["", ""] * fresh, ""))
    return rows


def _foreign_name(one: Record, sources: Sequence[str]) -> str:
    number = sources.index(str(one["source"])) + 1
    return f"{one['system']}, published [{number}]" + ", unverified" * (not one["verified"])


def _published(one: Record, key: str) -> str:
    value = one.get(key)
    return _NONE if value is None else f"{value:g}"


# --- single runs, correlations


def _single_runs(records: Sequence[Record]) -> Table:
    rows = [
        (
            record["system"],
            record["backbone"],
            str(record["seed"]),
            *(f"{record['scores'][key]:.2f}" for key in _SCORES),
            f"{record['seconds']['train'] / 60:.1f}",
            code_of(record),
        )
        for record in records
    ]
    columns = ("system", "backbone", "seed", "accuracy", "mIoU", "minutes", "code")
    return Table(columns, tuple(rows), 2)


def _correlations(records: Sequence[Record]) -> Table | None:
    """Spearman's rho of each label-free number with mIoU over the runs; strongest first."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for name, value in (record["health"] or {}).items():
            if is_number(value):
                pairs.setdefault(name, []).append((float(value), record["scores"]["miou"]))
    found = []
    for name, values in pairs.items():
        rho = spearman(*zip(*values, strict=True)) if len(values) >= _FEWEST_RUNS else None
        if rho is not None:
            found.append((name, len(values), rho))
    found.sort(key=lambda item: (-abs(item[2]), item[0]))
    rows = tuple((name, str(count), f"{rho:+.2f}") for name, count, rho in found)
    return Table(("label-free number", "runs", "Spearman's rho with mIoU"), rows) if rows else None


# --- curves


def _label(row: Row, done: _Runs) -> str:
    several = len({other.backbone for other in done}) > 1
    return f"{row.system}, {row.backbone}" if several else row.system


def _lines(key: str, done: _Runs) -> tuple[Line, ...]:
    """The mean over the runs of each row, behind it the single runs."""
    faint, means = [], []
    for number, (row, runs) in enumerate(done.items()):
        label, style = _label(row, done), stroke(number)
        curves = [(record["seed"], epoch_points(record["curves"], key)) for record in runs]
        curves = [(seed, points) for seed, points in curves if points]
        if len(curves) > 1:
            faint += [
                Line(f"{label}, seed {seed}", style, tuple(points.items()), faint=True)
                for seed, points in curves
            ]
        means.append(Line(label, style, _mean([points for _, points in curves])))
    return (*faint, *means)


def _mean(curves: Sequence[Mapping[float, float]]) -> tuple[tuple[float, float], ...]:
    """Mean at those epochs that every run has, so that no jump comes from a run that ended."""
    epochs = sorted(set.intersection(*(set(points) for points in curves))) if curves else []
    return tuple((x, statistics.mean(points[x] for points in curves)) for x in epochs)


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Places from 1 in rising order; equal values share the mean of their places.

    Args:
        values: N finite numbers.

    Returns:
        (N,) float64.

    Example:
        >>> ranks([0.5, 0.1, 0.5]).tolist()
        [2.5, 1.0, 2.5]
    """
    given = np.asarray(values, dtype=np.float64)
    below = (given[None, :] < given[:, None]).sum(1)
    equal = (given[None, :] == given[:, None]).sum(1)
    return np.asarray(below + (equal + 1) / 2, dtype=np.float64)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rho: Pearson's correlation of the ranks (Spearman 1904).

    Args:
        first: N finite numbers.
        second: N finite numbers.

    Returns:
        -1..1, or None where one of the two never changes or N < 2, which leaves it undefined.

    Example:
        >>> spearman([1, 2, 3, 4], [10, 20, 40, 30])
        0.8
    """
    if len(first) < 2:
        return None
    a, b = (ranks(values) - (len(first) + 1) / 2 for values in (first, second))
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else None


_WORDING = {
    "K": "K = {}",
    "size": "short side {} px",
    "crop": "crop {}",
    "matching": "matching {}",
    "post_processing": "post-processing {}",
    "centroids": "centroids: {}",
    "unreadable": "unreadable images: {}",
}
_TOLD_OTHERWISE = {"data", "split", "images", "clusters"}
_MAY_DIFFER = {"centroids"}


def protocol(records: Sequence[Record]) -> tuple[str, ...]:
    """What was scored and how; then in what the runs differ, which makes them hard to compare.

    Args:
        records: the runs of one data set.
    """
    if not records:
        return ("No run is done yet.",)
    protocols = [record["scores"]["protocol"] for record in records]
    keys = {key: None for key in _WORDING if any(key in one for one in protocols)}
    others = {key for one in protocols for key in one} - set(_WORDING) - _TOLD_OTHERWISE
    told = [_images([record["data"] for record in records])]
    for key in [*keys, *sorted(others)]:
        text = _alternatives(one.get(key, "unknown") for one in protocols)
        if (key, text) != ("unreadable", "0"):
            told.append(_WORDING.get(key, key.replace("_", " ") + " {}").format(text))
    told.append("backbone " + _alternatives(record["backbone"] for record in records))
    differing = [
        key
        for key in keys
        if key not in _MAY_DIFFER and len({str(one.get(key)) for one in protocols}) > 1
    ]
    warning = f"The runs differ in {', '.join(differing)}: compare them with care."
    return ("; ".join(told) + ".", *([warning] if differing else []))


def provenance(records: Sequence[Record]) -> str:
    """Versions, code and machines that the records name."""
    if not records:
        return "No run is done yet."
    version = {
        name: _alternatives(record["versions"].get(name) for record in records)
        for name in ("picie", "torch", "python")
    }
    machines = _alternatives(_machine(record["machine"]) for record in records)
    return (
        f"Measured with picie {version['picie']} "
        f"({_alternatives(code_of(record) for record in records)}), torch {version['torch']}, "
        f"Python {version['python']}; {machines}. Minutes are the median wall time of training, "
        "with the scoring for curves where there are any. Mean ± sample standard deviation over "
        "the seeds; a single run has no deviation."
    )


def code_of(record: Record) -> str:
    """Commit of the source, where it is known."""
    commit = record["commit"]
    if commit is None:
        return "installed package"
    return f"commit {commit['id'][:10]}" + " with changes" * bool(commit["changed"])


def _machine(machine: Record) -> str:
    parts = [f"{machine['system']} {machine['processor']}", f"{machine['cores']} cores"]
    parts.append(f"{machine['threads']} threads")
    return ", ".join(parts + [machine["accelerator"]] * bool(machine["accelerator"]))


def _images(data: Sequence[Record]) -> str:
    def named(role: str) -> str:
        split = _alternatives(one[role] or "all images" for one in data)
        count = _alternatives(one["pictures"][role]["images"] for one in data)
        return f"{split} ({count} images)"

    return f"Learnt from {named('train')} without labels, scored on {named('eval')}"


def _alternatives(values: Iterable[Any]) -> str:
    return " / ".join(dict.fromkeys(str(value) for value in values))
