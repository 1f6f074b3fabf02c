"""From annotations in pixels to cells of the feature map.

A cell belongs to a stroke if the line crosses it, or its centre is within the radius of the line;
to an area if its centre is inside, by the even-odd rule. An area too small to hold a centre takes
the cell of its first point.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picie.annotation.events import MARKS, Event

__all__ = ["UNMARKED", "Contradiction", "cells_of", "contradictions", "marked_cells"]

UNMARKED = -1
"""A cell that no annotation covers."""

_MOST = 2**20  # distances, or crossings of lines, computed at a time


@dataclass(frozen=True)
class Contradiction:
    """Cells that two marks give different classes; the later one counts.

    Attributes:
        earlier: the mark that loses them.
        later: the mark that gets them.
        cells: their number.
    """

    earlier: Event
    later: Event
    cells: int


def marked_cells(events: Iterable[Event], cells: tuple[int, int]) -> NDArray[np.int64]:
    """Which event decides each cell of an image: the last that covers it.

    Args:
        events: of one image that count, in order; an eraser clears what is before it.
        cells: (h, w) of the feature map.

    Returns:
        (h, w) int64, the position of the event, or UNMARKED.
    """
    owner = np.full(cells, UNMARKED, np.int64)
    for position, event, covered in _covering(events, cells):
        owner[covered] = UNMARKED if event.act == "erase" else position
    return owner


def contradictions(events: Iterable[Event], cells: tuple[int, int]) -> list[Contradiction]:
    """The marks of an image that give the same cells other classes.

    Args:
        events: of one image that count, in order.
        cells: (h, w) of the feature map.

    Returns:
        one for each pair, in the order of the later marks; what was erased between does not count.
    """
    events, found = list(events), list[Contradiction]()
    owner = np.full(cells, UNMARKED, np.int64)
    for position, event, covered in _covering(events, cells):
        if event.act == "erase":
            owner[covered] = UNMARKED
            continue
        before, counts = np.unique(owner[covered], return_counts=True)
        for one, count in zip(before.tolist(), counts.tolist(), strict=True):
            if one != UNMARKED and events[one].title != event.title:
                found.append(Contradiction(events[one], event, count))
        owner[covered] = position
    return found


def _covering(
    events: Iterable[Event], cells: tuple[int, int]
) -> Iterator[tuple[int, Event, NDArray[np.bool_]]]:
    """The marks and erasers: position, event and (h, w) bool cells."""
    for position, event in enumerate(events):
        if event.act in MARKS or event.act == "erase":
            yield position, event, cells_of(event, cells)


def cells_of(event: Event, cells: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) bool, the cells of a feature map that an event covers.

    Args:
        event: any with points or rings: a point of an audit covers one cell.
        cells: (h, w).
    """
    covered = np.zeros(cells, np.bool_)
    scale = np.array([cells[1] / event.size[0], cells[0] / event.size[1]])  # cells per pixel
    points = np.array(event.points).reshape(-1, 2)  # (N, 2), x and y
    match event.act:
        case "segment":
            rings = [np.array(ring) for ring in event.rings]
        case "polygon":
            rings = [points]
        case "box":
            rings = [np.stack([points[[0, 1, 1, 0], 0], points[[0, 0, 1, 1], 1]], 1)]
        case _:
            _draw(covered, points, event.radius, scale)
            return covered
    _fill(covered, [ring * scale for ring in rings])
    if not covered.any():
        covered[_cells(rings[0][:1] * scale, cells)] = True
    return covered


# --- lines


