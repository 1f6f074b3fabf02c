"""What runs are compared with: the probe of their features, the floor, and small classes."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["SMALL", "Comparison", "small_classes"]

SMALL = 2.0
"""Per cent of the scored pixels below which a class is small."""

_Record = Mapping[str, Any]


def small_classes(scores: _Record) -> float | None:
    """Mean IoU of the classes that fill less than 2 % of the scored pixels; None without any.

    Args:
        scores: `Scores.to_json()`.

    Example:
        >>> small_classes({"iou": {"sky": 80.0, "pole": 4.0}, "share": {"sky": 99.0, "pole": 1.0}})
        4.0
    """
    share = scores.get("share", {})
    small = [
        iou
        for name, iou in scores.get("iou", {}).items()
        if iou is not None and 0 < (share.get(name) or 0) < SMALL
    ]
    return statistics.mean(small) if small else None


@dataclass(frozen=True)
class Comparison:
    """The probes and the floor of a suite.

    Attributes:
        floor: name of the system that trains nothing.
        probes: scores of a probe, from `probe_features`, by data set and backbone.
        floors: mIoU of the floor by data set, backbone and seed.
    """

    floor: str
    probes: Mapping[tuple[str, str], _Record]
    floors: Mapping[tuple[str, str, int], float]

    @classmethod
    def of(cls, floor: str, records: Sequence[_Record]) -> "Comparison":
        """From the records of the floor's runs.

        Args:
            floor: name of the system.
            records: of all finished runs.
        """
        own = [record for record in records if record["system"] == floor]
        return cls(
            floor,
            {_place(record): record["probe"] for record in own if record.get("probe")},
            {(*_place(record), record["seed"]): record["scores"]["miou"] for record in own},
        )

    def probe(self, record: _Record) -> _Record | None:
        """Scores of the probe for a run; None without one."""
        return self.probes.get(_place(record))

    def ratio(self, record: _Record) -> float | None:
        """The mIoU of a run over that of the probe; None without a probe."""
        probe = self.probe(record)
        return record["scores"]["miou"] / probe["miou"] if probe and probe["miou"] else None

    def gain(self, record: _Record) -> float | None:
        """The mIoU of a run less that of the floor with the same seed; None for the floor."""
        floor = self.floors.get((*_place(record), record["seed"]))
        if floor is None or record["system"] == self.floor:
            return None
        return float(record["scores"]["miou"] - floor)


def _place(record: _Record) -> tuple[str, str]:
    return str(record["data"]["name"]), str(record["backbone"])
