"""Addresses of jobs; what can be ordered is tested with the orders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.errors import DataError
from picie.studio.jobs import Job


@pytest.fixture(scope="module")
def served(
    serving: Callable[..., Any], twelve_photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    made = serving(twelve_photos, tmp_path_factory.mktemp("runs") / "run")
    made.wait_for_phase("setup")
    return made


def ended(served: Any, work: Callable[[Job], None]) -> Any:
    job = served.studio.jobs.add("report", "report", work)
    served.wait(lambda: job.over)
    return served.ask(f"/api/jobs/{job.id}").json


def test_a_job_is_shown_with_its_last_lines(served: Any) -> None:
    shown = ended(served, lambda job: job.lines.extend(["one", "two"]))
    assert (shown["state"], shown["lines"]) == ("done", ["one", "two"])
    assert shown["seconds"] >= 0
    assert served.ask("/api/jobs").json[-1]["id"] == shown["id"]


def test_a_job_that_failed_says_why(served: Any) -> None:
    def fail(job: Job) -> None:
        raise DataError("a.jpg is damaged; replace it")

    assert ended(served, fail)["message"] == "a.jpg is damaged; replace it"


def test_files_are_those_of_the_job_only(served: Any, tmp_path: Path) -> None:
    def work(job: Job) -> None:
        job.out = tmp_path
        job.file = tmp_path / "größe.html"

    number = ended(served, work)["id"]
    assert served.ask(f"/api/jobs/{number}/file").status == 404  # it is gone
    (tmp_path / "größe.html").write_text("<script>alert(1)</script>")
    answer = served.ask(f"/api/jobs/{number}/file")
    assert answer.headers["content-disposition"].startswith("attachment; filename*=utf-8''gr")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert served.ask(f"/api/jobs/{ended(served, lambda job: None)['id']}/file").status == 404


@pytest.mark.parametrize("path", ["/api/jobs/999", "/api/jobs/999/file", "/api/jobs/x"])
def test_a_job_that_is_not_there(served: Any, path: str) -> None:
    assert served.ask(path).json == {"error": "there is no such job any more"}


def test_cancelling_what_is_over_changes_nothing(served: Any) -> None:
    number = ended(served, lambda job: None)["id"]
    assert served.post(f"/api/jobs/{number}/cancel", {}).json["state"] == "done"
    assert served.post("/api/jobs/999/cancel", {}).status == 404
