"""Tables over all data sets: what systems reach, and which one a data set left out would get."""

import statistics
from collections.abc import Mapping, Sequence

from picie.benchmark.comparison import Comparison, small_classes
from picie.benchmark.summary import Record, Row, Section, Table

__all__ = ["overview"]

_NONE = "-"
_System = tuple[str, str]  # its name, and a backbone
_Means = Mapping[str, float]  # by data set


def overview(
    rows: Sequence[Row], records: Sequence[Record], comparison: Comparison
) -> tuple[Section, ...]:
    """A section for all data sets together, and one that leaves out each of them in turn.

    Args:
        rows: all rows of the suite, in order.
        records: of the finished runs.
        comparison: the floor and the probes.
    """
    systems: dict[_System, list[Record]] = {(row.system, row.backbone): [] for row in rows}
    for record in records:
        systems[record["system"], record["backbone"]].append(record)
    sets = len({row.data for row in rows})
    several = len({backbone for _, backbone in systems}) > 1
    labels = {one: ", ".join(one) if several else one[0] for one in systems}
    lines = tuple(_line(labels[one], runs, sets, comparison) for one, runs in systems.items())
    columns = ("system", "data sets", "of probe", "mIoU", "small classes", "worst against floor")
    about = (
        "Means over the data sets of the means over the seeds. Of probe: mIoU over that of the "
        f"probe. Worst against floor: mIoU less that of {comparison.floor} with the same seed.",
        _below(labels, systems, comparison),
    )
    sections = [_plain("All data sets", about, Table(columns, lines))]
    ratios = {one: _ratios(runs, comparison) for one, runs in systems.items()}
    left_out = _left_out(labels, ratios)
    return (*sections, *([left_out] if left_out else []))


def _plain(title: str, about: tuple[str, ...], table: Table) -> Section:
    return Section(title, about, table, (), None, Table((), ()), (), ())


def _line(label: str, runs: Sequence[Record], sets: int, comparison: Comparison) -> tuple[str, ...]:
    by_set = _by_set(runs)
    ratios = list(_ratios(runs, comparison).values())
    mious = [statistics.mean(one["scores"]["miou"] for one in group) for group in by_set.values()]
    small = [_mean([small_classes(one["scores"]) for one in group]) for group in by_set.values()]
    gains = [(gain, one) for one in runs if (gain := comparison.gain(one)) is not None]
    worst = min(gains, key=lambda pair: pair[0], default=None)
    return (
        label,
        str(len(by_set)) if len(by_set) == sets else f"{len(by_set)} of {sets}",
        _number(_mean(ratios), 2),
        _number(_mean(mious), 1),
        _number(_mean(small), 1),
        _NONE if worst is None else f"{worst[0]:+.1f} ({_run(worst[1])})",
    )


def _by_set(runs: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in runs:
        found.setdefault(str(record["data"]["name"]), []).append(record)
    return found


def _ratios(runs: Sequence[Record], comparison: Comparison) -> dict[str, float]:
    """Mean ratio to the probe by data set; without the sets that have no probe."""
    means = {
        name: _mean([comparison.ratio(one) for one in group])
        for name, group in _by_set(runs).items()
    }
    return {name: mean for name, mean in means.items() if mean is not None}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _run(record: Record) -> str:
    return f"{record['data']['name']}, seed {record['seed']}"


def _below(
    labels: Mapping[_System, str],
    systems: Mapping[_System, Sequence[Record]],
    comparison: Comparison,
) -> str:
    clauses = []
    for one, runs in systems.items():
        gains = [(comparison.gain(record), record) for record in runs]
        losses = [f"{_run(record)} ({gain:+.1f})" for gain, record in gains if gain and gain < 0]
        if losses:
            clauses.append(f"{labels[one]} on {', '.join(losses)}")
    return f"Below the floor: {'; '.join(clauses) or 'no run'}."


def _left_out(labels: Mapping[_System, str], ratios: Mapping[_System, _Means]) -> Section | None:
    """For each data set: the system that wins on the others, and what it reaches here."""
    sets = list(dict.fromkeys(name for means in ratios.values() for name in means))
    complete = {one: means for one, means in ratios.items() if set(sets) == set(means)}
    if len(sets) < 2 or len(complete) < 2:
        return None
    lines, reached, best = [], list[float](), list[float]()
    for left in sets:
        others = {
            one: statistics.mean(means[name] for name in sets if name != left)
            for one, means in complete.items()
        }
        chosen = max(others, key=lambda one: others[one])
        winner = max(complete, key=lambda one: complete[one][left])
        reached.append(complete[chosen][left])
        best.append(complete[winner][left])
        numbers = (f"{one:.2f}" for one in (others[chosen], reached[-1], best[-1]))
        lines.append((left, labels[chosen], labels[winner], *numbers))
    columns = ("left out", "best on the others", "best on it", "there", "here", "best here")
    about = (
        "Ratios to the probe. A system is chosen by its mean on the other data sets (there), and "
        f"judged on the one left out (here): {statistics.mean(reached):.2f} in the mean; "
        f"the best of each would reach {statistics.mean(best):.2f}.",
        *_missing(labels, complete),
    )
    return _plain("One data set left out", about, Table(columns, tuple(lines), 3))


def _missing(labels: Mapping[_System, str], complete: Mapping[_System, _Means]) -> tuple[str, ...]:
    others = [label for one, label in labels.items() if one not in complete]
    return (f"Not compared, because runs are missing: {', '.join(others)}.",) if others else ()
