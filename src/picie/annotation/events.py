"""Events of annotations.jsonl: what a person said about images and clusters, one JSON object each.

    {"id": "8f3a21c0d4e5", "time": "2026-01-31T09:12:44Z", "by": "studio", "act": "stroke",
     "image": "street/0001", "size": [480, 360], "digest": "9f86d081884c7d65",
     "class": "road", "points": [[10, 200.5], [40, 210]], "radius": 3}

| act | says | further keys |
|---|---|---|
| stroke | what this line covers is of the class | image keys, class, points, radius |
| polygon | this area is of the class | image keys, class, points |
| box | this rectangle is of the class | image keys, class, box |
| segment | this region of the mask is of the class | image keys, class, rings |
| cluster | the cluster at this point is of the class, in all images | image keys, class, point |
| erase | earlier marks do not count where this line is | image keys, points, radius |
| accept | the mask of this image is right | image keys |
| audit | whether a checked pixel is right | image keys, point, predicted, right, class, model |
| names | classes.toml has changed | before, after, changes; of a new name, renamed |
| undo | an earlier event does not count | of |

The image keys are image, size and digest. Coordinates are pixels of the upright image, (x, y) from
its top left corner, so that (0.5, 0.5) is the centre of the first pixel.
"""

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

from picie.errors import ConfigError
from picie.models.class_names import check_name
from picie.runtime.outputs import digest_of
from picie.runtime.printable import shown

__all__ = ["MARKS", "Act", "Event", "Point", "digest_of_image", "new_event", "parse_event"]

Act = Literal[
    "stroke", "polygon", "box", "segment", "cluster", "erase", "accept", "audit", "names", "undo"
]
"""What an event does."""

MARKS = ("stroke", "polygon", "box", "segment")
"""The acts that give places of one image a class."""

Point = tuple[float, float]
"""(x, y) in pixels of the upright image."""

_IMAGE = ("image", "size", "digest")
_KEYS: dict[str, tuple[str, ...]] = {  # after id, time, by and act; in the order of a line
    "stroke": (*_IMAGE, "class", "points", "radius"),
    "polygon": (*_IMAGE, "class", "points"),
    "box": (*_IMAGE, "class", "box"),
    "segment": (*_IMAGE, "class", "rings"),
    "cluster": (*_IMAGE, "class", "point"),
    "erase": (*_IMAGE, "points", "radius"),
    "accept": _IMAGE,
    "audit": (*_IMAGE, "point", "predicted", "right", "class", "model"),
    "names": ("before", "after", "changes", "renamed"),
    "undo": ("of",),
}
_MOST_POINTS = 100_000  # of an area
_MOST_STEPS = 10_000  # points of a line: each of them may cross the whole image
_MOST_CHANGES = 10_000
_LARGEST = 10**6  # side of an image, in pixels
_DIGEST = 16  # hexadecimal digits


@dataclass(frozen=True)
class Event:
    """One line of annotations.jsonl; fields that an act does not use are empty.

    Attributes:
        id: unique in its file.
        act: what it does.
        time: UTC, ISO 8601; "" = unknown.
        by: who or what wrote it, for example "studio"; "hand" for a line without it.
        image: name of the image, as in `Photo.name`.
        size: (W, H) of the upright image in pixels.
        digest: from `digest_of_image`; "" = unknown.
        title: name of the class; "" for an audit answer without one, and for acts without class.
        points: of strokes, polygons and erasers; two corners of a box; the one point of an audit
            answer and of a cluster.
        rings: of a segment: its boundary, holes included, by the even-odd rule.
        radius: of strokes and erasers, in pixels.
        predicted: class that the model predicted, for an audit answer.
        right: whether that is right.
        model: digest of the model and the settings that were audited.
        before: version of classes.toml before a change of names; "" = there was no file.
        after: version after it.
        changes: a sentence for each name that changed; empty if it was changed by hand.
        renamed: the old and the new name of a class: earlier marks of the old one are of the new
            one, as long as the event counts.
        of: id of the event that an undo refers to.
    """

    id: str
    act: Act
    time: str = ""
    by: str = "hand"
    image: str = ""
    size: tuple[int, int] = (0, 0)
    digest: str = ""
    title: str = ""
    points: tuple[Point, ...] = ()
    rings: tuple[tuple[Point, ...], ...] = ()
    radius: float = 0.0
    predicted: str = ""
    right: bool = False
    model: str = ""
    before: str = ""
    after: str = ""
    changes: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    of: str = ""

    @property
    def description(self) -> str:
        """What it is, for messages: "stroke of road in street/0001"."""
        if self.act in MARKS:
            return f"{self.act} of {self.title} in {self.image}"
        return {
            "cluster": f"cluster in {self.image}: {self.title}",
            "erase": f"eraser in {self.image}",
            "accept": f"mask of {self.image} accepted",
            "audit": f"audit answer in {self.image}",
            "names": f"names: {_listed(self.changes) or 'changed by hand'}",
            "undo": f"undo of {self.of}",
        }[self.act]

    def to_json(self) -> dict[str, Any]:
        """The plain values of its line."""
        record = {"id": self.id, "time": self.time, "by": self.by, "act": self.act}
        keys = [key for key in _KEYS[self.act] if key != "renamed" or self.renamed]
        return record | {key: self._value(key) for key in keys}

    def _value(self, key: str) -> Any:
        match key:
            case "class":
                return self.title
            case "point":
                return _plain(self.points[0])
            case "box":
                return [number for point in self.points for number in _plain(point)]
            case "points":
                return [_plain(point) for point in self.points]
            case "rings":
                return [[_plain(point) for point in ring] for ring in self.rings]
            case "radius":
                return _plain((self.radius,))[0]
        value = getattr(self, key)
        return list(value) if isinstance(value, tuple) else value


