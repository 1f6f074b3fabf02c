"""Which class of a labelled folder each named cluster of a model is, by its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from picie.inference.segmenter import Segmenter
from picie.metrics.confusion import Matrix

__all__ = ["NameMatch", "match_names"]


@dataclass(frozen=True)
class NameMatch:
    """The classes of a model, and those of a labelled folder with the same names.

    Names are equal if they differ in case only and no two classes of the folder do.

    Attributes:
        columns: name of each id in the masks of the model; "ignored" is last if some clusters are.
        mapping: the class of each of these, -1 = none.
        unknown: names of the model that the folder lacks.
        absent: classes of the folder that no cluster has the name of.
    """

    columns: tuple[str, ...]
    mapping: tuple[int, ...]
    unknown: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether any cluster has the name of a class."""
        return any(label >= 0 for label in self.mapping)

    @property
    def lines(self) -> list[str]:
        """What does not agree, for a reader."""
        lines = []
        if self.unknown:
            names = ", ".join(self.unknown)
            lines.append(f"named in the model, but not in classes.txt: {names}")
        if self.absent:
            lines.append(f"in classes.txt, but not named in the model: {', '.join(self.absent)}")
        return lines

    def without_class(self, matrix: Matrix) -> dict[str, float]:
        """Share of the labelled pixels, 0..100, by the name of an id that is no class.

        Args:
            matrix: (L, N) or (L, N + 1) counts.
        """
        shares = 100.0 * matrix.sum(0) / max(int(matrix.sum()), 1)
        pairs = zip(self.columns, self.mapping, shares.tolist(), strict=True)
        return {name: share for name, label, share in pairs if label < 0 and share}

    def protocol(self, matrix: Matrix) -> dict[str, Any]:
        """What scores depend on, as plain values."""
        return {
            "uses_names": True,
            "matching": "none (classes by name)",
            "columns": list(self.columns),
            "not_in_classes_txt": list(self.unknown),
            "not_in_model": list(self.absent),
            "without_class": self.without_class(matrix),
        }


def match_names(model: Segmenter, classes: Sequence[str]) -> NameMatch:
    """Compare the names of a model with the classes of a folder.

    Args:
        model: with names.
        classes: L names.
    """
    exact = {name: label for label, name in enumerate(classes)}
    keys = [name.casefold() for name in classes]
    folded = {key: label for label, key in enumerate(keys) if keys.count(key) == 1}
    named = model.class_names.merged if model.class_names is not None else ()
    titles = [one.name for one in named if not one.ignore]  # the first ids
    found = [exact.get(title, folded.get(title.casefold(), -1)) for title in titles]
    used = set(model.centroid_ids.tolist())
    # An id without a cluster never occurs in masks.
    mapping = [label if number in used else -1 for number, label in enumerate(found)]
    unnamed = model.clusters - len(titles) + (model.clusters in used)
    return NameMatch(
        (*model.names, *["ignored"] * (model.clusters in used)),
        (*mapping, *[-1] * unnamed),
        tuple(title for title, label in zip(titles, found, strict=True) if label < 0),
        tuple(name for label, name in enumerate(classes) if label not in mapping),
    )
