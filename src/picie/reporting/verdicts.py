"""The numbers of health.json, each with a sentence for people and, where there are grounds, ranges.

The ranges are those of the benchmarks in docs/results.md; docs/report.md says how they were taken.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Verdict", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """What there is to say about one number.

    Attributes:
        label: its name for people.
        key: its name in health.json.
        value: as text.
        sentence: what it says.
        verdict: good, doubtful or bad; "" without grounds.
        place: the value on its scale, 0..1; None where it has none.
        ranges: where doubtful and where good values begin on that scale; None without grounds.
    """

    label: str
    key: str
    value: str
    sentence: str
    verdict: str = ""
    place: float | None = None
    ranges: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Number:
    """How one number is told."""

    label: str
    sentence: str
    form: str = ".2f"
    ranges: tuple[float, float] | None = None
    share: bool = True  # it lies between 0 and 1


_NUMBERS = {
    "view_information": _Number(
        "information of views",
        "How much the clusters in one changed copy of a photo say about those in another copy. In "
        "the benchmarks this number went along with mIoU best: look at it first.",
        ranges=(0.45, 0.62),
    ),
    "view_agreement": _Number(
        "agreement of views",
        "Share of pixels that get the same cluster in two changed copies of a photo. It went along "
        "with mIoU nearly as well, but one cluster that holds everything raises it.",
        form=".0%",
        ranges=(0.60, 0.77),
    ),
    "position_information": _Number(
        "information of the place",
        "How much the place in the image alone says about the cluster. High values mean "
        "clusters of places, not of things; street scenes have a layout, so some is right.",
    ),
    "half_agreement": _Number(
        "agreement of halves",
        "How alike the clusterings of two halves of the photos are (adjusted Rand index; 1 = the "
        "same, 0 = unrelated): low values mean that other photos would give other clusters.",
    ),
    "silhouette": _Number(
        "silhouette",
        "How much nearer pixels are to their own cluster than to the next one, from -1 to 1.",
        share=False,
    ),
    "effective_clusters": _Number(
        "effective clusters",
        "How many clusters of equal size would be as mixed as these: far fewer than there are "
        "means that some swallow the others.",
        form=".1f",
        share=False,
    ),
    "largest_cluster": _Number(
        "largest cluster",
        "Share of the pixels in the largest cluster. Near 100 %, agreement of views says nothing.",
        form=".0%",
    ),
}
_TOLD_OTHERWISE = {"pictures"}


def verdicts(health: Mapping[str, float]) -> tuple[Verdict, ...]:
    """One for each number, those with grounds first; numbers that are unknown here come last.

    Args:
        health: from health.json; what is no finite number is left out.
    """
    numbers = {
        key: float(value)
        for key, value in health.items()
        if isinstance(value, int | float) and math.isfinite(value) and key not in _TOLD_OTHERWISE
    }
    known = [_told(key, numbers[key]) for key in _NUMBERS if key in numbers]
    others = [
        Verdict(key.replace("_", " "), key, f"{value:.3g}", "Not explained by this version.")
        for key, value in numbers.items()
        if key not in _NUMBERS
    ]
    return (*known, *others)


def _told(key: str, value: float) -> Verdict:
    number = _NUMBERS[key]
    verdict = ""
    if number.ranges is not None:
        low, high = number.ranges
        verdict = "good" if value >= high else "doubtful" if value >= low else "bad"
    place = min(max(value, 0.0), 1.0) if number.share else None
    shown = format(value, number.form).replace("%", " %")
    return Verdict(number.label, key, shown, number.sentence, verdict, place, number.ranges)
