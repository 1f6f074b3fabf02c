"""Cells that marks cover, against slow transcriptions; and which mark decides."""

import itertools
import math
import random
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.annotation.cells import UNMARKED, cells_of, contradictions, marked_cells
from picie.annotation.events import Event, new_event

SIZE = (120, 80)
CELLS = (20, 24)


def mark(act: str, title: str = "road", **values: Any) -> Event:
    classed = {} if act == "erase" else {"title": title}
    image = {"image": "a", "size": list(SIZE), "digest": ""}
    return new_event("test", act=act, **image, **classed, **values)


def box(*numbers: float, title: str = "road") -> Event:
    return mark("box", title, box=list(numbers))


def centres() -> list[tuple[int, int, float, float]]:
    """Row and column of each cell, and its centre in pixels."""
    across, down = SIZE[0] / CELLS[1], SIZE[1] / CELLS[0]
    return [
        (row, column, (column + 0.5) * across, (row + 0.5) * down)
        for row in range(CELLS[0])
        for column in range(CELLS[1])
    ]


def slow_line(points: list[tuple[float, float]], radius: float) -> NDArray[np.bool_]:
    found = np.zeros(CELLS, np.bool_)
    pieces = list(itertools.pairwise(points)) or [(points[0], points[0])]
    for (x0, y0), (x1, y1) in pieces:
        for step in range(5_001):
            x, y = (a + step / 5_000 * (b - a) for a, b in ((x0, x1), (y0, y1)))
            row, column = int(y * CELLS[0] / SIZE[1]), int(x * CELLS[1] / SIZE[0])
            found[min(row, CELLS[0] - 1), min(column, CELLS[1] - 1)] = True
        for row, column, x, y in centres():
            length = (x1 - x0) ** 2 + (y1 - y0) ** 2
            share = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length if length else 0
            share = min(1.0, max(0.0, share))
            away = math.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0))
            found[row, column] |= radius > 0 and away <= radius
    return found


def slow_area(rings: list[list[tuple[float, float]]]) -> NDArray[np.bool_]:
    found = np.zeros(CELLS, np.bool_)
    for row, column, x, y in centres():
        for ring in rings:
            for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
                if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
                    found[row, column] ^= True
    return found


@pytest.mark.parametrize("seed", range(12))
def test_lines_cover_what_they_cross_and_what_is_near(seed: int) -> None:
    draw = random.Random(seed)
    count = draw.choice([1, 2, 3, 9])
    points = [(draw.uniform(0, SIZE[0]), draw.uniform(0, SIZE[1])) for _ in range(count)]
    radius = draw.choice([0, 2.5, 7, 30, 120])
    found = cells_of(mark("stroke", points=points, radius=radius), CELLS)
    wanted = slow_line(points, radius)
    # The transcription samples the line, so it may miss a corner that the line just cuts.
    assert not (wanted & ~found).any()
    assert (found & ~wanted).sum() <= 2


@pytest.mark.parametrize("seed", range(12))
def test_areas_cover_the_centres_inside(seed: int) -> None:
    draw = random.Random(seed)
    rings = [
        [(draw.uniform(0, SIZE[0]), draw.uniform(0, SIZE[1])) for _ in range(draw.randint(3, 12))]
        for _ in range(draw.randint(1, 3))
    ]
    assert np.array_equal(cells_of(mark("segment", rings=rings), CELLS), slow_area(rings))
    if len(rings) == 1:
        polygon = cells_of(mark("polygon", points=rings[0]), CELLS)
        assert np.array_equal(polygon, slow_area(rings))


def test_a_box_by_hand() -> None:
    found = cells_of(box(10, 8, 20, 20), CELLS)  # cells of 5 x 4 pixels
    assert np.argwhere(found).tolist() == [[r, c] for r in (2, 3, 4) for c in (2, 3)]
    assert cells_of(box(0, 0, *SIZE), CELLS).all()
    assert np.array_equal(cells_of(box(20, 20, 10, 8), CELLS), found)  # other corners


def test_what_holds_no_centre_takes_a_cell() -> None:
    assert np.argwhere(cells_of(box(11, 9, 11.5, 9.5), CELLS)).tolist() == [[2, 2]]
    assert np.argwhere(cells_of(box(*SIZE, *SIZE), CELLS)).tolist() == [[19, 23]]
    ring = [(11, 9), (11, 9), (11, 9)]
    assert np.argwhere(cells_of(mark("polygon", points=ring), CELLS)).tolist() == [[2, 2]]


def test_a_click_is_a_stroke_of_one_point() -> None:
    point = mark("stroke", points=[[12.5, 10]])
    assert np.argwhere(cells_of(point, CELLS)).tolist() == [[2, 2]]
    edge = mark("stroke", points=[[0, 80]])
    assert np.argwhere(cells_of(edge, CELLS)).tolist() == [[19, 0]]
    wide = cells_of(mark("stroke", points=[[12.5, 10]], radius=4), CELLS)
    assert np.argwhere(wide).tolist() == [[1, 2], [2, 2], [3, 2]]


def test_the_last_mark_decides_and_an_eraser_clears() -> None:
    events = [
        box(0, 0, 60, 80),
        box(30, 0, 120, 80, title="sky"),
        mark("erase", points=[[0, 40], [120, 40]], radius=8),
        box(0, 36, 10, 44, title="tree"),
    ]
    owner = marked_cells(events, CELLS)
    assert owner[0].tolist() == [0] * 6 + [1] * 18
    assert owner[9].tolist() == [3] * 2 + [UNMARKED] * 22
    assert (marked_cells([], CELLS) == UNMARKED).all()


def test_contradictions_are_counted_and_what_was_erased_is_none() -> None:
    first, second = box(0, 0, 60, 80), box(50, 0, 120, 80, title="sky")
    found = contradictions([first, box(0, 0, 10, 80), second], CELLS)
    assert [(one.earlier, one.later, one.cells) for one in found] == [(first, second, 2 * 20)]
    rubbed = mark("erase", points=[[55, 0], [55, 80]], radius=20)
    assert contradictions([first, rubbed, second], CELLS) == []


def test_other_acts_mark_nothing() -> None:
    image = {"image": "a", "size": list(SIZE), "digest": ""}
    answer = {"point": [5, 5], "predicted": "sky", "right": False, "class": "road"}
    events = [
        new_event("test", act="accept", **image),
        new_event("test", act="audit", **image, **answer),
        new_event("test", act="cluster", **image, title="sky", point=[5, 5]),
    ]
    assert (marked_cells(events, CELLS) == UNMARKED).all()
    assert np.argwhere(cells_of(events[1], CELLS)).tolist() == [[1, 1]]


def test_hundreds_of_strokes_take_a_moment() -> None:
    draw = random.Random(0)
    events = []
    for _ in range(500):
        x, y = draw.uniform(0, 440), draw.uniform(0, 320)
        points = [[x + t, y + 20 + 20 * math.sin(t / 9)] for t in range(40)]
        image = {"image": "a", "size": [480, 360], "digest": ""}
        events.append(new_event("t", act="stroke", **image, title="a", points=points, radius=6))
    start = time.perf_counter()
    for event in events:
        cells_of(event, (90, 120))
    seconds = time.perf_counter() - start
    assert seconds < 2  # 0.1 on an idle machine


def test_a_line_of_very_many_points_takes_seconds_and_little_memory() -> None:
    ends = [[0, 0], list(SIZE)] * 2_000
    found = cells_of(mark("stroke", points=ends, radius=1), (200, 200))
    assert 200 <= found.sum() < 2_000
    assert cells_of(mark("stroke", points=ends, radius=120), (200, 200)).all()
