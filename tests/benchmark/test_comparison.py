"""Small classes, ratios and gains, by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from picie.benchmark.comparison import Comparison, small_classes

MakeRecord = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("iou", "share", "expected"),
    [
        ((80.0, 4.0, 8.0), (97.0, 1.0, 1.99), 6.0),
        ((80.0, 4.0, 8.0), (96.0, 2.0, 2.0), None),  # 2 % is not small
        ((80.0, 4.0, None), (99.0, 1.0, 0.0), 4.0),  # a class that does not occur
        ((80.0, 0.0, 8.0), (97.0, 1.5, 1.5), 4.0),  # one that was never found
    ],
)
def test_small_classes(
    iou: tuple[float | None, ...], share: tuple[float, ...], expected: float | None
) -> None:
    scores = {"iou": dict(enumerate(iou)), "share": dict(enumerate(share))}
    assert small_classes(scores) == expected


def test_records_without_classes_have_no_small_ones() -> None:
    assert small_classes({}) is None


def test_runs_are_compared_on_their_data_set_backbone_and_seed(make_record: MakeRecord) -> None:
    probe = {"miou": 50.0}
    floors = [
        make_record(system="floor", seed=0, miou=20.0, probe=probe),
        make_record(system="floor", seed=1, miou=30.0),
        make_record(system="floor", data="other", miou=90.0, probe={"miou": 0.0}),
    ]
    comparison = Comparison.of("floor", [*floors, make_record(miou=10.0)])
    run = make_record(seed=1, miou=25.0)
    assert comparison.probe(run) == probe
    assert comparison.ratio(run) == 0.5
    assert comparison.gain(run) == -5.0
    assert comparison.gain(make_record(seed=2)) is None  # the floor lacks this seed
    assert comparison.gain(floors[0]) is None
    assert comparison.ratio(floors[0]) == 0.4
    for other in (make_record(data="other"), make_record(backbone="vit")):
        assert comparison.ratio(other) is None  # a probe without a hit, and none
