"""How far a run is, from what it left behind."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.benchmark.plan import Job, describe_images, plan
from picie.benchmark.records import JobStatus, State, find_standing, read_note, write_json
from picie.benchmark.suite import read_suite

WriteSuite = Callable[..., Path]


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
