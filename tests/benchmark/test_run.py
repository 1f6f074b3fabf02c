"""A benchmark from start to end: what is done once, goes on, fails, or must be done again."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import picie
from picie.benchmark.records import State
from picie.benchmark.run import Benchmark, open_benchmark
from picie.cli.app import main
from picie.errors import ConfigError, DataError
from picie.runs import Run
from picie.runtime.locks import locked
from picie.runtime.progress import Reporter
from picie.training.trainer import Trainer

WriteSuite = Callable[..., Path]
QUIET = Reporter(quiet=True)


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of the results, to be changed."""
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing was to be trained")

    for name in ("train", "resume"):
        monkeypatch.setattr(f"picie.benchmark.run.{name}", never)


def record(bench: Benchmark, number: int = 0) -> dict[str, Any]:
    values = json.loads(bench.jobs[number].record_path.read_text())
    assert isinstance(values, dict)
    return values


def states(bench: Benchmark) -> list[State]:
    return [bench.status(job).state for job in bench.jobs]


def test_the_scores_are_those_of_evaluate(
    write_suite: WriteSuite, finished: Path, scenes: Path
) -> None:
    bench = open_benchmark(write_suite(), finished)
    assert states(bench) == [State.DONE] * 4
    for number, job in enumerate(bench.jobs):
        found = picie.evaluate(job.folder, scenes, split="val", size=32).to_json()
        assert record(bench, number)["scores"] == json.loads(json.dumps(found))
    text = (finished / "table.md").read_text()
    assert "| default | 2 |" in text
    assert "| — the same, view 2 | 2 |" in text
    assert "<polyline" in (finished / "table.html").read_text()
    assert not (finished / "failures.json").exists()


@pytest.mark.usefixtures("no_training")
def test_what_is_done_is_left_alone_and_the_tables_are_written_anew(
    write_suite: WriteSuite, out: Path
) -> None:
    before = (out / "table.md").read_text(), (out / "table.html").read_text()
    for name in ("table.md", "table.html"):
        (out / name).unlink()
    assert open_benchmark(write_suite(), out).run(QUIET) == []
    assert ((out / "table.md").read_text(), (out / "table.html").read_text()) == before


@pytest.mark.usefixtures("no_training")
def test_a_run_that_was_killed_before_its_record_is_only_scored(
    write_suite: WriteSuite, out: Path
) -> None:
    bench = open_benchmark(write_suite(), out)
    before = record(bench)
    bench.jobs[0].record_path.unlink()
    assert bench.run(QUIET) == []
    assert record(bench)["scores"] == before["scores"]
    assert record(bench)["seconds"]["train"] == before["seconds"]["train"]


