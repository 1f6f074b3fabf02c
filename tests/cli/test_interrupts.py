"""Ctrl-C and SIGTERM: how each verb ends, what it says, and what it leaves behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from picie.cli.app import main
from picie.cli.interrupts import Stopped, stoppable, stopped_text
from picie.cli.parsing import VERBS

Failure = Callable[..., tuple[int, str]]
Flags = Callable[[str], list[str]]

SAID = {
    "train": "stopped; training had not begun; run the same command again",
    "predict": "stopped; finished masks are kept; run the same command again to write the others",
    "serve": "stopped; what Label Studio sent is saved; run the same command again to go on",
    "studio": "stopped; everything you did is saved; run the same command again to go on",
    "name": "stopped; names change completely or not at all; see them with picie name RUN",
    "queue": "stopped; nothing was changed",
    "teach": "stopped; the taught model is written at the end; run the same command again",
    "audit": "stopped; answers are kept; run the same command again to go on",
    "evaluate": "stopped; scores are written at the end; run the same command again",
    "report": "stopped; the page is written at the end; run the same command again",
    "export": "stopped; an export appears whole or not at all; run the same command again to go on",
    "measure": "stopped; the table is written at the end; run the same command again to go on",
    "completion": "stopped; nothing was changed",
    "bench": "stopped; finished runs are kept; run the same command again to go on",
    "demo": "stopped; run the same command again with --overwrite",
    "info": "stopped; nothing was changed",
}


@pytest.mark.parametrize(
    ("number", "how", "code"),
    [
        (None, "stopped", 130),
        (signal.SIGINT, "stopped", 130),
        (signal.SIGTERM, "stopped by SIGTERM", 143),
        (signal.SIGHUP, "stopped by SIGHUP", 129),
    ],
)
@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_says_how_to_go_on(
    verb: str,
    number: signal.Signals | None,
    how: str,
    code: int,
    failure: Failure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt if number is None else Stopped(number)

    monkeypatch.setitem(VERBS, verb, stop)
    found, text = failure(verb, "run")
    assert (found, text.partition("error: ")[2]) == (
        code,
        SAID[verb].replace("stopped", how) + "\n",
    )


def test_what_was_stopped_may_know_better() -> None:
    error = Stopped(signal.SIGTERM)
    error.add_note("2 of 3 epochs are kept")
    assert stopped_text("train", error) == ("stopped by SIGTERM; 2 of 3 epochs are kept", 143)
    assert stopped_text("bench", error)[0] == f"stopped by SIGTERM; {SAID['bench'][9:]}"
    assert stopped_text("", KeyboardInterrupt()) == ("stopped", 130)


def test_only_the_main_process_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise Stopped(signal.SIGTERM)

    monkeypatch.setitem(VERBS, "train", stop)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit) as caught:
        main(["train"])
    assert caught.value.code == 143
    assert capsys.readouterr().err == ""


def test_signals_are_as_before_after_a_verb() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_program_that_goes_on_after_a_signal_has_its_handlers_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="SIGTERM"), stoppable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_that_an_interrupt_has_caused_is_no_error_of_its_own() -> None:
    def interrupted_import() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RecursionError from None

    with pytest.raises(Stopped, match="SIGINT"), stoppable():
        interrupted_import()
    with pytest.raises(RecursionError), stoppable():
        raise RecursionError


def test_ignored_signals_and_other_threads_are_left_alone() -> None:
    seen = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            seen.append(signal.getsignal(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)

    def work() -> None:
        with stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_IGN, signal.SIG_DFL]


# --- real signals


@contextmanager
def started(*args: object, code: str = "") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, *(["-c", code] if code else ["-m", "picie", *map(str, args)])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "how", "code", "workers"),
    [(signal.SIGINT, "stopped", 130, 2), (signal.SIGTERM, "stopped by SIGTERM", 143, 0)],
)
def test_a_stopped_training_names_its_run_and_can_go_on(
    scenes: Path, flags: Flags, tmp_path: Path, number: int, how: str, code: int, workers: int
) -> None:
    run = tmp_path / "my run"
    args = ["train", scenes, f"--out={run}", *flags("reference"), "--epochs=1000"]
    with started(*args, f"--workers={workers}") as process:
        wait_for(run / "checkpoint" / "state.safetensors", process)
        process.send_signal(number)
        time.sleep(0.05)
        process.send_signal(number)  # an impatient user
        _, text = process.communicate(timeout=120)
    assert process.returncode == code
    assert text.count("\n") == 1
    head, _, command = text.partition("; go on with: ")
    assert head.startswith(f"picie: error: {how}; ") or f"error: {how}; " in head
    assert head.endswith(" of 1000 epochs are kept")
    assert command == f"picie train --resume '{run}'\n"
    hidden = [path for path in run.rglob("*") if path.name.startswith(".")]
    assert hidden == []
    config = run / "config.toml"
    done = int(head.rpartition(" of 1000")[0].rpartition(" ")[2])
    config.write_text(config.read_text().replace("epochs = 1000", f"epochs = {done + 1}"))
    main(["train", "--resume", str(run), "--quiet"])
    assert (run / "model.safetensors").exists()


def test_a_thread_that_waits_for_ever_does_not_keep_a_stopped_program() -> None:
    code = (
        "import sys, threading, time\n"
        "import picie.cli.interrupts as interrupts\n"
        "interrupts._PATIENCE = 1\n"
        "threading.Thread(target=time.sleep, args=[600]).start()\n"
        "with interrupts.stoppable(last=True):\n"
        "    print('ready', file=sys.stderr, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with started(code=code) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143


def test_a_second_signal_ends_what_does_not_end_by_itself() -> None:
    code = (
        "import time\n"
        "from picie.cli.interrupts import stoppable\n"
        "with stoppable():\n"
        "    try:\n"
        "        print('ready', file=__import__('sys').stderr, flush=True)\n"
        "        time.sleep(600)\n"
        "    finally:\n"
        "        time.sleep(600)\n"
    )
    with started(code=code) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == ""
