"""Records: what they hold, and when they no longer say what the suite asks for."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import picie
from picie.benchmark.plan import Job, describe_images, plan
from picie.benchmark.records import (
    FORMAT,
    JobStatus,
    State,
    differences,
    find_standing,
    read_note,
    read_record,
    surroundings,
    write_json,
)
from picie.benchmark.suite import read_suite
from picie.config import make_config
from picie.errors import ModelError
from picie.runs import Run

WriteSuite = Callable[..., Path]


def jobs_of(suite: Path, out: Path) -> list[Job]:
    return plan(read_suite(suite), root=Path(), out=out)


def test_a_record_holds_what_a_reader_may_ask(write_suite: WriteSuite, finished: Path) -> None:
    job = jobs_of(write_suite(), finished)[1]
    record = read_record(job.record_path)
    assert record is not None
    assert (record["system"], record["preset"], record["seed"]) == ("the reference", "reference", 0)
    assert record["config"] == job.config.model_dump(mode="json")
    assert record["scores"]["protocol"]["size"] == 32
    assert len(record["curves"]) == 2
    assert {"loss", "miou", "effective_clusters"} <= set(record["curves"][0])
    assert record["seconds"]["train"] > 0
    assert record["seconds"]["evaluate"] > 0
    assert {"cluster", "train"} <= set(record["seconds"]["parts"])
    assert record["seconds"]["resumed"] is False
    assert record["versions"]["picie"] == picie.__version__
    assert {"python", "torch", "torchvision", "timm", "numpy"} <= set(record["versions"])
    assert record["machine"]["threads"] == 1
    assert record["data"]["pictures"]["train"]["images"] == 6
    assert record["finished"].endswith("+00:00")


def test_the_commit_of_a_checkout() -> None:
    root = Path(picie.__file__).parents[2]
    commit = surroundings()["commit"]
    if not (root / ".git").exists():
        assert commit is None
        return
    args = ["git", "-C", str(root), "rev-parse", "HEAD"]
    head = subprocess.run(args, capture_output=True, text=True, check=True).stdout.strip()
    assert commit["id"] == head
    assert isinstance(commit["changed"], bool)


def test_health_is_taken_from_the_run_folder(tmp_path: Path) -> None:
    run = Run(tmp_path, make_config(), "0.0")
    path = tmp_path / "health.json"
    assert (run.health() or None) is None
    path.write_text('{"entropy": 1.5}')
    assert run.health() == {"entropy": 1.5}
    path.write_text("[")
    assert (run.health() or None) is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"title": "Another title"}, []),
        ({"evaluate": {"size": 64}}, ["[evaluate] size = 32, now 64"]),
        ({"evaluate": {"size": 32, "crop": "none"}}, ['[evaluate] crop = null, now "none"']),
    ],
)
def test_differences_from_the_suite(
    write_suite: WriteSuite, finished: Path, changes: dict[str, Any], found: list[str]
) -> None:
    suite = write_suite(**changes)
    job, evaluate = jobs_of(suite, finished)[0], read_suite(suite).evaluate
    record = read_record(job.record_path)
    assert record is not None
    images = describe_images(job)
    assert differences(record, job, images=images, evaluate=evaluate) == found


def test_differences_in_settings_and_images(
    write_suite: WriteSuite, finished: Path, values: dict[str, Any]
) -> None:
    defaults = values["defaults"] | {"epochs": 3, "workers": 1}
    [data] = values["data"]
    suite = write_suite(defaults=defaults, data=[data | {"eval": ""}])
    job = jobs_of(suite, finished)[0]
    record = read_record(job.record_path)
    assert record is not None
    images = describe_images(job)
    found = differences(record, job, images=images, evaluate={"size": 32})
    assert found == [
        "epochs = 2, now 3",  # and not the machine's workers
        'data eval = "val", now ""',
        "data: the images of eval have changed",
    ]
    assert differences(record, job, images=None, evaluate={"size": 32}) == found[:2]


def test_a_setting_that_is_newer_than_the_record_had_its_default(
    write_suite: WriteSuite, finished: Path
) -> None:
    job = jobs_of(write_suite(), finished)[0]
    record = read_record(job.record_path)
    assert record is not None
    del record["config"]["compile"]
    assert differences(record, job, images=None, evaluate={"size": 32}) == []
    record["config"]["long_gone"] = 1
    [found] = differences(record, job, images=None, evaluate={"size": 32})
    assert "unknown setting 'long_gone'" in found


def test_records_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_record(path) is None
    for content in ("{", "[]", "{}"):
        path.write_text(content)
        with pytest.raises(ModelError, match=r"a\.json: is not a record of a run .*; remove it"):
            read_record(path)
    path.write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(ModelError, match=r"written by a newer picie .*; upgrade picie"):
        read_record(path)


def test_what_json_does_not_know_becomes_null(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"loss": float("nan"), "b": [float("inf"), 1.5]})
    text = (tmp_path / "new" / "a.json").read_text()
    assert json.loads(text) == {"loss": None, "b": [None, 1.5]}


# --- how far a run is, from what it left behind


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def job_of(suite: Path, out: Path) -> Job:
    return plan(read_suite(suite), root=Path(), out=out)[0]


def status(job: Job, evaluate: dict[str, Any] | None = None) -> JobStatus:
    return find_standing(job, images=describe_images(job), evaluate=evaluate or {"size": 32})


def test_from_the_end_to_the_beginning(write_suite: WriteSuite, out: Path) -> None:
    job = job_of(write_suite(), out)
    assert status(job) == JobStatus(State.DONE, State.DONE)
    job.record_path.unlink()
    assert status(job) == JobStatus(State.TRAINED, State.TRAINED)
    (job.folder / "config.json").unlink()
    assert status(job) == JobStatus(State.STARTED, State.STARTED)
    (job.folder / "config.toml").unlink()  # killed between the first two files
    assert status(job) == JobStatus(State.WAITING, State.WAITING)
    shutil.rmtree(job.folder)
    assert status(job) == JobStatus(State.WAITING, State.WAITING)


def test_another_protocol_needs_no_training(write_suite: WriteSuite, out: Path) -> None:
    found = status(job_of(write_suite(), out), {"size": 64})
    assert found == JobStatus(State.CHANGED, State.TRAINED, ("[evaluate] size = 32, now 64",))


def test_other_settings_need_training(
    write_suite: WriteSuite, out: Path, values: dict[str, Any]
) -> None:
    job = job_of(write_suite(defaults=values["defaults"] | {"epochs": 3}), out)
    expected = JobStatus(State.CHANGED, State.WAITING, ("epochs = 2, now 3",))
    assert status(job) == expected
    job.record_path.unlink()
    assert status(job) == expected


def test_a_run_that_was_begun_with_other_images(write_suite: WriteSuite, out: Path) -> None:
    job = job_of(write_suite(), out)
    job.record_path.unlink()
    write_json(job.note_path, {"pictures": {"train": {"images": 5}}})
    expected = ("data: the images have changed",)
    assert status(job) == JobStatus(State.CHANGED, State.WAITING, expected)


def test_training_cannot_go_on_with_images_elsewhere(
    write_suite: WriteSuite, out: Path, scenes: Path, tmp_path: Path
) -> None:
    shutil.copytree(scenes, tmp_path / "moved")
    data = [{"name": "scenes", "path": str(tmp_path / "moved")}]
    job = job_of(write_suite(data=data), out)
    assert status(job).state is State.DONE
    job.record_path.unlink()
    assert status(job).state is State.TRAINED
    (job.folder / "config.json").unlink()
    assert status(job).state is State.CHANGED
    assert str(tmp_path / "moved") in status(job).changes[0]


def test_a_run_folder_in_disorder(write_suite: WriteSuite, out: Path) -> None:
    job = job_of(write_suite(), out)
    job.record_path.unlink()
    (job.folder / "config.toml").write_text("clusters =")
    found = status(job)
    assert (found.state, found.todo) == (State.CHANGED, State.WAITING)
    assert "is not valid TOML" in found.changes[0]


def test_notes_that_cannot_be_read_say_nothing(write_suite: WriteSuite, out: Path) -> None:
    job = job_of(write_suite(), out)
    assert set(read_note(job)) == {"pictures", "seconds"}
    for content in ("{", "[]"):
        job.note_path.write_text(content)
        assert read_note(job) == {}
    job.note_path.unlink()
    assert read_note(job) == {}
