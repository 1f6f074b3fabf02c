import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from picie.runtime.progress import PLAIN_SECONDS, PlainConsole, Reporter


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fixed = Clock()
    monkeypatch.setattr("picie.runtime.progress.time.monotonic", fixed)
    return fixed


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_lines_come_every_twenty_seconds(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter().task("clustering", 10) as advance:
        advance(1)
        clock.now += 19
        advance(1, lambda: "too early")
        clock.now += 1
        advance(2, lambda: "loss 1.5")
        clock.now += 10
        advance(1, lambda: "too early")
        clock.now += 10
        advance(3)
    out, err = capsys.readouterr()
    assert out == ""  # standard output is for results
    assert err.splitlines() == [
        "clustering: 4/10 loss 1.5 (30 s left)",
        "clustering: 8/10  (10 s left)",
    ]


def test_what_an_earlier_call_did_says_nothing_about_the_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Reporter().task("masks", 100, finished=80) as advance:
        clock.now += 20
        advance(10)
        clock.now += 20
        advance(10)
    assert capsys.readouterr().err.splitlines() == [
        "masks: 90/100  (20 s left)",
        "masks: 100/100  (0 s left)",
    ]


@pytest.mark.parametrize(("value", "lines"), [("0.5", 2), ("0", 3), ("-1", 3), ("x", 0), ("", 0)])
def test_programs_that_read_lines_may_want_more(
    value: str,
    lines: int,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PLAIN_SECONDS, value)
    with Reporter().task("clustering", 3) as advance:
        for seconds in (0.1, 0.5, 0.6):
            clock.now += seconds
            advance(1)
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_quiet_reporter_writes_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(quiet=True)
    with reporter.task("clustering", 2) as advance:
        clock.now += 60
        advance(1, lambda: "note")
    reporter.say("done")
    assert capsys.readouterr() == ("", "")


def test_a_line_is_written_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = "saved to [bold]runs/a[/bold] " + "x" * 300
    Reporter().say(text)
    assert capsys.readouterr() == ("", text + "\n")


@pytest.mark.parametrize("fail", [False, True])
def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch, fail: bool) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("picie.runtime.progress._NOTE_SECONDS", 0.0)
    screen = io.StringIO()
    reporter = Reporter()
    reporter.console = Console(file=screen, force_terminal=True, width=120)
    try:
        with reporter.task("training", 7) as advance:
            advance(2, lambda: "first")
            advance(3, lambda: "loss 0.123")
            if fail:
                raise KeyError
    except KeyError:
        assert fail
    text = screen.getvalue()
    for part in ("training", "5/7", "loss 0.123"):
        assert part in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor came back


def test_a_quiet_reporter_draws_no_bar() -> None:
    screen = io.StringIO()
    reporter = Reporter(quiet=True)
    reporter.console = Console(file=screen, force_terminal=True, quiet=True)
    with reporter.task("training", 7) as advance:
        advance(7)
    assert screen.getvalue() == ""


def test_a_note_is_made_only_when_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    reporter, made = Reporter(), []
    reporter.console = Console(file=io.StringIO(), force_terminal=True, width=120)

    def note() -> str:
        made.append(1)
        return "loss"

    with reporter.task("training", 1000) as advance:
        for _ in range(1000):
            advance(1, note)
    assert 1 <= len(made) < 20
    with Reporter(quiet=True).task("training", 1) as advance:
        before = len(made)
        advance(1, note)
    assert len(made) == before


def test_a_long_list_is_cut_only_if_a_file_has_all_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [f"image {number}" for number in range(23)]
    Reporter().enumerate(names, rest="train.log")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  image 0"
    assert len(lines) == 21
    assert lines[-1] == "  ... and 3 more; train.log lists all"
    Reporter().enumerate(names)
    assert len(capsys.readouterr().err.splitlines()) == 23
    Reporter().enumerate(["one"], rest="train.log")
    assert capsys.readouterr().err == "  one\n"


def test_a_note_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    for notes in (("left out 1 .nef",), ("left out 1 .nef", "left out run/")):
        reporter.tell(notes)
    assert capsys.readouterr().err == "left out 1 .nef\nleft out run/\n"


HOSTILE = "a\x1b[31m\x9b\u202e\r\nb\udcff :cat: [bold]é 日本[/bold]"
ESCAPED = r"a\x1b[31m\x9b\u202e\r\nb\udcff :cat: [bold]é 日本[/bold]"


def test_names_from_outside_cannot_command_the_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter()
    reporter.say(HOSTILE)
    reporter.enumerate([HOSTILE])
    with reporter.task(HOSTILE, 2) as advance:
        clock.now += 20
        advance(1, lambda: HOSTILE)
    lines = capsys.readouterr().err.split("\n")
    assert lines == [
        ESCAPED,
        f"  {ESCAPED}",
        f"{ESCAPED}: 1/2 {ESCAPED} (20 s left)",
        "",
    ]


def test_a_bar_escapes_names_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("picie.runtime.progress._NOTE_SECONDS", 0.0)
    screen, reporter = io.StringIO(), Reporter()
    reporter.console = Console(file=screen, force_terminal=True, width=300)
    with reporter.task(HOSTILE, 7) as advance:
        advance(2, lambda: HOSTILE)
    text = screen.getvalue()
    assert text.count(ESCAPED) >= 2
    assert "\u202e" not in text
    assert "\x1b[31ma" not in text


def test_lines_and_tables_of_results_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    console = PlainConsole()
    console.print(HOSTILE)
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    console.print(table)
    out = capsys.readouterr().out
    assert out.count(ESCAPED) == 3
    assert all(line.isprintable() for line in out.split("\n"))


IN_A_NOTEBOOK = """
import sys, time
from picie.runtime.progress import Reporter
reporter = Reporter()
reporter.say("begin [b] <b>")
for label in ("clustering <i>", "epoch 1/1"):
    with reporter.task(label, 2000) as advance:
        for _ in range(2000):
            advance(1, lambda: "loss 0.5")
Reporter(quiet=True).say("silent")
assert "torch" not in sys.modules
"""


def test_a_notebook_gets_one_line_that_changes() -> None:
    start = pytest.importorskip("jupyter_client.manager").start_new_kernel
    manager, client = start()
    messages: list[dict[str, Any]] = []
    try:
        reply = client.execute_interactive(
            IN_A_NOTEBOOK, output_hook=messages.append, stop_on_error=True, timeout=60
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
    shown = [one for one in messages if "display" in one["msg_type"]]
    assert not [one for one in messages if one["msg_type"] == "stream"]
    kinds = [one["msg_type"] for one in shown]
    assert kinds[:2] == ["display_data", "display_data"]  # what was said, and the line
    assert set(kinds[2:]) == {"update_display_data"}
    assert len(shown) < 12  # of 4000 advances
    lines = [one["content"]["data"]["text/html"] for one in shown]
    assert "begin [b] &lt;b&gt;" in lines[0]
    assert "clustering &lt;i&gt;: 1/2000 loss 0.5" in lines[1]
    assert "epoch 1/1: 2000/2000 loss 0.5" in lines[-1]