def new_event(by: str, **values: Any) -> Event:
    """An event with a new id and the current time, checked as if it were read.

    Args:
        by: who or what makes it.
        **values: the keys of its line, such as `act="stroke"`, `image=...`, `points=...`; `title`
            stands for "class".

    Raises:
        ConfigError: an impossible value.
    """
    if "title" in values:
        values["class"] = values.pop("title")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    common = {"id": secrets.token_hex(6), "time": now, "by": by}
    return parse_event(json.loads(json.dumps(common | values)), f"annotation by {by}")


def parse_event(values: Any, where: str) -> Event:
    """Check the values of a line; unknown keys are ignored.

    Args:
        values: what the JSON of the line gave.
        where: file and line, for messages.

    Raises:
        ConfigError: names the line and the key.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: is not a JSON object; correct or remove the line")
    act = values.get("act")
    record = _Record(values, where)
    if act not in get_args(Act):
        raise record.wrong("act", f"one of {', '.join(get_args(Act))}")
    fields: dict[str, Any] = {"id": record.text("id"), "act": act}
    fields["time"] = record.text("time", "")
    fields["by"] = record.text("by", "hand")
    for key in _KEYS[str(act)]:
        fields |= record.field(key)
    event = Event(**fields)
    record.check_inside(event)
    return event


def digest_of_image(path: str | Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of an image file; "" if it is unreadable."""
    return digest_of(path)[:_DIGEST]


