"""What was scored, how, and by whom: the sentences beside a table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["Record", "code_of", "protocol", "provenance"]

Record = Mapping[str, Any]
"""One run, or one published number, as plain JSON values."""

_WORDING = {
    "K": "K = {}",
    "size": "short side {} px",
    "crop": "crop {}",
    "matching": "matching {}",
    "post_processing": "post-processing {}",
    "centroids": "centroids: {}",
    "unreadable": "unreadable pictures: {}",
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
    told = [_pictures([record["data"] for record in records])]
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


def _pictures(data: Sequence[Record]) -> str:
    def named(role: str) -> str:
        split = _alternatives(one[role] or "all pictures" for one in data)
        count = _alternatives(one["pictures"][role]["images"] for one in data)
        return f"{split} ({count} pictures)"

    return f"Learnt from {named('train')} without labels, scored on {named('eval')}"


def _alternatives(values: Iterable[Any]) -> str:
    return " / ".join(dict.fromkeys(str(value) for value in values))
