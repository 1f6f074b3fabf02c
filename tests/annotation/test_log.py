"""The history of a run: nothing is lost, and one undo for annotations and names."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

import picie.annotation.log
from picie.annotation.events import Event, new_event
from picie.annotation.log import (
    Annotations,
    AnnotationsReader,
    append_events,
    change_names,
    read_annotations,
    redo,
    undo,
)
from picie.errors import ConfigError, DataError, PicieError
from picie.runs import changing_names

Start = Callable[..., BaseProcess]
LOG = "annotations.jsonl"


def stroke(title: str = "road", image: str = "a", **values: Any) -> Event:
    where = {"image": image, "size": [9, 9], "digest": "", "points": [[1, 2], [3.5, 4]]}
    return new_event("test", act="stroke", title=title, **where | values)


def give(folder: Path, text: str, *changes: str) -> bool:
    with changing_names(folder, "test"):
        return change_names(folder, text, by="test", changes=changes)


def said(folder: Path) -> list[str]:
    return [event.description for event in read_annotations(folder / LOG).valid]


def names(folder: Path) -> str | None:
    path = folder / "classes.toml"
    return path.read_text() if path.exists() else None


# --- lines


def test_events_come_back_in_order_and_can_be_read_by_people(tmp_path: Path) -> None:
    path = tmp_path / LOG
    assert read_annotations(path) == Annotations()
    events = [stroke("Straße"), stroke("sky", "日本/1"), new_event("t", act="undo", of="x")]
    append_events(path, events[:1])
    append_events(path, [])
    append_events(path, events[1:2])
    assert read_annotations(path) == Annotations(tuple(events[:2]))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(
        f'{{"id": "{events[0].id}", "time": "{events[0].time}", "by": "test"'
    )
    assert '"class": "Straße", "points": [[1, 2], [3.5, 4]], "radius": 0}' in lines[0]
    assert [entry.name for entry in tmp_path.iterdir()] == [LOG]


def test_names_that_are_not_unicode_survive(tmp_path: Path) -> None:
    event = stroke(image=os.fsdecode(b"stra\xdfe"))
    append_events(tmp_path / LOG, [event])
    assert read_annotations(tmp_path / LOG).events == (event,)
    (tmp_path / LOG).read_text(encoding="utf-8")


def test_a_file_cut_anywhere_costs_at_most_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / LOG
    events = [stroke("Straße"), stroke("sky")]
    append_events(path, events)
    whole = path.read_bytes()
    first, more = whole.index(b"\n") + 1, stroke("tree")
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = (cut >= first - 1) + (cut >= len(whole) - 1)
        broken = cut not in (0, first - 1, first, len(whole) - 1, len(whole))
        assert read_annotations(path).events == tuple(events[:kept])
        append_events(path, [more])
        found = read_annotations(path)
        assert found.events == (*events[:kept], more)
        assert len(found.problems) == broken
        assert path.read_bytes().startswith(whole[:cut])
        if broken:
            where = f"{path}: line {1 + (cut > first)}: is not a complete JSON object, and does not"
            assert found.problems[0].startswith(where)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"act": "stroke"', "is not a complete JSON object, and does not count; correct or rem"),
        (b"\xff\xfe", "is not a complete JSON object"),
        (b"[" * 100_000, "is not a complete JSON object"),
        (b'{"a":' * 100_000, "is not a complete JSON object"),
        (b'{"id": ' + b"9" * 5_000 + b"}", "is not a complete JSON object"),
        (b"[1]", "is not a JSON object"),
        (b'{"act": "dance"}', "act = 'dance'; give one of"),
        (b'{"act": "undo", "of": "gone"}', "undoes 'gone', which is no earlier event; correct"),
        (b'{"act": "accept", "image": "a", "size": [1e999, NaN]}', "size = [inf, nan]; give"),
        (b'{"act": "accept", "image": "\\ud800", "size": [0, 1]}', "size = [0, 1]; give"),
    ],
)
def test_lines_that_are_no_events_are_named_and_kept(
    tmp_path: Path, line: bytes, problem: str
) -> None:
    path = tmp_path / LOG
    first, second = stroke(), stroke()
    append_events(path, [first])
    with path.open("ab") as file:
        file.write(line)
    append_events(path, [second])
    found = read_annotations(path)
    assert found.events == (first, second)
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{path}: line 2: {problem}")
    assert line + b"\n" in path.read_bytes()


def test_huge_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / LOG
    events = [stroke(), stroke()]
    append_events(path, events[:1])
    with path.open("ab") as file:
        for start in (b'{"act": "', b" "):
            file.write(start)
            for _ in range(100):
                file.write(start[-1:] * 1_000_000)
            file.write(b"\n")
    append_events(path, events[1:])
    found = read_annotations(path)
    assert found.events == tuple(events)
    assert [text.partition("line ")[2] for text in found.problems] == [
        f"{number}: has more than 8388608 bytes; shorten or remove it" for number in (2, 3)
    ]


def test_lines_by_hand_need_no_id_and_count_once(tmp_path: Path) -> None:
    path = tmp_path / LOG
    line = '{"act": "accept", "image": "a", "size": [4, 3]}'
    path.write_bytes(f"\ufeff{line}\r\n\r\n{line.replace('a', 'b', 1)} \n".encode())
    assert len(read_annotations(path).problems) == 1  # "bccept"
    path.write_bytes(f"\ufeff{line}\r\n\r\n{line}\r\n".encode())
    found = read_annotations(path)
    assert [event.image for event in found.events] == ["a"]
    assert "line 3: repeats an earlier line or its id" in found.problems[0]
    assert undo(tmp_path).image == "a"
    assert read_annotations(path).valid == ()


def test_a_pipe_or_a_folder_is_no_history(tmp_path: Path) -> None:
    (tmp_path / LOG).mkdir()
    with pytest.raises(DataError, match=r"annotations.jsonl: cannot be read \(it is a folder"):
        read_annotations(tmp_path / LOG)
    (tmp_path / LOG).rmdir()
    os.mkfifo(tmp_path / LOG)
    with pytest.raises(DataError, match=r"annotations.jsonl: cannot be read \(it is a pipe"):
        append_events(tmp_path / LOG, [stroke()])


def test_missing_folders_are_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone: cannot be annotated; there is no such folder"):
        append_events(tmp_path / "gone" / LOG, [stroke()])
    for call in (undo, redo):
        with pytest.raises(
            ConfigError, match=r"gone: nothing to (un|re)do; there is no such folder"
        ):
            call(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / LOG
    append_events(path, [stroke()])
    before = path.read_bytes()

    def full(number: int) -> None:
        assert path.stat().st_size > len(before)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PicieError, match=r"annotations.jsonl: cannot be written \(No space left"):
        append_events(path, [stroke(), stroke()])
    assert path.read_bytes() == before


# --- several writers, and kills

WRITER = """
from pathlib import Path
from picie.annotation.events import new_event
from picie.annotation.log import append_events

