"""The measures of a model's health: their names, and the warnings.

`evaluation.health` takes them; nothing here loads torch, so that they can be shown at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from picie.runtime import notebook

__all__ = ["MEASURES", "Health", "Measure", "health_warnings"]

_DOMINANT = 0.9


@dataclass(frozen=True)
class Measure:
    """How one label-free measure is named and explained to people.

    Attributes:
        label: a short name.
        meaning: a clause without a full stop, with the range where it is not obvious.
    """

    label: str
    meaning: str


MEASURES = {
    "view_information": Measure(
        "view information",
        "how much the cluster in one view of an image says about the cluster in another, 0 to 1",
    ),
    "view_agreement": Measure(
        "view agreement", "share of pixels that get the same cluster in two views of an image"
    ),
    "position_information": Measure(
        "position information", "how much the position in the image says about the cluster, 0 to 1"
    ),
    "half_agreement": Measure(
        "agreement of halves",
        "how well clusterings of two halves of the images agree (adjusted Rand index; 1 = the "
        "same, 0 = unrelated)",
    ),
    "tree_agreement": Measure(
        "agreement of trees",
        "how well the clusters agree with those of other ways to merge the centroids (adjusted "
        "Rand index; 1 = the same)",
    ),
    "border_contrast": Measure(
        "contrast at borders",
        "how much features differ across the borders of clusters, in multiples of how much they "
        "differ inside",
    ),
    "silhouette": Measure(
        "silhouette",
        "how much closer pixel features are to their own cluster than to the next one, -1 to 1",
    ),
    "effective_clusters": Measure(
        "effective clusters", "number of clusters of equal size whose sizes have the same entropy"
    ),
    "largest_cluster": Measure("largest cluster", "share of the pixels in the largest cluster"),
    "relighting": Measure(
        "agreement in other light",
        "share of pixels that keep their cluster when an image is seen brighter, darker, in half "
        "or double contrast, or in a warm or cold tint",
    ),
    "lighting_clusters": Measure(
        "lighting clusters",
        "number of clusters that hold most of the darkest, or of the brightest, images and little "
        "else",
    ),
    "one_image_clusters": Measure(
        "clusters of one image",
        "number of clusters that have at least 90 % of their pixels in one image, and more than an "
        "even share of that image",
    ),
    "constant_images": Measure(
        "images of one colour", "share of the images that are of (nearly) one colour"
    ),
    "training_undone": Measure(
        "training undone",
        "1 if the clusters of the trained network held whole images, so that the network without "
        "training was kept",
    ),
    "pictures": Measure("images", "number of images that were measured"),
}
"""The measures of a model's health by their key in health.json."""


class Health(dict[str, float]):
    """Measures of a model by their key in health.json; a notebook shows them as a table."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong or needs a look, as `health_warnings` finds it."""
        return health_warnings(self)

    def _repr_html_(self) -> str:
        rows = [
            (measure.label, f"{self[key]:.3g}", measure.meaning)
            for key, measure in MEASURES.items()
            if key in self
        ]
        lines = [notebook.paragraph(f"warning: {warning}") for warning in self.warnings]
        head = ("measure", "value", "meaning")
        about = notebook.table(rows, head) if rows else notebook.paragraph("nothing was measured")
        return notebook.card("Health (no labels used)", *lines, about)


def health_warnings(health: Mapping[str, float]) -> tuple[str, ...]:
    """What is wrong or needs a look; an empty tuple does not mean that a model is good.

    Args:
        health: from health.json; measures that are missing or not finite are skipped.
    """
    found = []
    keys = ("largest_cluster", "constant_images", "lighting_clusters", "one_image_clusters")
    largest, constant, lighting, alone = (_number(health, key) for key in keys)
    if largest > _DOMINANT:
        found.append(
            f"one cluster holds {largest:.0%} of the pixels: the masks tell little apart, and high "
            "agreement of views means nothing"
        )
    if constant > 0:
        found.append(
            f"{constant:.0%} of the images are of (nearly) one colour: they show nothing, and the "
            "numbers count them too"
        )
    if lighting >= 1:
        many = "one cluster holds" if lighting < 2 else f"{lighting:.0f} clusters each hold"
        found.append(
            f"{many} most of the darkest, or of the brightest, images and little else: lighting "
            "may have been clustered, not things"
        )
    if alone >= 1:
        several = alone >= 2
        many = f"{alone:.0f} clusters lie in one photo each: they" if several else ""
        found.append(
            f"{many or 'one cluster lies in one photo: it'} may show the light or sharpness of a "
            "photo rather than a kind of thing; look before you name "
            f"{'them' if several else 'it'}, or try fewer clusters"
        )
    return tuple(found)


def _number(health: Mapping[str, float], key: str) -> float:
    value = health.get(key, 0)
    return value if isinstance(value, int | float) and math.isfinite(value) else 0.0
