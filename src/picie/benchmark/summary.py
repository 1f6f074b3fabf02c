"""Summarise records as tables: means, spreads, curves, correlations."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.benchmark.comparison import Comparison, small_classes
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
        rows: one cell per column each.
        text_columns: number of columns with text, from the left; the others hold numbers.
        foreign: positions of the rows with published results.
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
    """One data set, or what is said of all of them.

    Attributes:
        title: name of the data set.
        protocol: sentences on what was scored and how.
        scores: the main table.
        sources: of published numbers, numbered as in the table.
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
        sections: one for each data set, and those on all of them.
        systems: their settings.
        notes: versions, machines and failures.
    """

    title: str
    sections: tuple[Section, ...]
    systems: Table
    notes: tuple[str, ...]


Record = Mapping[str, Any]
"""A finished or failed run, as stored by `records`."""

_NONE = "-"
_FEWEST_RUNS = 5  # with fewer, a rank correlation is meaningless
_SCORES = ("accuracy", "miou")


@dataclass(frozen=True)
class Row:
    """One row of a table, averaged over seeds."""

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
    planned: Mapping[Row, int],
    records: Iterable[Record],
    published: Sequence[Record],
    comparison: Comparison | None = None,
) -> tuple[Section, ...]:
    """One section for each data set, in the order of `planned`.

    Args:
        planned: the rows in order, each with its number of runs.
        records: of the finished runs; each belongs to one of these rows.
        published: published results: system, data, accuracy, miou, source, verified.
        comparison: gives the tables columns for the probe, the worst seed and small classes.
    """
    done: dict[Row, list[Record]] = {row: [] for row in planned}
    for record in records:
        done[Row(record["data"]["name"], record["system"], record["backbone"])].append(record)
    return tuple(
        _section(
            name,
            {row: runs for row, runs in done.items() if row.data == name},
            planned,
            [entry for entry in published if entry["data"] == name],
            comparison,
        )
        for name in dict.fromkeys(row.data for row in planned)
    )


def _section(
    name: str,
    done: _Runs,
    planned: Mapping[Row, int],
    published: Sequence[Record],
    comparison: Comparison | None,
) -> Section:
    records = [record for runs in done.values() for record in runs]
    sources = tuple(dict.fromkeys(str(entry["source"]) for entry in published))
    legend = tuple(
        (_label(row, done), stroke(number))
        for number, (row, runs) in enumerate(done.items())
        if any(record["curves"] for record in runs)
    )
    return Section(
        title=name,
        protocol=(*protocol(records), *_about_probe(name, comparison)),
        scores=_scores(done, planned, published, sources, comparison),
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
    comparison: Comparison | None,
) -> Table:
    fresh = any(record["scores"].get("fresh") for runs in done.values() for record in runs)
    several = len({row.backbone for row in done}) > 1
    rows: list[tuple[str, ...]] = []
    foreign = set()
    for system in dict.fromkeys([row.system for row in done] + [p["system"] for p in published]):
        for row in (row for row in done if row.system == system):
            label = (system, *[row.backbone] * several)
            rows += _own_rows(label, done[row], planned[row], fresh=fresh, comparison=comparison)
        for entry in (entry for entry in published if entry["system"] == system):
            foreign.add(len(rows))
            name = (_foreign_name(entry, sources), *[""] * several)
            numbers = [_published(entry, key) for key in _SCORES]
            rows.append((*name, "", *numbers, *_blank(comparison), *["", ""] * fresh, ""))
    columns = ["system", *["backbone"] * several, "seeds", "accuracy", "mIoU"]
    columns += _COMPARED if comparison else ()
    columns += [*["fresh accuracy", "fresh mIoU"] * fresh, "minutes"]
    return Table(tuple(columns), tuple(rows), 1 + several, frozenset(foreign))


def _own_rows(
    label: tuple[str, ...],
    runs: Sequence[Record],
    planned: int,
    *,
    fresh: bool,
    comparison: Comparison | None,
) -> list[tuple[str, ...]]:
    """A row for the model, and one for each further view with its own centroids."""
    seeds = str(len(runs)) if len(runs) == planned else f"{len(runs)} of {planned}"
    scores = [record["scores"] for record in runs]
    cells = [spread([score[key] for score in scores]) for key in _SCORES]
    cells += _compared(runs, comparison) if comparison else ()
    if fresh:
        repeated = [score["fresh"] for score in scores if score.get("fresh")]
        cells += [spread([score[key]["mean"] for score in repeated]) for key in _SCORES]
    minutes = [record["seconds"]["train"] / 60 for record in runs]
    cells.append(f"{statistics.median(minutes):.1f}" if minutes else _NONE)
    rows = [(*label, seeds, *cells)]
    for view in range(max((len(score.get("other_views", ())) for score in scores), default=0)):
        views = [score.get("other_views", ()) for score in scores]
        view_scores = [others[view] for others in views if len(others) > view]
        cells = [spread([score[key] for score in view_scores]) for key in _SCORES]
        named = (f"— the same, view {view + 2}", *label[1:])
        blank = (*_blank(comparison), *["", ""] * fresh, "")
        rows.append((*named, str(len(view_scores)), *cells, *blank))
    return rows


_COMPARED = ("probe", "of probe", "worst seed", "small classes")


def _blank(comparison: Comparison | None) -> tuple[str, ...]:
    return ("",) * len(_COMPARED) if comparison else ()


def _compared(runs: Sequence[Record], comparison: Comparison) -> tuple[str, ...]:
    """Cells of `_COMPARED`: mIoU of the probe, ratio to it, lowest mIoU, IoU of small classes."""
    probe = next((found for run in runs if (found := comparison.probe(run))), None)
    ratios = [ratio for run in runs if (ratio := comparison.ratio(run)) is not None]
    worst = min(runs, key=lambda run: float(run["scores"]["miou"]), default=None)
    small = [iou for run in runs if (iou := small_classes(run["scores"])) is not None]
    return (
        f"{probe['miou']:.1f}" + ", by halves" * bool(probe["halves"]) if probe else _NONE,
        f"{statistics.mean(ratios):.2f}" if ratios else _NONE,
        f"{worst['scores']['miou']:.1f} (seed {worst['seed']})" if worst else _NONE,
        spread(small),
    )


def _about_probe(name: str, comparison: Comparison | None) -> tuple[str, ...]:
    """What the probe of a data set learnt from."""
    found = comparison.probes.items() if comparison else ()
    probes = [one for (data, _), one in found if data == name]
    if comparison is None or not probes:
        return ()
    told = (
        f"Probe: {probes[0]['kind']}, learnt from all labels of {probes[0]['images']} training "
        f"images, on the features of {comparison.floor}. Of probe: mIoU over that of the probe."
    )
    halves = (
        "The training images are scored too: the probe learnt from every second of them and was "
        "scored on the others, and the other way round."
    )
    return (told, halves) if probes[0]["halves"] else (told,)


def _foreign_name(published: Record, sources: Sequence[str]) -> str:
    number = sources.index(str(published["source"])) + 1
    return f"{published['system']}, published [{number}]" + ", unverified" * (
        not published["verified"]
    )


def _published(published: Record, key: str) -> str:
    value = published.get(key)
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
    correlations = []
    for name, values in pairs.items():
        rho = spearman(*zip(*values, strict=True)) if len(values) >= _FEWEST_RUNS else None
        if rho is not None:
            correlations.append((name, len(values), rho))
    correlations.sort(key=lambda item: (-abs(item[2]), item[0]))
    rows = tuple((name, str(count), f"{rho:+.2f}") for name, count, rho in correlations)
    return Table(("label-free number", "runs", "Spearman's rho with mIoU"), rows) if rows else None


# --- curves


def _label(row: Row, done: _Runs) -> str:
    several = len({other.backbone for other in done}) > 1
    return f"{row.system}, {row.backbone}" if several else row.system


def _lines(key: str, done: _Runs) -> tuple[Line, ...]:
    """For each row the mean over its runs, drawn over the single runs."""
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
    """Mean at the epochs that all runs have, so that a shorter run causes no jump."""
    epochs = sorted(set.intersection(*(set(points) for points in curves))) if curves else []
    return tuple((x, statistics.mean(points[x] for points in curves)) for x in epochs)


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Ranks from 1 in ascending order; equal values share the mean of their ranks.

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
        -1..1, or None if undefined: one of the two is constant, or N < 2.

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
_SHOWN_ELSEWHERE = {"data", "split", "images", "clusters"}
_MAY_DIFFER = {"centroids"}
_EARLIER_TEXTS = {"trained model, clean images": "trained model, unaugmented images"}
"""Values in records of earlier versions, and their text today."""


def protocol(records: Sequence[Record]) -> tuple[str, ...]:
    """What was scored and how, and a warning if the protocols of the runs differ.

    Args:
        records: the runs of one data set.
    """
    if not records:
        return ("No run has finished yet.",)
    protocols = [_in_todays_words(record["scores"]["protocol"]) for record in records]
    keys = {key: None for key in _WORDING if any(key in values for values in protocols)}
    others = {key for values in protocols for key in values} - set(_WORDING) - _SHOWN_ELSEWHERE
    clauses = [_images([record["data"] for record in records])]
    for key in [*keys, *sorted(others)]:
        text = _alternatives(values.get(key, "unknown") for values in protocols)
        if (key, text) != ("unreadable", "0"):
            clauses.append(_WORDING.get(key, key.replace("_", " ") + " {}").format(text))
    clauses.append("backbone " + _alternatives(record["backbone"] for record in records))
    differing = [
        key
        for key in keys
        if key not in _MAY_DIFFER and len({str(values.get(key)) for values in protocols}) > 1
    ]
    warning = f"The runs differ in {', '.join(differing)}: compare them with care."
    return ("; ".join(clauses) + ".", *([warning] if differing else []))


def _in_todays_words(values: Record) -> Record:
    return {key: _EARLIER_TEXTS.get(str(value), value) for key, value in values.items()}


def provenance(records: Sequence[Record]) -> str:
    """Versions, code and machines of the records."""
    if not records:
        return "No run has finished yet."
    version = {
        name: _alternatives(record["versions"].get(name) for record in records)
        for name in ("picie", "torch", "python")
    }
    machines = _alternatives(_machine(record["machine"]) for record in records)
    return (
        f"Measured with picie {version['picie']} "
        f"({_alternatives(code_of(record) for record in records)}), torch {version['torch']}, "
        f"Python {version['python']}; {machines}. Minutes are the median wall time of training, "
        "including scoring for curves, if any. Mean ± sample standard deviation over "
        "the seeds; a single run has no deviation."
    )


def code_of(record: Record) -> str:
    """Commit of the source, if known."""
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
        split = _alternatives(entry[role] or "all images" for entry in data)
        count = _alternatives(entry["pictures"][role]["images"] for entry in data)
        return f"{split} ({count} images)"

    return f"Trained on {named('train')} without labels, scored on {named('eval')}"


def _alternatives(values: Iterable[Any]) -> str:
    return " / ".join(dict.fromkeys(str(value) for value in values))