for number in range({count}):
    image = f"{name}/{{number}}"
    event = new_event("test", act="accept", image=image, size=[9, 9], digest="")
    append_events(Path({path!r}), [event])
"""


def test_writers_at_once_lose_no_line(tmp_path: Path, start: Start) -> None:
    path = tmp_path / LOG
    programs = [WRITER.format(count=25, name=name, path=str(path)) for name in "abcdefgh"]
    processes = [start("program", text, tmp_path / "out") for text in programs[2:]]
    with ThreadPoolExecutor(2) as pool:  # threads of one process, too
        list(pool.map(lambda text: exec(compile(text, "p", "exec"), {}), programs[:2]))
    for process in processes:
        process.join(timeout=120)
    found = read_annotations(path)
    assert found.problems == ()
    assert [event.image for event in sorted(found.events, key=lambda event: event.image)] == sorted(
        f"{name}/{number}" for name in "abcdefgh" for number in range(25)
    )
    for name in "abcdefgh":  # each in its own order
        numbers = [int(e.image[2:]) for e in found.events if e.image[0] == name]
        assert numbers == list(range(25))


def test_a_killed_writer_breaks_nothing(tmp_path: Path, start: Start) -> None:
    path = tmp_path / LOG
    draw = random.Random(1)
    for round_ in range(4):
        text = WRITER.format(count=10_000, name=round_, path=str(path))
        process = start("program", text, tmp_path / "out")
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if f'"{round_}/' in (path.read_text() if path.exists() else ""):
                break
        time.sleep(draw.uniform(0, 0.1))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        mine = stroke(image=f"mine {round_}")
        append_events(path, [mine])
        found = read_annotations(path)
        assert found.events[-1] == mine
        assert len(found.problems) <= round_ + 1
        numbers = [int(e.image.split("/")[1]) for e in found.events if e.image[0] == str(round_)]
        assert numbers == list(range(len(numbers)))
        assert numbers


def old_history(folder: Path) -> None:
    """As picie wrote it before there were annotations."""
    (folder / "classes.history").mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(["", "one", "two"], 1):
        (folder / "classes.history" / f"{number:04d}.toml").write_text(text)
    (folder / "classes.history" / "undone.toml").write_text("undone")
    (folder / "classes.toml").write_text("three")


def count_appends(monkeypatch: pytest.MonkeyPatch, kill: Any) -> None:
    """Let the kill also come before lines are added."""
    write = picie.annotation.log._append

    def append(path: Path, events: list[Event]) -> None:
        if events:
            kill.reach("append")
        else:
            kill.steps.append("append")
        write(path, events)

    monkeypatch.setattr(picie.annotation.log, "_append", append)


CALLS: dict[str, Callable[[Path], object]] = {
    "change": lambda folder: give(folder, "four"),
    "undo": undo,
    "redo": redo,
    "stroke": lambda folder: append_events(folder / LOG, [stroke()]),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("old", [False, True])
def test_a_kill_between_any_two_writes_leaves_one_history(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kill_at: Callable[[int], Any],
    call: str,
    old: bool,
) -> None:
    for step in range(60):
        folder = tmp_path / f"{step}"
        folder.mkdir()
        if old:
            old_history(folder)
        else:
            for text in ("one", "two", "three"):
                give(folder, text)
        if call == "redo" and not old:
            undo(folder)
        with monkeypatch.context() as patch, kill_at(step) as kill:
            count_appends(patch, kill)
            with suppress(ConfigError):  # a redo of old changes
                CALLS[call](folder)
        done = not kill.came
        states = []
        append_events(folder / LOG, [stroke()])
        assert read_annotations(folder / LOG).problems == ()
        for _ in range(20):
            states += [names(folder)]
            if not said(folder):
                break
            undo(folder)
        distinct = [state for n, state in enumerate(states) if state not in states[:n]]
        newest = {"change": ["four"], "undo": []}.get(call, ["three"])
        chain = ["four", "three", "two", "one", None]
        assert distinct == chain[-len(distinct) :]
        assert len(distinct) >= 4 - (call == "undo" or (call == "redo" and not old))
        assert not done or distinct[: len(newest)] == newest
        left = [path for path in (folder / "classes.history").glob("000*")]
        assert left == []
        if done:
            break
    assert step > 1


# --- undo and redo


def test_one_undo_for_annotations_and_names(tmp_path: Path) -> None:
    append_events(tmp_path / LOG, [stroke()])
    give(tmp_path, "three", "cluster 3: road")
    append_events(tmp_path / LOG, [stroke("sky")])
    assert said(tmp_path) == [
        "stroke of road in a",
        "names: cluster 3: road",
        "stroke of sky in a",
    ]
    assert undo(tmp_path, by="me").title == "sky"
    assert undo(tmp_path).changes == ("cluster 3: road",)
    assert names(tmp_path) is None
    assert undo(tmp_path).title == "road"
    with pytest.raises(ConfigError, match="nothing to undo; changes of names and annotations are"):
        undo(tmp_path)
    assert [redo(tmp_path).act for _ in range(3)] == ["stroke", "names", "stroke"]
    assert names(tmp_path) == "three"
    with pytest.raises(ConfigError, match="nothing to redo; the last change was not an undo"):
        redo(tmp_path)
    lines = (tmp_path / LOG).read_text().splitlines()
    assert len(lines) == 9
    assert json.loads(lines[3])["by"] == "me"


def test_one_event_can_be_undone_and_brought_back(tmp_path: Path) -> None:
    events = [stroke("road"), stroke("sky"), stroke("tree")]
    append_events(tmp_path / LOG, events)
    assert undo(tmp_path, of=events[1].id) == events[1]
    assert read_annotations(tmp_path / LOG).valid == (events[0], events[2])
    with pytest.raises(ConfigError, match=f"the event '{events[1].id}' is undone already"):
        undo(tmp_path, of=events[1].id)
    undoing = read_annotations(tmp_path / LOG).events[-1]
    assert undo(tmp_path, of=undoing.id) == events[1]
    assert read_annotations(tmp_path / LOG).valid == tuple(events)
    with pytest.raises(ConfigError, match="there is no event 'gone' to undo"):
        undo(tmp_path, of="gone")


def test_names_are_undone_in_turn(tmp_path: Path) -> None:
    give(tmp_path, "one", "cluster 1: road")
    give(tmp_path, "two")
    first, second = read_annotations(tmp_path / LOG).events
    with pytest.raises(
        ConfigError, match=r"names have changed since \(names: cluster 1: road\); u"
    ):
        undo(tmp_path, of=first.id)
    undo(tmp_path)
    undo(tmp_path)
    latest, earlier = read_annotations(tmp_path / LOG).events[2:]
    assert (latest.of, earlier.of) == (second.id, first.id)
    with pytest.raises(ConfigError, match="the names have changed since"):
        undo(tmp_path, of=latest.id)
    assert names(tmp_path) is None
    undo(tmp_path, of=earlier.id)
    undo(tmp_path, of=latest.id)
    assert names(tmp_path) == "two"


def test_every_change_can_be_undone_in_turn_also_one_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    for text in ("one", "two", "three"):
        assert give(tmp_path, text)
        assert path.read_text() == text
    path.write_text("three, by hand")
    assert undo(tmp_path).description == "names: changed by hand"
    assert path.read_text() == "three"
    redo(tmp_path)
    assert path.read_text() == "three, by hand"
    undo(tmp_path)
    undo(tmp_path)
    assert path.read_text() == "two"
    assert give(tmp_path, "four")
    undo(tmp_path)
    undo(tmp_path)
    assert path.read_text() == "one"
    undo(tmp_path)
    assert not path.exists()
    with pytest.raises(ConfigError, match="nothing to undo"):
        undo(tmp_path)


def test_a_change_by_hand_is_recorded_before_what_came_after(tmp_path: Path) -> None:
    give(tmp_path, "one", "road")
    (tmp_path / "classes.toml").write_text("by hand")
    append_events(tmp_path / LOG, [stroke()])
    give(tmp_path, "two", "sky")
    (tmp_path / "classes.toml").unlink()
    append_events(tmp_path / LOG, [stroke("tree")])
    by_hand = "names: changed by hand"
    assert said(tmp_path) == [
        *("names: road", by_hand, "stroke of road in a"),
        *("names: sky", by_hand, "stroke of tree in a"),
    ]
    states = []
    for _ in range(6):
        undo(tmp_path)
        states.append(names(tmp_path))
    assert states == [None, "two", "by hand", "by hand", "one", None]


def test_going_back_by_hand_is_an_undo(tmp_path: Path) -> None:
    give(tmp_path, "one")
    give(tmp_path, "two")
    (tmp_path / "classes.toml").write_text("one")
    append_events(tmp_path / LOG, [stroke()])
    assert len(said(tmp_path)) == 2
    undo(tmp_path)
    undo(tmp_path)
    assert names(tmp_path) is None


def test_a_file_by_hand_is_where_the_history_begins(tmp_path: Path) -> None:
    (tmp_path / "classes.toml").write_text("by hand")
    append_events(tmp_path / LOG, [stroke()])
    assert said(tmp_path) == ["stroke of road in a"]
    (tmp_path / "classes.toml").write_text("by hand, again")
    give(tmp_path, "one")
    undo(tmp_path)
    assert names(tmp_path) == "by hand, again"


def test_no_change_is_no_step(tmp_path: Path) -> None:
    give(tmp_path, "one")
    before = state(tmp_path)
    assert not give(tmp_path, "one")
    assert state(tmp_path) == before


def test_undoing_waits_for_other_changes(tmp_path: Path) -> None:
    for number in range(6):
        give(tmp_path, f"{number}", f"{number}")
    with ThreadPoolExecutor(6) as pool:
        undone = pool.map(lambda _: undo(tmp_path).changes, range(6))
    assert sorted(undone) == [(f"{number}",) for number in range(6)]
    assert not (tmp_path / "classes.toml").exists()


@pytest.mark.parametrize("broken", ["classes.toml", LOG])
def test_a_failed_change_leaves_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    give(tmp_path, "one")
    before = state(tmp_path)
    opened = Path.open
    replace = os.replace

    def refuse(path: Path) -> None:
        if path.name == broken:
            raise OSError(28, "No space left on device")

    def open_(path: Path, *args: Any, **options: Any) -> Any:
        refuse(path)
        return opened(path, *args, **options)

    def replace_(source: Path, target: Path) -> None:
        refuse(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_)
        patch.setattr(os, "replace", replace_)
        for _ in range(2):
            with pytest.raises(PicieError, match=f"{broken}: cannot be written"):
                give(tmp_path, "two")
    after = state(tmp_path)
    assert {name: after[name] for name in before} == before
    assert said(tmp_path) == ["names: changed by hand"]


def test_a_history_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.history").write_text("in the way")
    with pytest.raises(PicieError, match=r"classes.history/\w+.toml: cannot be written"):
        give(tmp_path, "one")
    assert not (tmp_path / "classes.toml").exists()


def test_a_missing_version_is_named(tmp_path: Path) -> None:
    give(tmp_path, "one")
    give(tmp_path, "two")
    for path in (tmp_path / "classes.history").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="is missing or damaged, so these names cannot be resto"):
        undo(tmp_path)
    assert names(tmp_path) == "two"


@pytest.mark.parametrize("first", ["undo", "stroke", "names"])
def test_numbered_versions_of_earlier_picie_can_be_undone(tmp_path: Path, first: str) -> None:
    old_history(tmp_path)
    if first == "stroke":
        append_events(tmp_path / LOG, [stroke()])
        undo(tmp_path)
    if first == "names":
        give(tmp_path, "four", "cluster 1: sky")
        undo(tmp_path)
    states = [names(tmp_path)]
    for _ in range(3):
        undo(tmp_path)
        states.append(names(tmp_path))
    assert states == ["three", "two", "one", None]
    with pytest.raises(ConfigError, match="nothing to undo"):
        undo(tmp_path)
    for _ in range(3):
        redo(tmp_path)
    assert names(tmp_path) == "three"
    assert sorted(path.name for path in (tmp_path / "classes.history").glob("*n*")) == [
        "undone.toml"
    ]


def test_old_changes_that_were_half_recorded_are_recorded_once(tmp_path: Path) -> None:
    old_history(tmp_path / "whole")
    append_events(tmp_path / "whole" / LOG, [])
    whole = (tmp_path / "whole" / LOG).read_bytes()
    for cut in range(0, len(whole) + 1, 7):
        folder = tmp_path / f"{cut}"
        old_history(folder)
        (folder / LOG).write_bytes(whole[:cut])
        append_events(folder / LOG, [stroke()])
        assert said(folder) == ["names: an old change"] * 3 + ["stroke of road in a"]
        states = []
        for _ in range(4):
            undo(folder)
            states.append(names(folder))
        assert states == ["three", "two", "one", None]


def test_marks_and_images(tmp_path: Path) -> None:
    path = tmp_path / LOG
    image = {"size": [9, 9], "digest": ""}
    events = [
        stroke(image="b"),
        new_event("t", act="accept", image="a", **image),
        new_event("t", act="box", image="a", title="sky", box=[0, 0, 4, 4], **image),
        new_event("t", act="erase", image="b", points=[[0, 0]], radius=4, **image),
    ]
    append_events(path, events)
    give(tmp_path, "one")
    found = read_annotations(path)
    assert found.marks == (events[0], events[2])
    assert found.by_image() == {"b": (events[0], events[3]), "a": (events[1], events[2])}


# --- any sequence equals a list with a pointer


class Model:
    """What the history means: acts, those that count, and those that a redo brings back."""

    def __init__(self) -> None:
        self.acts: list[tuple[str, str | None, str | None]] = []  # kind or text, before, after
        self.done: list[int] = []
        self.back: list[int] = []
        self.file: str | None = None

    def names_of(self, numbers: list[int]) -> list[int]:
        return [number for number in numbers if self.acts[number][0] == "names"]

    @property
    def expected(self) -> str | None:
        changes = self.names_of(list(range(len(self.acts))))
        counting = self.names_of(self.done)
        return self.acts[counting[-1]][2] if counting else self.acts[changes[0]][1]

    def act(self, kind: str, after: str | None = None) -> None:
        self.acts.append((kind, self.file, after))
        self.done.append(len(self.acts) - 1)
        self.back.clear()

    def notice(self) -> None:
        if not self.names_of(list(range(len(self.acts)))) or self.file == self.expected:
            return
        counting = self.names_of(self.done)
        if counting and self.acts[counting[-1]][1] == self.file:
            self.take(counting[-1])
            return
        now, self.file = self.file, self.expected
        self.act("names", now)
        self.file = now

    def take(self, number: int) -> None:
        self.done.remove(number)
        self.back.append(number)

    def change(self, text: str) -> None:
        self.notice()
        if self.file != text:
            self.act("names", text)
            self.file = text

    def undo(self, number: int) -> bool:
        if self.acts[number][0] == "names":
            if self.names_of(self.done)[-1] != number:
                return False
            self.take(number)
            self.file = self.expected
        else:
            self.take(number)
        return True

    def redo(self) -> bool:
        number = self.back[-1]
        if self.acts[number][0] == "names":
            later = [one for one in self.names_of(self.done) if one > number]
            if later or self.expected != self.acts[number][1]:
                return False
            self.file = self.acts[number][2]
        self.back.pop()
        self.done = sorted([*self.done, number])
        return True


@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_equals_a_list_with_a_pointer(tmp_path: Path, seed: int) -> None:
    draw, model = random.Random(seed), Model()
    path, classes = tmp_path / LOG, tmp_path / "classes.toml"
    for step in range(60):
        move = draw.choice(["stroke", "names", "hand", "undo", "undo", "redo", "redo", "of"])
        text = draw.choice("abc") if draw.random() < 0.7 else f"{step}"
        if move == "hand":
            model.file = None if draw.random() < 0.2 else text
            classes.unlink(missing_ok=True)
            if model.file is not None:
                classes.write_text(model.file)
            continue
        if move == "stroke":
            model.notice()
            model.act("stroke")
            append_events(path, [stroke(f"stroke {step}")])
        elif move == "names":
            model.change(text)
            give(tmp_path, text)
        elif move == "redo":
            model.notice()
            if model.back and model.redo():
                redo(tmp_path)
            else:
                with pytest.raises(ConfigError):
                    redo(tmp_path)
        else:
            append_events(path, [])  # notices changes by hand, too
            model.notice()
            acts = [event for event in read_annotations(path).events if event.act != "undo"]
            number = draw.randrange(len(acts)) if move == "of" and acts else None
            if number is None and model.done:
                number = model.done[-1]
            which = acts[number].id if move == "of" and number is not None else ""
            if number in model.done and model.undo(number):
                assert undo(tmp_path, of=which) == acts[number]
            else:
                with pytest.raises(ConfigError):
                    undo(tmp_path, of=which)
        found = read_annotations(path)
        acts = [event for event in found.events if event.act != "undo"]
        assert [acts.index(event) for event in found.valid] == model.done
        assert names(tmp_path) == model.file
        assert found.problems == ()


def state(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_a_reader_reads_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "annotations.jsonl"
    reader = AnnotationsReader(path)
    assert reader.read() == Annotations()
    parsed: list[str] = []
    original = picie.annotation.log.parse_event  # type: ignore[attr-defined]

    def noted(values: Any, where: str) -> Event:
        parsed.append(where)
        return original(values, where)

    monkeypatch.setattr(picie.annotation.log, "parse_event", noted)
    append_events(path, [stroke("a"), stroke("b")])
    with path.open("a") as file:
        file.write("no event\n")
    assert reader.read() == read_annotations(path)
    parsed.clear()
    last = stroke("c")
    append_events(path, [last])
    found = reader.read()
    assert parsed == [f"{path}: line 4"]
    assert found.events[-1] == last
    assert found == read_annotations(path)
    assert "line 3" in found.problems[0]


@pytest.mark.parametrize("change", ["shorter", "other", "half", "gone"])
def test_a_reader_notices_every_change(tmp_path: Path, change: str) -> None:
    path = tmp_path / "annotations.jsonl"
    reader = AnnotationsReader(path)
    append_events(path, [stroke("a"), stroke("b")])
    reader.read()
    text = path.read_text()
    match change:
        case "shorter":
            path.write_text(text.splitlines(keepends=True)[0])
        case "other":
            path.write_text(text.replace('"a"', '"x"'))
        case "half":
            path.write_text(text + text[:40])
        case "gone":
            path.unlink()
    assert reader.read() == read_annotations(path)
    append_events(path, [stroke("d")])
    assert reader.read() == read_annotations(path)


def test_marks_follow_the_new_name_of_their_class(tmp_path: Path) -> None:
    path = tmp_path / "annotations.jsonl"

    def rename(old: str, new: str) -> None:
        text = f'clusters = 3\n[[classes]]\nname = "{new}"\n'
        with changing_names(tmp_path, "a test"):
            change_names(tmp_path, text, by="test", renamed=(old, new))

    def titles() -> list[str]:
        return [event.title for event in read_annotations(path).marks]

    append_events(path, [stroke("a"), stroke("c")])
    rename("a", "b")
    append_events(path, [stroke("a")])
    rename("b", "d")
    assert titles() == ["d", "c", "a"]
    undo(tmp_path)
    assert titles() == ["b", "c", "a"]
    redo(tmp_path)
    assert titles() == ["d", "c", "a"]
    written = [event.title for event in read_annotations(path).events if event.title]
    assert written == ["a", "c", "a"]