def _draw(
    covered: NDArray[np.bool_],
    points: NDArray[np.float64],
    radius: float,
    scale: NDArray[np.float64],
) -> None:
    """Mark the cells that a line of (N, 2) points in pixels covers."""
    corners = points if len(points) > 1 else points[[0, 0]]
    some = max(1, _MOST // max(covered.shape))  # lines between corners at a time
    for first in range(0, len(corners) - 1, some):
        starts, ends = _pieces(corners[first : first + some + 1], scale, 1)
        covered[_cells(_between(starts * scale, ends * scale), covered.shape)] = True
    if not radius:
        return
    most = math.ceil(min(radius * scale.max(), max(covered.shape)))
    starts, ends = _pieces(corners, scale, most)
    longest = np.abs((ends - starts) * scale).max()
    # In cells, from the cell with the middle of a piece.
    reach = np.floor(radius * scale + longest / 2 + 0.5).astype(np.int64)
    reach = np.minimum(reach, covered.shape[::-1])
    window = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1].reshape(2, -1)
    few = max(1, _MOST // window.shape[1])
    for first in range(0, len(starts), few):
        if not covered.all():
            part = slice(first, first + few)
            _widen(covered, starts[part], ends[part], radius, scale, window)


def _widen(
    covered: NDArray[np.bool_],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    radius: float,
    scale: NDArray[np.float64],
    window: NDArray[np.int64],
) -> None:
    """Mark the cells whose centre is within the radius of (S, 2) pieces of a line.

    Args:
        covered: (h, w).
        starts: in pixels, as `ends` and `radius`.
        ends: of the pieces.
        radius: of the line.
        scale: cells per pixel.
        window: (2, M) columns and rows that a piece can reach, from the cell with its middle.
    """
    middles = np.floor((starts + ends) / 2 * scale).astype(np.int64)
    columns, rows = (middles[:, axis, None] + window[axis] for axis in (0, 1))  # (S, M)
    across, down = (ends - starts).T[..., None]  # (S, 1)
    x = (columns + 0.5) / scale[0] - starts[:, :1]
    y = (rows + 0.5) / scale[1] - starts[:, 1:]
    length = across**2 + down**2
    share = ((x * across + y * down) / np.where(length == 0, 1, length)).clip(0, 1)
    within = (x - share * across) ** 2 + (y - share * down) ** 2 <= radius**2
    columns, rows = columns[within], rows[within]
    inside = (rows >= 0) & (rows < covered.shape[0]) & (columns >= 0) & (columns < covered.shape[1])
    covered[rows[inside], columns[inside]] = True


def _pieces(
    corners: NDArray[np.float64], scale: NDArray[np.float64], length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts and ends, (S, 2) each, of pieces of a line that are at most `length` cells long."""
    starts, along = corners[:-1], np.diff(corners, axis=0)
    counts = np.ceil(np.abs(along * scale).max(1) / length).clip(1).astype(np.int64)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    piece = np.repeat(np.arange(len(counts)), counts)
    share = (step / counts[piece])[:, None], ((step + 1) / counts[piece])[:, None]
    first, last = (starts[piece] + one * along[piece] for one in share)
    return first, last


def _between(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places in all cells that pieces of at most a cell cross: in the middle between borders.

    Args:
        starts: (S, 2) in cells.
        ends: of the pieces.

    Returns:
        (3 S, 2) in cells.
    """
    along = ends - starts
    border = np.maximum(np.floor(starts), np.floor(ends))  # the one that a piece can cross
    steps = np.where(along == 0, 1, along)
    crossings = np.where(along == 0, 0.0, (border - starts) / steps).clip(0, 1)  # (S, 2)
    shares = np.sort(np.pad(crossings, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1))), axis=1)
    middles = (shares[:, 1:] + shares[:, :-1]) / 2  # (S, 3)
    places: NDArray[np.float64] = starts[:, None] + middles[..., None] * along[:, None]
    return places.reshape(-1, 2)


def _cells(
    places: NDArray[np.float64], cells: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of (M, 2) places in cells; the far edges belong to the last cells."""
    columns, rows = np.floor(places).astype(np.int64).T
    return rows.clip(0, cells[0] - 1), columns.clip(0, cells[1] - 1)


# --- areas


def _fill(covered: NDArray[np.bool_], rings: list[NDArray[np.float64]]) -> None:
    """Mark the cells whose centre is inside closed rings of (N, 2) points in cells."""
    height, width = covered.shape
    starts = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, 0) for ring in rings])
    edges = np.sort(np.ceil(np.stack([starts[:, 1], ends[:, 1]]) - 0.5), axis=0)
    step = max(1, _MOST // (width + 1))
    for top in range(0, height, step):
        rows = covered[top : top + step]
        # The rows whose centre line an edge crosses: from the first to before the last.
        first, last = (edges.clip(top, top + len(rows)) - top).astype(np.int64)
        counts = last - first
        edge = np.repeat(np.arange(len(starts)), counts)
        row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
        (x, y), (x_end, y_end) = starts[edge].T, ends[edge].T
        crossing = x + (row + top + 0.5 - y) / (y_end - y) * (x_end - x)
        column = np.ceil(crossing - 0.5).astype(np.int64).clip(0, width)  # the first not left of it
        crossings = np.zeros((len(rows), width + 1), np.int64)
        np.add.at(crossings, (row, column), 1)
        rows |= (np.cumsum(crossings, axis=1)[:, :-1] % 2).astype(np.bool_)
