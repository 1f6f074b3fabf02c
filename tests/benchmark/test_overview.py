"""The tables over all data sets, computed by hand."""

from collections.abc import Callable
from typing import Any

from picie.benchmark.comparison import Comparison
from picie.benchmark.overview import overview
from picie.benchmark.summary import Row, Section

MakeRecord = Callable[..., dict[str, Any]]
Records = list[dict[str, Any]]

SETS = ("streets", "books", "alloys")
SMALL = {"iou": {"sky": 90.0, "pole": 6.0}, "share": {"sky": 99.0, "pole": 1.0}}


def sections(records: Records, systems: tuple[str, ...], backbones: int = 1) -> list[Section]:
    names = ["resnet18", "vit"][:backbones]
    rows = [Row(data, system, one) for data in SETS for system in systems for one in names]
    return list(overview(rows, records, Comparison.of("floor", records)))


def runs(make_record: MakeRecord, system: str, *mious: tuple[float, ...]) -> Records:
    """Runs with these mIoU by data set and seed."""
    return [
        make_record(system=system, data=data, seed=seed, miou=miou)
        for data, group in zip(SETS, mious, strict=False)
        for seed, miou in enumerate(group)
    ]


def floor(make_record: MakeRecord) -> Records:
    """The floor, with probes of 50, 80 and 40."""
    records = runs(make_record, "floor", (20.0, 22.0), (40.0, 40.0), (20.0, 20.0))
    for record, miou in zip(records[::2], (50.0, 80.0, 40.0), strict=True):
        record["probe"] = {"kind": "linear", "miou": miou, "halves": False, "images": 6}
    return records


def test_means_are_over_data_sets_and_the_worst_run_is_named(make_record: MakeRecord) -> None:
    mine = runs(make_record, "mine", (30.0, 21.0), (60.0, 64.0), (20.0, 16.0))
    mine[0]["scores"] |= SMALL
    table = sections([*floor(make_record), *mine], ("floor", "mine"))[0]
    assert table.scores.columns[:3] == ("system", "data sets", "of probe")
    assert table.scores.rows == (
        ("floor", "3", "0.47", "27.0", "-", "-"),
        # (25.5 / 50 + 62 / 80 + 18 / 40) / 3, (25.5 + 62 + 18) / 3
        ("mine", "3", "0.58", "35.2", "6.0", "-4.0 (alloys, seed 1)"),
    )
    assert "less that of floor with the same seed" in table.protocol[0]
    assert table.protocol[1] == (
        "Below the floor: mine on streets, seed 1 (-1.0), alloys, seed 1 (-4.0)."
    )


def test_data_sets_without_runs_or_probes_are_counted_not_guessed(make_record: MakeRecord) -> None:
    mine = runs(make_record, "mine", (30.0,))
    records = [*mine, make_record(system="floor", data="streets", miou=20.0)]
    [table] = sections(records, ("floor", "mine", "other"))
    assert table.scores.rows == (
        ("floor", "1 of 3", "-", "20.0", "-", "-"),
        ("mine", "1 of 3", "-", "30.0", "-", "+10.0 (streets, seed 0)"),
        ("other", "0 of 3", "-", "-", "-", "-"),
    )
    assert table.protocol[1] == "Below the floor: no run."


def test_each_data_set_is_left_out_in_turn(make_record: MakeRecord) -> None:
    first = runs(make_record, "first", (40.0, 40.0), (60.0, 60.0), (20.0, 20.0))  # .8 .75 .5
    second = runs(make_record, "second", (30.0, 30.0), (56.0, 56.0), (32.0, 32.0))  # .6 .7 .8
    part = runs(make_record, "part", (50.0,), (80.0,))
    records = [*floor(make_record), *first, *second, *part]
    _, table = sections(records, ("floor", "first", "second", "part"))
    assert table.title == "One data set left out"
    assert table.scores.rows == (
        ("streets", "second", "first", "0.75", "0.60", "0.80"),
        ("books", "second", "first", "0.70", "0.70", "0.75"),
        ("alloys", "first", "second", "0.78", "0.50", "0.80"),
    )
    assert "0.60 in the mean; the best of each would reach 0.78." in table.protocol[0]
    assert table.protocol[1:] == ("Not compared, because runs are missing: part.",)


def test_backbones_are_told_apart(make_record: MakeRecord) -> None:
    records = floor(make_record)
    records += [one | {"backbone": "vit"} for one in records]
    table, left_out = sections(records, ("floor",), backbones=2)
    assert [row[0] for row in table.scores.rows] == ["floor, resnet18", "floor, vit"]
    assert left_out.scores.rows[0][:3] == ("streets", "floor, resnet18", "floor, resnet18")
