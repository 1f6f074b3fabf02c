"""Jobs: one at a time, with progress, and cancelled without a trace."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from picie.errors import ConfigError, DataError, PicieError
from picie.runtime.files import PART
from picie.studio import jobs as module
from picie.studio.jobs import Job, Jobs, free_name, settle, shown, staged

Program = Callable[[str], str]


class Told(list[dict[str, Any]]):
    """What was told of jobs."""

    def states(self, number: str) -> list[str]:
        found = [job["state"] for job in self if job["id"] == number]
        return [one for one, before in zip(found, [None, *found], strict=False) if one != before]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def jobs(told: Told) -> Iterator[Jobs]:
    made = Jobs(told.append)
    yield made
    made.stop()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Writes a module that a job can run, and gives its name."""

    def write(text: str) -> str:
        (tmp_path / "acting.py").write_text(f"import os, signal, sys, time\n{text}")
        return "acting"

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return write


def wait_for(event: threading.Event) -> None:
    event.wait(10)


def over(job: Job, seconds: float = 30) -> Job:
    until = time.monotonic() + seconds
    while not job.over:
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.01)
    time.sleep(0.02)  # until it was told
    return job


def test_a_command_shows_its_progress(jobs: Jobs, told: Told, program: Program) -> None:
    name = program(
        "for i in range(1, 4):\n"
        "    sys.stderr.write(f'reading: {i}/3 loss 1.5 ({3 - i} s left)\\n')\n"
        "    time.sleep(0.05)\n"
        "print('all is well', os.environ['PICIE_PROGRESS_SECONDS'])\n"
    )
    job = over(jobs.add("export", "coco", lambda job: job.call(["a b"], module=name)))
    assert (job.state, job.done, job.total) == ("done", 3, 3)
    assert job.message == "all is well 0.3"
    assert {(one["done"], one["total"]) for one in told} >= {(1, 3), (2, 3), (3, 3)}
    assert told.states(job.id) == ["waiting", "running", "done"]


def test_parts_of_a_whole(jobs: Jobs, program: Program) -> None:
    name = program("sys.stderr.write('reading: 1/2  (9 s left)\\n')")

    def work(job: Job) -> None:
        job.call([], module=name, progress=lambda label, done, total: (50 * done, 50 * total))

    job = over(jobs.add("report", "report", work))
    assert (job.done, job.total) == (50, 100)


def test_the_error_is_that_of_the_command(jobs: Jobs) -> None:
    job = over(jobs.add("teach", "teach", lambda job: job.call(["info", "/no/such/run"])))
    assert job.state == "failed"
    assert job.message.startswith("/no/such/run: no such folder")


def test_a_command_that_dies_without_a_word(jobs: Jobs, program: Program) -> None:
    name = program("print('so far'); sys.stdout.flush(); os._exit(3)")
    job = over(jobs.add("teach", "teach", lambda job: job.call([], module=name)))
    assert (job.state, job.message) == ("failed", "it ended with code 3: so far")


