"""The measures of health.json, each with an explanation and, where evidence exists, a verdict.

The ranges come from the benchmarks in docs/research/systems.md; docs/report.md says how.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from picie.clustering.validity import MEASURES

__all__ = ["Verdict", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """One measure as the report shows it.

    Attributes:
        label: its name for people.
        key: its name in health.json.
        value: as text.
        sentence: what it means, and how to read it.
        verdict: good, doubtful or bad; "" without evidence.
        place: the value on its scale, 0..1; None where it has none.
        ranges: where doubtful and where good values begin on that scale; None without evidence.
    """

    label: str
    key: str
    value: str
    sentence: str
    verdict: str = ""
    place: float | None = None
    ranges: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Display:
    """How one measure is shown.

    Attributes:
        advice: sentences that follow its meaning, or "".
        form: format of its value.
        ranges: as in `Verdict`.
        share: whether it lies between 0 and 1.
    """

    advice: str = ""
    form: str = ".2f"
    ranges: tuple[float, float] | None = None
    share: bool = True


_DISPLAYS = {
    "view_information": _Display(
        "In the benchmarks, this number correlated best with mIoU: look at it first.",
        ranges=(0.45, 0.62),
    ),
    "view_agreement": _Display(
        "It correlated with mIoU nearly as well, but a single cluster that holds everything "
        "raises it.",
        form=".0%",
        ranges=(0.60, 0.77),
    ),
    "position_information": _Display(
        "High values mean clusters of positions, not of things; street scenes have a layout, so "
        "some is right.",
    ),
    "half_agreement": _Display("Low values mean that other photos would give other clusters."),
    "silhouette": _Display(share=False),
    "effective_clusters": _Display(
        "Far fewer than the number of clusters means that some absorb the others.",
        form=".1f",
        share=False,
    ),
    "largest_cluster": _Display("Near 100 %, view agreement says nothing.", form=".0%"),
}
_SHOWN_ELSEWHERE = {"pictures"}  # in the note above the table


def verdicts(health: Mapping[str, float]) -> tuple[Verdict, ...]:
    """One verdict for each measure, those with evidence first and unknown ones last.

    Args:
        health: from health.json; values that are not finite numbers are skipped.
    """
    numbers = {
        key: float(value)
        for key, value in health.items()
        if isinstance(value, int | float) and math.isfinite(value) and key not in _SHOWN_ELSEWHERE
    }
    known = [_verdict(key, numbers[key]) for key in _DISPLAYS if key in numbers]
    others = [
        Verdict(key.replace("_", " "), key, f"{value:.3g}", "Not explained by this version.")
        for key, value in numbers.items()
        if key not in _DISPLAYS
    ]
    return (*known, *others)


def _verdict(key: str, value: float) -> Verdict:
    measure, display = MEASURES[key], _DISPLAYS[key]
    verdict = ""
    if display.ranges is not None:
        low, high = display.ranges
        verdict = "good" if value >= high else "doubtful" if value >= low else "bad"
    place = min(max(value, 0.0), 1.0) if display.share else None
    shown = format(value, display.form).replace("%", " %")
    meaning = f"{measure.meaning[0].upper()}{measure.meaning[1:]}."
    sentence = f"{meaning} {display.advice}".strip()
    return Verdict(measure.label, key, shown, sentence, verdict, place, display.ranges)
