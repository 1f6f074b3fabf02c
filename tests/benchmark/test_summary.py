"""Means, deviations and counts of runs, computed by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from picie.benchmark.comparison import Comparison
from picie.benchmark.summary import (
    Row,
    Section,
    code_of,
    protocol,
    provenance,
    ranks,
    spearman,
    spread,
    summarise,
)

MakeRecord = Callable[..., dict[str, Any]]
MINE = Row("photos", "mine", "resnet18")


def section(
    records: list[dict[str, Any]],
    published: list[dict[str, Any]] | None = None,
    planned: dict[Row, int] | None = None,
) -> Section:
    [found] = summarise(planned or {MINE: 3}, records, published or [])
    return found


def test_the_deviation_is_that_of_a_sample() -> None:
    assert spread([10.0, 20.0, 60.0]) == "30.0 ± 26.5"  # sqrt((400 + 100 + 900) / 2)
    assert spread([10.0]) == "10.0"


def test_a_row_averages_over_seeds(make_record: MakeRecord) -> None:
    values = [(50.0, 20.0, 60), (52.0, 23.0, 600), (54.0, 26.0, 120)]
    records = [
        make_record(seed=n, accuracy=a, miou=m, seconds={"train": s})
        for n, (a, m, s) in enumerate(values)
    ]
    table = section(records).scores
    assert table.columns == ("system", "seeds", "accuracy", "mIoU", "minutes")
    assert table.rows == (("mine", "3", "52.0 ± 2.0", "23.0 ± 3.0", "2.0"),)


def test_runs_that_are_missing_are_counted(make_record: MakeRecord) -> None:
    none = Row("photos", "other", "resnet18")
    rows = section([make_record()], planned={MINE: 3, none: 2}).scores.rows
    assert rows[0] == ("mine", "1 of 3", "50.0", "20.0", "1.0")
    assert rows[1] == ("other", "0 of 2", "-", "-", "-")


def test_data_sets_do_not_mix(make_record: MakeRecord) -> None:
    planned = {MINE: 1, Row("scenes", "mine", "resnet18"): 1}
    records = [make_record(), make_record(data="scenes", miou=70.0)]
    first, second = summarise(planned, records, [])
    assert (first.title, first.scores.rows[0][3]) == ("photos", "20.0")
    assert (second.title, second.scores.rows[0][3]) == ("scenes", "70.0")


def test_backbones_have_rows_and_a_column_of_their_own(make_record: MakeRecord) -> None:
    planned = {MINE: 1, Row("photos", "mine", "vit"): 1}
    table = section([make_record(), make_record(backbone="vit")], planned=planned).scores
    assert table.columns[:2] == ("system", "backbone")
    assert [row[:3] for row in table.rows] == [("mine", "resnet18", "1"), ("mine", "vit", "1")]
    assert table.text_columns == 2


def test_fresh_centroids_and_other_views(make_record: MakeRecord) -> None:
    def scores(fresh: float, view: float) -> dict[str, Any]:
        one = {"mean": fresh, "sd": 9.0}
        return {
            "fresh": {"accuracy": one, "miou": one, "runs": []},
            "other_views": [{"accuracy": view, "miou": view}],
        }

    records = [make_record(seed=0, scores=scores(10, 5)), make_record(scores=scores(14, 7))]
    table = section(records, planned={MINE: 2}).scores
    assert table.columns[4:] == ("fresh accuracy", "fresh mIoU", "minutes")
    assert table.rows[0][4:6] == ("12.0 ± 2.8", "12.0 ± 2.8")  # over runs, not within them
    assert table.rows[1] == ("— the same, view 2", "2", "6.0 ± 1.4", "6.0 ± 1.4", "", "", "")


def test_published_numbers_are_marked_and_sourced(make_record: MakeRecord) -> None:
    one = {"system": "mine", "data": "photos", "accuracy": 48.09, "miou": None}
    published = [
        {**one, "source": "a log", "verified": True},
        {**one, "system": "theirs", "source": "a paper", "verified": False},
        {**one, "data": "elsewhere", "source": "?", "verified": True},
    ]
    planned = {MINE: 1, Row("photos", "last", "resnet18"): 1}
    found = section([make_record()], published, planned)
    assert [row[0] for row in found.scores.rows] == [
        "mine",
        "mine, published [1]",
        "last",
        "theirs, published [2], unverified",
    ]
    assert found.scores.rows[1][1:] == ("", "48.09", "-", "")
    assert found.scores.foreign == {1, 3}
    assert found.sources == ("[1] a log", "[2] a paper")


def test_every_row_is_as_wide_as_the_headings(make_record: MakeRecord) -> None:
    fresh = {"accuracy": {"mean": 1.0}, "miou": {"mean": 1.0}}
    views = [{"accuracy": 1.0, "miou": 1.0}]
    one = {"system": "x", "data": "photos", "accuracy": 1.0, "source": "s", "verified": True}
    planned = {MINE: 1, Row("photos", "mine", "vit"): 1}
    records = [make_record(scores={"fresh": fresh, "other_views": views})]
    table = section(records, [one], planned).scores
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_a_comparison_adds_the_probe_the_worst_seed_and_small_classes(
    make_record: MakeRecord,
) -> None:
    probe = {"kind": "linear", "miou": 40.0, "halves": False, "images": 6}
    found = {"iou": {"sky": 90.0, "pole": 6.0}, "share": {"sky": 99.0, "pole": 1.0}}
    views = found | {"other_views": [{"accuracy": 1.0, "miou": 1.0}]}
    records = [
        make_record(system="floor", miou=10.0, probe=probe),
        make_record(seed=0, miou=20.0, scores=views),
        make_record(seed=1, miou=16.0),
    ]
    one = {"system": "x", "data": "photos", "accuracy": 1.0, "source": "s", "verified": True}
    planned = {Row("photos", "floor", "resnet18"): 1, MINE: 2}
    [section] = summarise(planned, records, [one], Comparison.of("floor", records))
    table = section.scores
    assert table.columns[4:] == ("probe", "of probe", "worst seed", "small classes", "minutes")
    assert table.rows[0][4:] == ("40.0", "0.25", "10.0 (seed 0)", "-", "1.0")
    assert table.rows[1][3:] == ("18.0 ± 2.8", "40.0", "0.45", "16.0 (seed 1)", "6.0", "1.0")
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert section.protocol[1:] == (
        "Probe: linear, learnt from all labels of 6 training images, on the features of floor. Of "
        "probe: mIoU over that of the probe.",
    )


def test_a_probe_by_halves_is_told_and_one_that_is_missing_is_not_guessed(
    make_record: MakeRecord,
) -> None:
    probe = {"kind": "knn", "miou": 40.0, "halves": True, "images": 6}
    records = [make_record(probe=probe)]
    [section] = summarise({MINE: 1}, records, [], Comparison.of("mine", records))
    assert section.scores.rows[0][4] == "40.0, by halves"
    assert "was scored on the others, and the other way round" in section.protocol[2]
    [section] = summarise({MINE: 1}, records, [], Comparison.of("floor", records))
    assert section.scores.rows[0][4:6] == ("-", "-")
    assert len(section.protocol) == 1


def test_correlations_need_five_runs(make_record: MakeRecord) -> None:
    records = [
        make_record(
            seed=n,
            miou=float(n),
            health={
                "rising": n**2,
                "falling": -float(n),
                "mixed": [1, 3, 2, 5, 4][n],
                "flat": 7,
                "switch": bool(n % 2),
                "text": "a",
                "broken": math.nan,
                **({"rare": n} if n else {}),
            },
        )
        for n in range(5)
    ]
    found = section(records).correlations
    assert found is not None
    assert found.rows == (
        ("falling", "5", "-1.00"),
        ("rising", "5", "+1.00"),
        ("mixed", "5", "+0.80"),
    )
    assert section(records[:4]).correlations is None
    assert section([make_record(seed=n) for n in range(6)]).correlations is None


def test_curves_are_means_behind_them_the_runs(make_record: MakeRecord) -> None:
    def curve(*losses: float | None) -> list[dict[str, Any]]:
        return [
            {"epoch": epoch, "loss": loss, "effective_clusters": [4.0, 9.0]}
            for epoch, loss in enumerate(losses)
        ]

    records = [
        make_record(seed=0, curves=curve(4.0, 3.0, 2.0)),
        make_record(seed=1, curves=curve(2.0, 2.0, None)),
    ]
    found = section(records)
    charts = {one.title: one for one in found.charts}
    first, second, mean = charts["loss"].lines
    assert (first.name, first.faint, mean.name, mean.faint) == ("mine, seed 0", True, "mine", False)
    assert second.points == ((1.0, 2.0), (2.0, 2.0))
    assert mean.points == ((1.0, 3.0), (2.0, 2.5))  # not at epoch 3, which one of them lacks
    assert charts["effective clusters (view 1)"].lines[-1].points[0] == (1.0, 4.0)
    assert all(line.points == () for line in charts["mIoU %"].lines)
    assert [name for name, _ in found.legend] == ["mine"]


def test_one_run_is_its_own_mean(make_record: MakeRecord) -> None:
    found = section([make_record(curves=[{"epoch": 0, "loss": 1.0}])])
    [loss] = [one for one in found.charts if one.title == "loss"]
    assert [line.faint for line in loss.lines] == [False]


def test_single_runs_are_listed(make_record: MakeRecord) -> None:
    table = section([make_record(seed=2, miou=20.126)]).runs
    assert table.rows == (("mine", "resnet18", "2", "50.00", "20.13", "1.0", "installed package"),)


def test_a_record_of_an_unknown_row_is_a_mistake(make_record: MakeRecord) -> None:
    with pytest.raises(KeyError):
        section([make_record(system="never planned")])


# --- spearman's rho: scipy as oracle, and what must not change it


@pytest.mark.parametrize("seed", range(5))
def test_scipy_agrees_with_ties_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 6, 12).tolist(), rng.normal(size=12).tolist()
    assert ranks(first).tolist() == rankdata(first).tolist()
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_it_follows_the_order_only() -> None:
    values = [0.3, 5.0, 1.0, 2.0]
    assert spearman(values, [np.exp(value) for value in values]) == pytest.approx(1.0)
    assert spearman(values, [-(value**3) for value in values]) == pytest.approx(-1.0)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3])])
def test_it_may_be_undefined(first: list[float], second: list[float]) -> None:
    assert spearman(first, second) is None
    assert spearman(second, first) is None


# --- the sentences beside a table: nothing that makes numbers comparable is left out


def test_the_protocol_is_told_once_for_all_runs(make_record: MakeRecord) -> None:
    [text] = protocol([make_record(seed=0), make_record(seed=1)])
    assert text == (
        "Trained on train (6 images) without labels, scored on val (3 images); K = 11; short "
        "side 320 px; crop center; matching hungarian (one-to-one); post-processing none; "
        "centroids: trained model, unaugmented images; backbone resnet18."
    )


def test_what_is_not_known_here_is_told_too(make_record: MakeRecord) -> None:
    [text] = protocol([make_record(protocol={"bootstrap": 1000, "unreadable": 2})])
    assert "unreadable images: 2; bootstrap 1000; backbone" in text


def test_runs_that_cannot_be_compared_are_named(make_record: MakeRecord) -> None:
    runs = [make_record(), make_record(protocol={"K": 27, "crop": "none"})]
    text, warning = protocol(runs)
    assert "K = 11 / 27" in text
    assert warning == "The runs differ in K, crop: compare them with care."


def test_other_centroids_are_told_but_no_reason_for_a_warning(make_record: MakeRecord) -> None:
    [text] = protocol([make_record(), make_record(protocol={"centroids": "view 1"})])
    assert "centroids: trained model, unaugmented images / view 1" in text


def test_the_earlier_text_for_the_centroids_means_the_same(make_record: MakeRecord) -> None:
    earlier = make_record(protocol={"centroids": "trained model, clean images"})
    today = make_record(protocol={"centroids": "trained model, unaugmented images"})
    [text] = protocol([earlier, today])
    assert "centroids: trained model, unaugmented images; backbone" in text


def test_all_machines_and_all_code_are_named(make_record: MakeRecord) -> None:
    commit = {"id": "0123456789abcdef", "changed": True}
    machine = make_record()["machine"] | {"cores": 64, "accelerator": "H100"}
    text = provenance([make_record(), make_record(commit=commit, machine=machine)])
    assert "picie 0.2.0 (installed package / commit 0123456789 with changes)" in text
    assert "x86_64, 2 cores, 1 threads / Linux x86_64, 64 cores, 1 threads, H100" in text
    assert "torch 2.14.1, Python 3.12.1" in text
    assert code_of(make_record(commit=commit | {"changed": False})) == "commit 0123456789"


def test_before_the_first_run() -> None:
    assert protocol([]) == ("No run has finished yet.",)
    assert provenance([]) == "No run has finished yet."