class _Record:
    """Typed access to the values of one line."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values, self._where = values, where

    def wrong(self, key: str, wanted: str) -> ConfigError:
        problem = f"{key} = {shown(self._values[key])}" if key in self._values else f"has no {key}"
        return ConfigError(f"{self._where}: {problem}; give {wanted}, or remove the line")

    def field(self, key: str) -> dict[str, Any]:
        """The field of an event for a key of its line."""
        match key:
            case "image":
                return {key: self.text(key)}
            case "size":
                return {key: self._size()}
            case "class":
                return {"title": self._title()}
            case "point":
                return {"points": (self._numbers(key, 2),)}
            case "box":
                left, top, right, bottom = self._numbers(key, 4)
                return {"points": ((left, top), (right, bottom))}
            case "points":
                area = self._values["act"] == "polygon"
                least, most = (3, _MOST_POINTS) if area else (1, _MOST_STEPS)
                points = _points(self._values.get(key), least, most)
                if points is None:
                    raise self.wrong(key, f"a list of {least} to {most} points [x, y]")
                return {key: points}
            case "rings":
                return {key: self._rings()}
            case "radius":
                return {key: self._numbers(key, 1)[0] if key in self._values else 0.0}
            case "right":
                return {key: self._flag(key)}
            case "changes":
                return {key: self._changes()}
            case "renamed":
                return {key: self._renamed()}
            case "of":
                return {key: self.text(key)}
        return {key: self.text(key, "")}

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it may be neither missing nor empty."""
        value = self._values.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            raise self.wrong(key, "text")
        return value

    def check_inside(self, event: Event) -> None:
        """Refuse coordinates outside the image, and a radius larger than it.

        Raises:
            ConfigError: names the first one.
        """
        if not 0 <= event.radius <= max(event.size):
            raise self.wrong("radius", f"0 to {max(event.size)}, the longer side in pixels")
        width, height = event.size
        for points in (event.points, *event.rings):
            across, down = [x for x, _ in points] or [0], [y for _, y in points] or [0]
            if min(across) >= 0 and max(across) <= width and min(down) >= 0 and max(down) <= height:
                continue
            x, y = next((x, y) for x, y in points if not (0 <= x <= width and 0 <= y <= height))
            raise ConfigError(
                f"{self._where}: the point ({x:g}, {y:g}) is outside the image "
                f"({width} x {height} pixels); correct or remove the line"
            )

    def _title(self) -> str:
        if self._values["act"] == "audit" and self._values.get("class", "") == "":
            return ""
        name = self.text("class")
        check_name(name, self._where, ignore=name == "ignore")
        return name

    def _flag(self, key: str) -> bool:
        value = self._values.get(key)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def _numbers(self, key: str, count: int) -> Any:
        value = self._values.get(key)
        numbers = [value] if count == 1 else value
        if not (isinstance(numbers, list) and len(numbers) == count and all(map(_fits, numbers))):
            raise self.wrong(key, "a number" if count == 1 else f"{count} numbers in [ ]")
        return tuple(float(number) for number in numbers)

    def _size(self) -> tuple[int, int]:
        value = self._values.get("size")
        match value:
            case [int(width), int(height)] if {type(width), type(height)} == {int}:
                if 1 <= width <= _LARGEST and 1 <= height <= _LARGEST:
                    return width, height
        raise self.wrong("size", f"[width, height] in whole pixels, each 1 to {_LARGEST}")

    def _rings(self) -> tuple[tuple[Point, ...], ...]:
        value: Any = self._values.get("rings")
        rings: list[tuple[Point, ...]] = []
        if isinstance(value, list):
            found = (_points(ring, 3, _MOST_POINTS) for ring in value[:_MOST_POINTS])
            rings = [ring for ring in found if ring is not None]
        if not rings or len(rings) != len(value) or sum(map(len, rings)) > _MOST_POINTS:
            raise self.wrong("rings", f"lists of 3 or more points, {_MOST_POINTS} in all at most")
        return tuple(rings)

    def _changes(self) -> tuple[str, ...]:
        value = self._values.get("changes", [])
        if not (isinstance(value, list) and len(value) <= _MOST_CHANGES):
            raise self.wrong("changes", "a list of texts")
        if not all(isinstance(change, str) for change in value):
            raise self.wrong("changes", "a list of texts")
        return tuple(value)

    def _renamed(self) -> tuple[str, ...]:
        value = self._values.get("renamed", [])
        if not (isinstance(value, list) and len(value) in (0, 2)):
            raise self.wrong("renamed", "the old and the new name")
        for name in value:
            if not isinstance(name, str):
                raise self.wrong("renamed", "the old and the new name")
            check_name(name, self._where, ignore=name == "ignore")
        return tuple(value)


def _points(value: Any, least: int, most: int) -> tuple[Point, ...] | None:
    """The points of a list; None if it is none, or holds another number of them."""
    if not (isinstance(value, list) and least <= len(value) <= most):
        return None
    # Few calls for many points: a history may have a hundred thousand of them.
    if set(map(type, value)) != {list} or set(map(len, value)) != {2}:
        return None
    numbers = list(chain.from_iterable(value))
    if not (set(map(type, numbers)) <= {int, float} and _fits(min(numbers), max(numbers))):
        return None
    if not all(map(math.isfinite, numbers)):
        return None
    return tuple(zip(map(float, numbers[::2]), map(float, numbers[1::2]), strict=True))


def _fits(*values: Any) -> bool:
    """Whether they are numbers that a float can hold; NaN is in no range."""
    return all(type(value) in (int, float) and -1e9 <= value <= 1e9 for value in values)


def _plain(numbers: tuple[float, ...]) -> list[float]:
    """The numbers as people write them: 10, not 10.0."""
    return [int(number) if number.is_integer() else number for number in numbers]


def _listed(changes: tuple[str, ...], most: int = 3) -> str:
    more = f" and {len(changes) - most} more" if len(changes) > most else ""
    return "; ".join(changes[:most]) + more
