"""The measures of health.json as the report shows them: each with an explanation, none judged.

No measure orders runs by their scores on all kinds of photos; docs/report.md has the numbers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from picie.metrics.health import MEASURES

__all__ = ["ShownMeasure", "shown_measures"]


@dataclass(frozen=True)
class ShownMeasure:
    """One measure as the report shows it.

    Attributes:
        label: its name for people.
        key: its name in health.json.
        value: as text.
        sentence: what it means, and how to read it.
        place: the value on a scale from 0 to 1; None where it has none.
    """

    label: str
    key: str
    value: str
    sentence: str
    place: float | None = None


@dataclass(frozen=True)
class _Display:
    """How one measure is shown.

    Attributes:
        advice: sentences that follow its meaning, or "".
        form: format of its value.
        share: whether it lies between 0 and 1.
    """

    advice: str = ""
    form: str = ".2f"
    share: bool = True


_DISPLAYS = {
    "view_information": _Display(),
    "view_agreement": _Display("A single cluster that holds everything raises it.", form=".0%"),
    "position_information": _Display(
        "High values mean clusters of positions, not of things; photos of one kind have a layout, "
        "so some is right.",
    ),
    "half_agreement": _Display("Low values mean that other photos would give other clusters."),
    "tree_agreement": _Display("Low values mean that the number of clusters cuts classes apart."),
    "border_contrast": _Display("1 means that borders follow nothing.", share=False),
    "silhouette": _Display(share=False),
    "effective_clusters": _Display(
        "Far fewer than the number of clusters means that some absorb the others.",
        form=".1f",
        share=False,
    ),
    "largest_cluster": _Display("Near 100 %, view agreement says nothing.", form=".0%"),
    "relighting": _Display(
        "Low values mean that the light decides the cluster; that is right where brightness or "
        "colour is what tells things apart.",
        form=".0%",
    ),
    "training_undone": _Display(form=".0f", share=False),
    "lighting_clusters": _Display("It should be 0.", form=".0f", share=False),
    "one_image_clusters": _Display(
        "Such a cluster may show the light or the sharpness of its image rather than a kind of "
        "thing.",
        form=".0f",
        share=False,
    ),
    "constant_images": _Display("It should be 0: such images show nothing.", form=".0%"),
}
_SHOWN_ELSEWHERE = {"pictures"}  # in the note above the table


def shown_measures(health: Mapping[str, float]) -> tuple[ShownMeasure, ...]:
    """The measures in the order of the report, unknown ones last.

    Args:
        health: from health.json; values that are not finite numbers are skipped.
    """
    numbers = {
        key: float(value)
        for key, value in health.items()
        if isinstance(value, int | float) and math.isfinite(value) and key not in _SHOWN_ELSEWHERE
    }
    known = [_shown(key, numbers[key]) for key in _DISPLAYS if key in numbers]
    others = [
        ShownMeasure(key.replace("_", " "), key, f"{value:.3g}", "Not explained by this version.")
        for key, value in numbers.items()
        if key not in _DISPLAYS
    ]
    return (*known, *others)


def _shown(key: str, value: float) -> ShownMeasure:
    measure, display = MEASURES[key], _DISPLAYS[key]
    place = min(max(value, 0.0), 1.0) if display.share else None
    text = format(value, display.form).replace("%", " %")
    meaning = f"{measure.meaning[0].upper()}{measure.meaning[1:]}."
    return ShownMeasure(measure.label, key, text, f"{meaning} {display.advice}".strip(), place)
