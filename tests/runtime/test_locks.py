"""One process at a time; the others learn who it is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from picie.errors import PicieError
from picie.runtime.locks import locked

_HOLD = (
    "import sys, time, pathlib, picie.runtime.locks as locks\n"
    "with locks.locked(pathlib.Path(sys.argv[1]), 'picie train'):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.readline()\n"
)


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_learns_who_has_the_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("run")
    with held_elsewhere(tmp_path / "run") as process:
        for path in (tmp_path / "run", tmp_path / "link"):
            with (
                pytest.raises(PicieError, match=rf"picie train \(process {process.pid} on .+; "),
                locked(path, "picie name"),
            ):
                raise AssertionError


def test_a_second_process_waits_if_asked(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path / "run") as process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        with locked(tmp_path / "run", "picie name", wait=30):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path / "run") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with locked(tmp_path / "run", "picie name", wait=5):
            pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_within_the_block_releases_it(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path / "run", "picie name"):
            raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(PicieError, match="cannot be written"),
        locked(tmp_path / "file" / "run", "picie name"),
    ):
        raise AssertionError


def test_a_lock_inside_needs_the_folder_only(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    with locked(run, "picie train", inside=True):
        assert [path.name for path in run.iterdir()] == [".picie-lock-first"]
        with locked(run / "names", "picie name"):  # another lock in the same folder
            assert len(list(run.iterdir())) == 2
        with (
            pytest.raises(PicieError, match=rf"picie train \(process {os.getpid()} on "),
            locked(run, "picie train", inside=True),
        ):
            raise AssertionError
    assert list(run.iterdir()) == []
    assert list(run.parent.iterdir()) == [run]


@pytest.mark.parametrize("inside", [False, True])
def test_a_planted_link_is_not_followed(tmp_path: Path, inside: bool) -> None:
    other = tmp_path / "other.txt"
    other.write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    ((run if inside else tmp_path) / ".picie-lock-run").symlink_to(other)
    with (
        pytest.raises(PicieError, match="cannot be written"),
        locked(run, "picie train", inside=inside),
    ):
        raise AssertionError
    assert other.read_text() == "mine"


def test_a_holder_that_has_not_said_who_it_is_is_another_process(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path / "run"):
        for text in ("", "[]", '{"process": "x"}'):
            (tmp_path / ".picie-lock-run").write_text(text)
            with (
                pytest.raises(PicieError, match="is in use by another process; wait"),
                locked(tmp_path / "run", "picie name"),
            ):
                raise AssertionError


def test_ctrl_c_at_the_very_end_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught, locked(tmp_path / "run", "first"):
            pass
    assert caught.tb  # holds the frames, and so the lock, as an interactive session does
    with locked(tmp_path / "run", "second"):
        pass
