"""The head: names hold where nobody drew, strokes move what they touch."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.annotation.head import Head, Marks, Start, fit_head
from picie.errors import DataError

D = 16


def _logits(head: Head, cells: Tensor, classes: int) -> Tensor:
    scores = cells @ head.rows.T + head.offsets
    columns = [scores[:, head.classes == number] for number in range(classes)]
    return torch.stack([one.amax(1) if one.shape[1] else one.sum(1) - 1e4 for one in columns], 1)


@pytest.fixture
def start() -> Start:
    """Six clusters of random unit features; clusters 0 to 2 are of class 0, the others of 1."""
    draws = torch.Generator().manual_seed(0)
    rows = F.normalize(torch.randn(6, D, generator=draws), dim=1)
    places = torch.arange(6).repeat_interleave(200)
    cells = F.normalize(rows[places] + 0.15 * torch.randn(1200, D, generator=draws), dim=1)
    classes = torch.tensor([0, 0, 0, 1, 1, 1])
    return Start(rows, classes, cells, (cells @ rows.T).argmax(1))


def _marks(start: Start, cluster: int, number: int, strokes: int = 5) -> Marks:
    """Strokes of four cells each inside a cluster."""
    places = (start.clusters == cluster).nonzero()[: 4 * strokes, 0]
    return Marks(
        start.cells[places],
        torch.full((len(places),), number),
        start.clusters[places],
        torch.arange(len(places)) // 4,
    )


def test_strokes_that_agree_with_the_names_change_no_prediction(start: Start) -> None:
    named = start.classes[start.clusters]
    head = fit_head(start, _marks(start, 0, 0), 2)
    assert (_logits(head, start.cells, 2).argmax(1) == named).float().mean() > 0.999


def test_strokes_turn_the_cluster_they_are_in_and_no_other(start: Start) -> None:
    named = start.classes[start.clusters]
    head = fit_head(start, _marks(start, 1, 1, strokes=20), 2)
    found = _logits(head, start.cells, 2).argmax(1)
    inside = start.clusters == 1
    assert (found[inside] == 1).float().mean() > 0.9
    assert (found[~inside] == named[~inside]).float().mean() > 0.99


def test_a_class_without_a_cluster_gets_a_row_of_its_own(start: Start) -> None:
    marks = _marks(start, 4, 2, strokes=20)
    head = fit_head(start, marks, 3)
    assert head.classes.tolist() == [*start.classes.tolist(), 2]
    assert head.rows.shape == (7, D)
    assert (_logits(head, marks.cells, 3).argmax(1) == 2).float().mean() > 0.9


def test_a_class_that_nobody_drew_and_no_cluster_has_stays_without_rows(start: Start) -> None:
    head = fit_head(start, _marks(start, 0, 1), 4)
    assert set(head.classes.tolist()) == {0, 1}


def test_a_long_stroke_weighs_like_a_short_one(start: Start) -> None:
    marks = _marks(start, 1, 1, strokes=3)
    places = torch.arange(12).repeat_interleave(torch.where(torch.arange(12) < 4, 5, 1))
    long = Marks(*(one[places] for one in vars(marks).values()))
    short, other = fit_head(start, marks, 2), fit_head(start, long, 2)
    difference = _logits(short, start.cells, 2) - _logits(other, start.cells, 2)
    assert float(difference.abs().max()) < 0.05


def test_the_fit_is_a_function_of_its_input(start: Start) -> None:
    first, second = (fit_head(start, _marks(start, 1, 1), 2) for _ in range(2))
    assert torch.equal(first.rows, second.rows)
    assert not torch.equal(first.rows[0], start.rows[0])
    assert torch.isfinite(first.rows).all()


def test_nothing_to_learn_and_unknown_classes_are_refused(start: Start) -> None:
    empty = Marks(*(one[:0] for one in vars(_marks(start, 1, 1)).values()))
    for marks, classes in ((empty, 2), (_marks(start, 1, 5), 2)):
        with pytest.raises(DataError, match="one stroke or more"):
            fit_head(start, replace(marks), classes)


def test_a_fit_goes_on_from_the_head_before() -> None:
    draws = torch.Generator().manual_seed(0)
    rows = F.normalize(torch.randn(5, 6, generator=draws), dim=1)
    cells = F.normalize(torch.randn(200, 6, generator=draws), dim=1)
    start = Start(rows, torch.tensor([0, 0, 1, 1, 2]), cells, (cells @ rows.T).argmax(1))
    some = F.normalize(torch.randn(8, 6, generator=draws), dim=1)
    marks = Marks(some, torch.tensor([0, 1, 2, 3] * 2), (some @ rows.T).argmax(1), torch.arange(8))
    whole = fit_head(start, marks, 4)
    same = fit_head(start, marks, 4, before=whole, rounds=0)
    assert torch.allclose(same.rows, whole.rows, atol=1e-5)
    assert torch.equal(same.offsets, whole.offsets)
    near = fit_head(start, marks, 4, before=whole, rounds=1, steps=4)
    far = fit_head(start, marks, 4, rounds=1, steps=4)
    assert (near.rows - whole.rows).norm() < (far.rows - whole.rows).norm()


def test_a_fit_can_be_stopped() -> None:
    rows = torch.eye(3)
    start = Start(rows, torch.arange(3), rows, torch.arange(3))
    marks = Marks(rows[:1], torch.tensor([1]), torch.tensor([0]), torch.tensor([0]))
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fit_head(start, marks, 3, check=check)
    assert len(calls) == 3
