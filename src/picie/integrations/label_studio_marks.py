"""What people draw in Label Studio, as areas of a history.

| region | its value holds | becomes |
|---|---|---|
| brush | rle, run-lengths of the opacity | rings around its pixels |
| bitmask | imageDataURL, a PNG whose opacity counts | rings around its pixels |
| polygon | points, closed | a polygon |
| rectangle | x, y, width, height, rotation around (x, y) | a polygon |
| ellipse | x, y, radiusX, radiusY, rotation around (x, y) | a polygon |

Numbers are per cent of the width and height of the image, rotations degrees clockwise on screen.
Labels are in a list whose key ends in "labels". Results of other kinds are no areas.
"""

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.annotation.events import Event, digest_of_image, new_event
from picie.data.folder import Photo
from picie.data.images import upright_size
from picie.errors import ConfigError
from picie.export.formats.labelstudio import painted
from picie.export.formats.polygons import regions
from picie.models.class_names import check_name
from picie.runtime.printable import shown

__all__ = ["marks_of_annotation"]

_MOST_POINTS = 100_000  # of an event
_CORNERS = 128  # of an ellipse: at most 0.03 % of its radius off
_OPAQUE = 128  # of 255
_PNG = "data:image/png;base64"
_BARE = ("brush", "bitmask", "magicwand", "polygon", "rectangle", "ellipse")  # without labels

_Points = NDArray[np.float64]  # (n, 2) corners (x, y) in pixels


def marks_of_annotation(
    annotation: Mapping[str, Any],
    photo: Photo,
    classes: Mapping[str, str],
    *,
    image: str,
    by: str,
) -> tuple[list[Event], list[str]]:
    """The regions of an annotation as areas of a history.

    Args:
        annotation: of one task, with its results.
        photo: of the task.
        classes: the class of each label that is called otherwise.
        image: name of the photo in the labelling interface.
        by: who or what makes them.

    Returns:
        an area for each region, in their order, and a sentence for results that make none.

    Raises:
        ConfigError: the results are no list.
        DataError: the photo cannot be read.
    """
    results = annotation.get("result") or []
    if not isinstance(results, list):
        raise ConfigError(f"annotation: result = {shown(results)}; give a list")
    size = upright_size(photo.path, photo.page)
    common = {"image": photo.name, "size": list(size), "digest": digest_of_image(photo.path)}
    events, left = list[Event](), Counter[str]()
    for result in _without_repeats(results):
        try:
            title, area = _read(result, classes, image, size)
            events.append(new_event(by, **common, title=title, **area))
        except (ConfigError, ValueError) as error:
            left[str(error)] += 1
    notes = [
        f"{photo.name}: {'a result is' if count == 1 else f'{count} results are'} left out: {why}"
        for why, count in left.items()
    ]
    return events, notes


def _without_repeats(results: list[Any]) -> list[Any]:
    """The results, without those that say again, but without a label, what region another is of.

    A drawing tool and a list of labels that stand apart give two results with one id.
    """
    labelled = {str(one.get("id")) for one in results if _labels(one)}

    def repeats(one: Any) -> bool:
        return isinstance(one, Mapping) and one.get("type") in _BARE and not _labels(one)

    return [one for one in results if not (repeats(one) and str(one.get("id")) in labelled)]


def _labels(result: Any) -> list[str]:
    """The labels of a result, each once."""
    value = result.get("value") if isinstance(result, Mapping) else None
    lists = [
        labels
        for key, labels in (value.items() if isinstance(value, Mapping) else ())
        if key.endswith("labels") and isinstance(labels, list)
    ]
    return list(dict.fromkeys(one for labels in lists for one in labels if isinstance(one, str)))


def _read(
    result: Any, classes: Mapping[str, str], image: str, size: tuple[int, int]
) -> tuple[str, dict[str, Any]]:
    """The class and the area of a result.

    Raises:
        ConfigError: its label cannot be the name of a class.
        ValueError: it is no area of the photo with one label.
    """
    if not isinstance(result, Mapping):
        raise ValueError("it is no object")
    kind, value = result.get("type"), result.get("value")
    if not (isinstance(value, Mapping) and _is_area(kind, value)):
        raise ValueError(f"{shown(kind)} is no brush, bitmask, polygon, rectangle or ellipse")
    if result.get("to_name", image) != image:
        raise ValueError(f"it is of another image of the task, {shown(result['to_name'])}")
    if result.get("image_rotation"):
        raise ValueError("it was drawn on the turned image; turn it back, and submit it again")
    drawn = result.get("original_width"), result.get("original_height")
    if drawn != size:
        raise ValueError(f"it was drawn on an image of {shown(drawn)}, not {size[0]} x {size[1]}")
    labels = _labels(result)
    if len(labels) != 1:
        many = f"the labels {', '.join(map(shown, labels))}" if labels else "no label"
        raise ValueError(f"it has {many}; give it one, and submit it again")
    title = classes.get(labels[0], unquote(labels[0]))
    check_name(title, "label", ignore=title == "ignore")
    return title, _area(value, *size)