def test_an_interrupted_run_goes_on_with_the_result_of_an_unbroken_one(
    write_suite: WriteSuite, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Trainer.finish

    def interrupted(self: Trainer, targets: Any, totals: Any, epoch: int) -> None:
        finish(self, targets, totals, epoch)
        raise KeyboardInterrupt

    suite, only = write_suite(), "reference*seed0"
    bench = open_benchmark(suite, tmp_path / "new", only=only)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.run(QUIET)
    assert [bench.status(job).state for job in bench.chosen] == [State.STARTED]
    assert (tmp_path / "new" / "table.md").is_file()
    bench = open_benchmark(suite, tmp_path / "new", only=only)
    assert bench.run(QUIET) == []
    resumed, unbroken = record(bench, 1), record(open_benchmark(suite, finished), 1)
    assert resumed["scores"] == unbroken["scores"]
    assert [one["loss"] for one in resumed["curves"]] == [one["loss"] for one in unbroken["curves"]]
    assert resumed["seconds"]["resumed"] is True
    assert resumed["seconds"]["train"] > sum(resumed["curves"][0]["seconds"].values())
    assert states(bench) == [State.WAITING, State.DONE, State.WAITING, State.WAITING]


def test_a_failure_does_not_stop_the_others_and_is_tried_again(
    write_suite: WriteSuite, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = open_benchmark(write_suite(), out)
    for job in bench.jobs[:2]:
        job.record_path.unlink()
        shutil.rmtree(job.folder)
    train = picie.train

    def failing(*args: Any, **kwargs: Any) -> Any:
        if kwargs["config"].overclusters:
            raise RuntimeError("out of memory")
        return train(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("picie.benchmark.run.train", failing)
        [failure] = bench.run(QUIET)
    assert (failure["slug"], failure["error"]) == (bench.jobs[0].slug, "RuntimeError")
    assert "in failing" in failure["traceback"]
    assert json.loads((out / "failures.json").read_text()) == [failure]
    assert (
        f"Failed: {failure['slug']}: RuntimeError: out of memory" in (out / "table.md").read_text()
    )
    assert states(bench) == [State.WAITING, State.DONE, State.DONE, State.DONE]
    other = open_benchmark(write_suite(), out, only="seed1")
    assert other.run(QUIET) == []
    assert (out / "failures.json").exists()  # its run is still not done
    assert open_benchmark(write_suite(), out).run(QUIET) == []
    assert not (out / "failures.json").exists()
    (out / "failures.json").write_text('["mine"]')
    with pytest.raises(ConfigError, match=r"failures\.json: already exists and was not written"):
        open_benchmark(write_suite(), out).run(QUIET)
    assert (out / "failures.json").read_text() == '["mine"]'
    assert "Failed" not in (out / "table.md").read_text()


def test_changed_systems_are_refused_then_done_again(
    write_suite: WriteSuite, out: Path, values: dict[str, Any]
) -> None:
    first, second = values["systems"]
    bench = open_benchmark(write_suite(systems=[first | {"epochs": 1}, second]), out)
    with pytest.raises(
        ConfigError,
        match=r"out: 2 of 4 runs no longer match the suite; scenes--default.*"
        r"\(?epochs = 2, now 1.* Repeat them with --overwrite, or choose another --out",
    ):
        bench.run(QUIET)
    kept = record(bench, 1)
    assert bench.run(QUIET, overwrite=True) == []
    assert states(bench) == [State.DONE] * 4
    assert len(record(bench)["curves"]) == 1
    assert record(bench, 1) == kept


@pytest.mark.usefixtures("no_training")
def test_another_protocol_is_scored_without_training(write_suite: WriteSuite, out: Path) -> None:
    bench = open_benchmark(write_suite(evaluate={"size": 64, "match": "majority"}), out)
    with pytest.raises(ConfigError, match=r"4 of 4 .*\[evaluate\] size = 32, now 64; \[evaluate\]"):
        bench.run(QUIET)
    assert bench.run(QUIET, overwrite=True) == []
    assert record(bench)["scores"]["protocol"]["size"] == 64
    assert "short side 64 px; crop center; matching majority" in (out / "table.md").read_text()


def test_other_images_are_noticed(
    write_suite: WriteSuite, out: Path, scenes: Path, tmp_path: Path
) -> None:
    shutil.copytree(scenes, tmp_path / "root" / "scenes")
    suite = write_suite(data=[{"name": "scenes"}])
    assert states(open_benchmark(suite, out, root=tmp_path / "root")) == [State.DONE] * 4
    with (tmp_path / "root" / "scenes" / "masks" / "scene_0008.png").open("ab") as file:
        file.write(b"0")
    bench = open_benchmark(suite, out, root=tmp_path / "root")
    with pytest.raises(ConfigError, match="data: the images of eval have changed"):
        bench.run(QUIET)


def test_a_new_name_with_the_same_letters_is_no_change(write_suite: WriteSuite, out: Path) -> None:
    systems = [{"name": "default", "overclusters": 8}]
    systems += [{"name": "the, reference!", "preset": "reference"}]
    bench = open_benchmark(write_suite(systems=systems), out)
    assert bench.run(QUIET) == []
    assert "| the, reference! | 2 |" in (out / "table.md").read_text()


def test_missing_data(write_suite: WriteSuite, out: Path, values: dict[str, Any]) -> None:
    data = [{"name": "absent", "path": "sets/absent"}, *values["data"]]
    bench = open_benchmark(write_suite(data=data), out, root="/nowhere")
    assert states(bench) == [State.ABSENT] * 4 + [State.DONE] * 4
    with pytest.raises(
        DataError,
        match=r"data 'absent': expected at /nowhere/sets/absent, which does not exist; give the .*"
        r" --data ROOT, or skip the data set with --skip-missing",
    ):
        bench.run(QUIET)
    reporter = Reporter()
    reporter.console = Console(file=io.StringIO())
    assert bench.run(reporter, skip_missing=True) == []
    file = reporter.console.file
    assert isinstance(file, io.StringIO)
    assert "skipped: data 'absent': expected at /nowhere/sets/absent" in file.getvalue()
    assert "4 runs, 4 of them done" in file.getvalue()
    assert "| default | 0 of 2 |" in (out / "table.md").read_text()
    bench = open_benchmark(write_suite(data=data[:1]), out, root="/nowhere")
    with pytest.raises(DataError, match="none of its data sets exists; give --data ROOT"):
        bench.run(QUIET, skip_missing=True)


def test_a_folder_without_labels_is_refused_before_anything_runs(
    write_suite: WriteSuite, scenes: Path, tmp_path: Path
) -> None:
    shutil.copytree(scenes, tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / "masks")
    suite = write_suite(data=[{"name": "bare", "path": str(tmp_path / "bare")}])
    with pytest.raises(DataError, match="bare: labels are needed"):
        open_benchmark(suite, tmp_path / "new").run(QUIET)
    assert not (tmp_path / "new").exists()


def test_fresh_centroids_and_drawn_scenes(
    write_suite: WriteSuite, tmp_path: Path, values: dict[str, Any]
) -> None:
    scenes = {"train": 4, "val": 2, "size": [48, 64]}
    suite = write_suite(
        data=[{"name": "drawn", "synthetic": scenes}],
        systems=values["systems"][:1],
        evaluate={"size": 32, "fresh_clusters": 2},
    )
    bench = open_benchmark(suite, tmp_path / "new", only="seed0")
    assert bench.run(QUIET) == []
    assert len(record(bench)["scores"]["fresh"]["runs"]) == 2
    text = (tmp_path / "new" / "table.md").read_text()
    assert "| system | seeds | accuracy | mIoU | fresh accuracy | fresh mIoU | minutes |" in text
    assert "| default | 1 of 2 |" in text
    assert "Trained on train (4 images) without labels, scored on val (2 images)" in text


def test_a_summary_probes_the_floor_once(
    write_suite: WriteSuite, out: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (out / "table.md").read_text()
    scenes = values["data"][0]
    others = {"name": "others", "train": "!scene_0002*", "eval": "scene_0002*+val"}
    data = [scenes, scenes | others]
    suite = write_suite(summary={"floor": "default"}, data=data)
    bench = open_benchmark(suite, out, only="scenes--")
    with monkeypatch.context() as patch:
        patch.setattr("picie.benchmark.run.train", None)  # what was trained is only scored
        assert bench.status(bench.jobs[0]).state is State.TRAINED
        assert bench.run(QUIET) == []
    assert record(bench)["probe"]["images"] == 6
    assert ["probe" in record(bench, number) for number in range(4)] == [True, False, False, False]
    assert open_benchmark(suite, out, only="others--default*seed0").run(QUIET) == []
    other = next(job for job in bench.jobs if job.data.name == "others")
    assert Run.open(other.folder).config.split == "!scene_0002*"
    with monkeypatch.context() as patch:
        patch.setattr("picie.benchmark.run.probe_features", None)
        assert open_benchmark(suite, out, only="default*seed0").run(QUIET) == []
    text = (out / "table.md").read_text()
    assert "Trained on !scene_0002* (8 images) without labels, scored on scene_0002*+val" in text
    assert text.index("## others") < text.index("## All data sets") < text.index("## Systems")
    # without the summary, the tables are those of before
    assert open_benchmark(write_suite(), out).run(QUIET) == []
    assert (out / "table.md").read_text() == before


@pytest.mark.usefixtures("no_training")
def test_one_process_at_a_time_works_on_the_results(
    write_suite: WriteSuite, out: Path, failure: Callable[..., tuple[int, str]]
) -> None:
    suite = write_suite()
    (out / "records" / ".part-0.json").write_text("half")
    (out / "records" / next((out / "records").glob("*.json")).name).unlink()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with locked(out, "picie bench", inside=True):
        code, text = failure("bench", suite, "--out", out, "--quiet")
        main(["bench", str(suite), "--out", str(out), "--list"])
    assert code == 1
    assert "out: is in use by picie bench (process " in text
    assert {path: path.read_bytes() for path in before} == before