def test_errors_of_functions(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(job: Job) -> None:
        raise DataError("no photo was accepted")

    def break_down(job: Job) -> None:
        raise ValueError("oh")

    first, second = jobs.add("labelled", "a", refuse), jobs.add("labelled", "b", break_down)
    assert (over(first).state, first.message) == ("failed", "no photo was accepted")
    assert (over(second).state, second.message) == ("failed", "unexpected ValueError: oh")
    assert "b failed" in caplog.text


def test_jobs_run_one_at_a_time_in_their_order(jobs: Jobs) -> None:
    order: list[str] = []

    def work(job: Job) -> None:
        order.append(f"begin {job.id}")
        time.sleep(0.02)
        order.append(f"end {job.id}")

    for job in [jobs.add("report", "report", work) for _ in range(4)]:
        over(job)
    assert order == [f"{what} {number}" for number in "1234" for what in ("begin", "end")]
    assert [job["id"] for job in jobs.all] == ["1", "2", "3", "4"]
    assert jobs.get("3") is not None
    assert jobs.get("9") is None


@pytest.mark.parametrize("deaf", [False, True])
def test_a_command_is_cancelled(
    jobs: Jobs, program: Program, deaf: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    name = program(
        f"signal.signal(signal.SIGTERM, signal.SIG_IGN) if {deaf} else None\n"
        "print('pid', os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )

    def work(job: Job) -> None:
        with staged(tmp_path / "exports") as stage:
            (stage / "half").write_text("half")
            job.call([], module=name)

    job = jobs.add("export", "png", work)
    until = time.monotonic() + 20
    while not job.message.startswith("pid") and time.monotonic() < until:
        time.sleep(0.01)
    number = int(job.message.split()[1])
    began = time.monotonic()
    jobs.cancel(job.id)
    assert over(job).state == "cancelled"
    assert time.monotonic() - began < 5
    assert job.message == ""
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert list((tmp_path / "exports").iterdir()) == []
    jobs.cancel(job.id)  # once more does nothing
    assert job.state == "cancelled"


def test_a_function_is_cancelled_at_its_next_step(jobs: Jobs) -> None:
    begun = threading.Event()

    def work(job: Job) -> None:
        for number in range(10_000):
            begun.set()
            job.advance(number, 10_000, f"photo {number}")
            time.sleep(0.005)

    job = jobs.add("labelled", "labelled set", work)
    begun.wait(10)
    jobs.cancel(job.id)
    assert over(job, 5).state == "cancelled"
    assert job.done < 10_000


def test_a_job_that_waits_is_cancelled_at_once(jobs: Jobs) -> None:
    go = threading.Event()
    first = jobs.add("report", "first", lambda job: wait_for(go))
    second = jobs.add("report", "second", lambda job: None)
    assert jobs.busy("report")
    assert not jobs.busy("train")
    jobs.cancel(second.id)
    assert second.state == "cancelled"
    go.set()
    assert over(first).state == "done"
    assert not jobs.busy("report")


def test_the_end_cancels_everything(told: Told) -> None:
    jobs = Jobs(told.append)

    def work(job: Job) -> None:
        while True:
            job.check()
            time.sleep(0.01)

    both = [jobs.add("report", "report", work) for _ in range(2)]
    jobs.stop()
    assert [job.state for job in both] == ["cancelled", "cancelled"]
    with pytest.raises(ConfigError, match="too many jobs"):
        jobs.add("report", "late", work)


def test_there_is_a_limit_to_what_waits(jobs: Jobs) -> None:
    go = threading.Event()
    first = jobs.add("report", "report", lambda job: wait_for(go))
    while first.state == "waiting":
        time.sleep(0.01)
    for _ in range(20):
        jobs.add("report", "report", lambda job: None)
    with pytest.raises(ConfigError, match="too many jobs wait"):
        jobs.add("report", "report", lambda job: None)
    go.set()


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_command_ends_with_the_server_that_is_killed(program: Program, tmp_path: Path) -> None:
    name = program(
        "import signal\n"
        "def end(*_):\n"
        f"    open({str(tmp_path / 'cleaned')!r}, 'w').close()\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('pid', os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    server = (
        "from picie.studio.jobs import _start\n"
        f"process = _start([{name!r}])\n"
        "print(process.stdout.readline().decode(), flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline().split()[1])
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while not (tmp_path / "cleaned").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert (tmp_path / "cleaned").exists(), number


def test_results_get_a_free_name(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    found = []
    for number in range(3):
        with staged(exports) as stage:
            (stage / "coco").mkdir()
            (stage / "coco" / "a.json").write_text(str(number))
            (stage / "more").write_text("left over")
            found.append(settle(stage / "coco", exports))
    assert [path.name for path in found] == ["coco", "coco-2", "coco-3"]
    assert [(path / "a.json").read_text() for path in found] == ["0", "1", "2"]
    assert sorted(path.name for path in exports.iterdir()) == ["coco", "coco-2", "coco-3"]
    (exports / "x").symlink_to(tmp_path / "nowhere")
    assert free_name(exports / "x").name == "x-2"
    assert free_name(exports / "a.html").name == "a.html"


def test_what_a_killed_server_left_is_removed_a_day_later(tmp_path: Path) -> None:
    old, new, other = (tmp_path / f"{PART}{name}" for name in ("job-1", "job-2", "else"))
    for path in (old, new, other):
        path.mkdir()
        os.utime(path, (0, 0))
    os.utime(new)
    with staged(tmp_path):
        assert not old.exists()
        assert new.exists()
        assert other.exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PicieError, match="cannot be written"), staged(tmp_path / "file" / "x"):
        pass


def test_a_command_is_shown_as_it_is_typed() -> None:
    assert shown(["teach", "my run", "--images", "p"]) == "picie teach 'my run' --images p"