def _is_area(kind: Any, value: Mapping[str, Any]) -> bool:
    """Whether a result is of a region; an answer about a region repeats where that is."""
    if not (isinstance(kind, str) and (kind in _BARE or kind.endswith("labels"))):
        return False
    shapes = ("rle",), ("imageDataURL",), ("points",), ("radiusX", "radiusY"), ("width", "height")
    return any(all(key in value for key in shape) for shape in shapes)


def _area(value: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    """The act of an event and its coordinates.

    Raises:
        ValueError: there is no pixel in it, or it cannot be read.
    """
    if "rle" in value or "imageDataURL" in value:
        rings = _rings((_brushed if "rle" in value else _masked)(value, width, height))
        if not rings:
            raise ValueError("there is nothing in it")
        return {"act": "segment", "rings": rings}
    corners = _corners(value, np.array([width, height]) / 100)
    if len(corners) > _MOST_POINTS:
        raise ValueError(f"it has more than {_MOST_POINTS} corners")
    inside = _clipped(corners, width, height)
    if len(inside) < 3 or not np.ptp(inside, axis=0).all():
        raise ValueError("there is nothing in it, or it lies outside of the image")
    return {"act": "polygon", "points": inside.tolist()}


# --- masks


def _brushed(value: Mapping[str, Any], width: int, height: int) -> NDArray[np.bool_]:
    if value.get("format") != "rle":
        raise ValueError(f"its mask has the format {shown(value.get('format'))}, not 'rle'")
    try:
        stream = bytes(list(value["rle"]))  # a number alone would be so many zeros
    except (TypeError, ValueError):
        raise ValueError("its mask is no list of bytes") from None
    return painted(stream, height, width)


def _masked(value: Mapping[str, Any], width: int, height: int) -> NDArray[np.bool_]:
    kind, _, text = str(value["imageDataURL"]).partition(",")
    if kind != _PNG:
        raise ValueError(f"its mask is no PNG, but {shown(kind)}")
    try:
        with Image.open(BytesIO(base64.b64decode(text)), formats=["PNG"]) as image:
            there = image.size == (width, height)  # before its pixels are read
            opacity = np.asarray(image.convert("RGBA"))[..., 3] if there else None
    except Exception as error:  # decoders raise whatever they like
        raise ValueError(f"its mask cannot be read ({error})") from None
    if opacity is None:
        raise ValueError("a mask of another size")
    return opacity >= _OPAQUE


def _rings(inside: NDArray[np.bool_]) -> list[list[list[int]]]:
    """Outlines of all regions with their holes; coarser if there are too many corners."""
    height, width = inside.shape
    step = 1
    while True:
        mask = np.where(inside[::step, ::step], 0, -1).astype(np.int16)
        rings = [ring * step for region in regions(mask) for ring in region.rings]
        if sum(map(len, rings)) <= _MOST_POINTS:
            return [np.minimum(ring, (width, height)).tolist() for ring in rings]
        step *= 2


# --- outlines


def _corners(value: Mapping[str, Any], scale: _Points) -> _Points:
    """The corners of a polygon, a rectangle or an ellipse.

    Args:
        value: of the result.
        scale: (2,) pixels per unit, across and down.

    Raises:
        ValueError: it is none.
    """
    if "points" in value:
        points = value["points"]
        if value.get("closed") is False:
            raise ValueError("its outline is open; close it, and submit it again")
        if not (isinstance(points, list) and len(points) >= 3):
            raise ValueError("it has fewer than three corners")
        if not all(isinstance(point, list) and len(point) == 2 for point in points):
            raise ValueError("its corners are no pairs of numbers")
        return _numbers([number for point in points for number in point]).reshape(-1, 2) * scale
    round_ = "radiusX" in value
    sides = ("radiusX", "radiusY") if round_ else ("width", "height")
    x, y, across, down, angle = _numbers(
        [*(value.get(key) for key in ("x", "y", *sides)), value.get("rotation") or 0]
    )
    if round_:
        turn = np.linspace(0, 2 * math.pi, _CORNERS, endpoint=False)
        shape = np.stack([np.cos(turn), np.sin(turn)], 1)
    else:
        shape = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    # Rotations are of what is seen, so per cent must be pixels before.
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = shape * (across, down) * scale @ np.array([[cosine, sine], [-sine, cosine]])
    corners: _Points = turned + np.array([x, y]) * scale
    return corners


def _numbers(values: Sequence[Any]) -> _Points:
    """Numbers that can be pixels.

    Raises:
        ValueError: others.
    """
    if not all(type(one) in (int, float) and -1e6 <= one <= 1e6 for one in values):
        raise ValueError("its coordinates are no numbers")
    return np.array(values, np.float64)


def _clipped(points: _Points, width: int, height: int) -> _Points:
    """The part of a polygon that is inside of the image (Sutherland and Hodgman).

    Args:
        points: (n, 2) corners.
        width: W.
        height: H.

    Returns:
        (m, 2) corners.
    """
    for axis, side, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        depth = sign * (points[:, axis] - side)
        following, deeper = np.roll(points, -1, 0), np.roll(depth, -1)
        crosses = (depth < 0) != (deeper < 0)
        share = depth / np.where(crosses, depth - deeper, 1)
        crossings = points + (following - points) * share[:, None]
        both = np.stack([points, crossings], 1).reshape(-1, 2)
        points = both[np.stack([depth >= 0, crosses], 1).ravel()]
    return points.clip(0, (width, height))
