"""RUN/annotations.jsonl: one history of annotations and names, append-only, with one undo.

Nothing in it is changed or removed: an undo is an event that refers to an earlier one, and a redo
is the undo of an undo. A change of classes.toml is an event too; its texts are in classes.history/.
If the file was changed elsewhere, by hand or by a process that was killed before it could record
it, the next writer records that first.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from picie.annotation.events import MARKS, Event, new_event, parse_event
from picie.annotation.versions import current_names, keep, numbered, put, restored, version_of
from picie.errors import ConfigError, DataError, PicieError
from picie.runs import ANNOTATIONS_FILE, changing_names
from picie.runtime.files import open_regular, writing
from picie.runtime.printable import shown

__all__ = [
    "Annotations",
    "AnnotationsReader",
    "append_events",
    "change_names",
    "read_annotations",
    "redo",
    "undo",
]

_LONGEST = 2**23  # bytes of a line
_NAMES = (b'"names"', b'"undo"')  # in lines that concern names
_BY_HAND = "hand"
_ACTION = "an annotation"  # for the message of a process that waits


@dataclass(frozen=True)
class Annotations:
    """The events of a file.

    Attributes:
        events: all that could be read, in the order of the file.
        problems: a sentence for each other line; the file keeps them.
    """

    events: tuple[Event, ...] = ()
    problems: tuple[str, ...] = ()

    @cached_property
    def undone(self) -> frozenset[str]:
        """The ids of events that do not count."""
        undone: set[str] = set()
        # From the end: whether an undo counts is known before the event that it refers to.
        for event in reversed(self.events):
            if event.act == "undo" and event.id not in undone:
                undone.add(event.of)
        return frozenset(undone)

    @cached_property
    def valid(self) -> tuple[Event, ...]:
        """The events that count, without undos, in order, under the present names of classes."""
        counting = [e for e in self.events if e.act != "undo" and e.id not in self.undone]
        now: dict[str, str] = {}  # by the name at the time of the event; from the end
        for place, event in reversed(list(enumerate(counting))):
            if event.renamed:
                old, new = event.renamed
                now[old] = now.get(new, new)
            elif event.title in now or event.predicted in now:
                title = now.get(event.title, event.title)
                predicted = now.get(event.predicted, event.predicted)
                counting[place] = replace(event, title=title, predicted=predicted)
        return tuple(counting)

    @property
    def marks(self) -> tuple[Event, ...]:
        """The strokes, polygons, boxes and segments that count, in order."""
        return tuple(event for event in self.valid if event.act in MARKS)

    def by_image(self) -> dict[str, tuple[Event, ...]]:
        """The events that count by name of their image, in order; without changes of names."""
        found: dict[str, list[Event]] = {}
        for event in self.valid:
            if event.image:
                found.setdefault(event.image, []).append(event)
        return {image: tuple(events) for image, events in found.items()}

    @property
    def last_undo(self) -> Event | None:
        """The undo that `redo` takes back: the last that counts, if no act came after it."""
        acts = {event.id for event in self.events if event.act != "undo"}
        for event in reversed(self.events):
            if event.act != "undo":
                return None
            if event.of in acts and event.id not in self.undone:
                return event
        return None


def read_annotations(path: Path, *, having: tuple[bytes, ...] = (b"",)) -> Annotations:
    """Read a file of events; a missing file has none.

    Lines that are not events, such as half a line of a killed process, are listed as problems.

    Args:
        path: the file.
        having: only lines with one of these are read, which takes less time; all by default.

    Raises:
        DataError: the file cannot be read.
    """
    events: dict[str, Event] = {}
    problems: list[str] = []
    with _opened(path) as file:
        for number, line in _lines(file):
            if any(part in line for part in having):
                _add(line, f"{path}: line {number}", events, problems)
    return Annotations(tuple(events.values()), tuple(problems))


class AnnotationsReader:
    """Reads a file of events again and again; each time only the lines that are new.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._events: dict[str, Event] = {}
        self._problems: list[str] = []
        self._known, self._sum, self._count = 0, 0, 0  # bytes, their checksum, lines

    def read(self) -> Annotations:
        """What `read_annotations` gives now.

        Raises:
            DataError: the file cannot be read.
        """
        with _opened(self._path) as file:
            content = file.read()
        if crc32(content[: self._known]) != self._sum or len(content) < self._known:
            self._forget()  # it was changed, not continued
        number = self._count
        for number, line in _lines(BytesIO(content[self._known :]), self._count):
            _add(line, f"{self._path}: line {number}", self._events, self._problems)
        found = Annotations(tuple(self._events.values()), tuple(self._problems))
        if content.endswith(b"\n"):
            self._count += content.count(b"\n", self._known)
            self._known, self._sum = len(content), crc32(content)
        else:  # somebody is writing, or a killed process has left half a line
            self._forget()
        return found


def append_events(path: Path, events: Iterable[Event]) -> None:
    """Add lines at the end of a file, and flush them to the disk.

    Several threads and processes may do so: none loses a line.

    Args:
        path: annotations.jsonl of a folder that exists; the file is created if missing.
        events: from `new_event`.

    Raises:
        ConfigError: there is no such folder.
        PicieError: the file cannot be written; then none of the lines is added.
    """
    with _writing(path.parent) as folder:
        _settled(folder, read_annotations(folder / ANNOTATIONS_FILE, having=_NAMES))
        _append(path, list(events))


def change_names(
    folder: Path,
    text: str,
    *,
    by: str,
    changes: Iterable[str] = (),
    renamed: tuple[str, str] | None = None,
) -> bool:
    """Write a classes.toml, and record the change, so that it can be undone.

    The caller has read the names, and calls this, within one block of `changing_names`.

    Args:
        folder: a run folder, or one with a model.
        text: the new file.
        by: who or what changes it.
        changes: a sentence for each name that changes.
        renamed: the old and the new name of a class, whose marks follow.

    Returns:
        False if the file had this text already; nothing is written then.

    Raises:
        PicieError: it cannot be written; the old file is unchanged.
    """
    _settled(folder, read_annotations(folder / ANNOTATIONS_FILE, having=_NAMES))
    before, after = current_names(folder), text.encode()
    if (before or b"") == after:
        return False
    versions = {"before": version_of(before), "after": version_of(after)}
    more = {"renamed": renamed} if renamed else {}
    event = new_event(by, act="names", **versions, changes=list(changes), **more)
    _replace_names(folder, before, after, event)
    return True


def undo(folder: Path, *, by: str = "picie", of: str = "") -> Event:
    """Undo the last act that counts, whatever it was; or one event.

    Args:
        folder: a run folder, or one with a model.
        by: who or what undoes it.
        of: id of an event that counts; that of an undo brings back what it undid.

    Returns:
        the act that was undone, or brought back.

    Raises:
        ConfigError: nothing to undo, no such event, or names that others were given after.
        PicieError: a file cannot be written, or another process writes for too long.
    """
    with _writing(folder, "nothing to undo") as folder:
        known = _settled(folder, read_annotations(folder / ANNOTATIONS_FILE))
        if of:
            return _reverse(folder, known, _counting(known, of, folder), by)
        if not known.valid:
            raise ConfigError(
                f"{folder}: nothing to undo; changes of names and annotations are recorded from "
                "the first one on"
            )
        return _reverse(folder, known, known.valid[-1], by)


def redo(folder: Path, *, by: str = "picie") -> Event:
    """Bring back what the last undo took away; again for the undo before.

    Args:
        folder: a run folder, or one with a model.
        by: who or what does it.

    Returns:
        the act that counts again.

    Raises:
        ConfigError: nothing to redo: no undo, or another act came after it.
        PicieError: a file cannot be written, or another process writes for too long.
    """
    with _writing(folder, "nothing to redo") as folder:
        known = _settled(folder, read_annotations(folder / ANNOTATIONS_FILE))
        if known.last_undo is None:
            raise ConfigError(f"{folder}: nothing to redo; the last change was not an undo")
        return _reverse(folder, known, known.last_undo, by)


# --- reading


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, or an empty one in place of a missing one.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        try:
            file: BinaryIO = open_regular(path)
        except FileNotFoundError:
            file = BytesIO()
        with file:
            yield file
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}); check its permissions") from None


def _lines(file: BinaryIO, number: int = 0) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; of a huge one only the beginning.

    Args:
        file: open.
        number: of the line before.
    """
    while line := file.readline(_LONGEST + 1):
        number += 1
        rest = line
        while len(rest) > _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST + 1)
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark
        if line := line if len(line) > _LONGEST else line.strip():
            yield number, line


def _add(line: bytes, where: str, events: dict[str, Event], problems: list[str]) -> None:
    """Add the event of a line, or a problem."""
    try:
        event = _event(line, where)
        _check_order(event, events, where)
    except ConfigError as error:
        problems.append(str(error))
    else:
        events[event.id] = event


def _event(line: bytes, where: str) -> Event:
    if len(line) > _LONGEST:
        raise ConfigError(f"{where}: has more than {_LONGEST} bytes; shorten or remove it")
    try:
        values = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{where}: is not a complete JSON object, and does not count; correct or remove it"
        ) from None
    if isinstance(values, dict) and "id" not in values:  # a line written by hand
        values["id"] = hashlib.sha256(line).hexdigest()[:12]
    return parse_event(values, where)


def _check_order(event: Event, before: Mapping[str, Event], where: str) -> None:
    """Raise for an id that occurs twice, and an undo of nothing."""
    if event.id in before:
        raise ConfigError(
            f"{where}: repeats an earlier line or its id, {shown(event.id)}, and does not count; "
            "remove it, or give it another id"
        )
    if event.act == "undo" and event.of not in before:
        raise ConfigError(
            f"{where}: undoes {shown(event.of)}, which is no earlier event; correct or remove it"
        )


# --- writing; the caller holds the lock


@contextmanager
def _writing(folder: Path, problem: str = "cannot be annotated") -> Iterator[Path]:
    """Wait for other writers of names and annotations.

    Raises:
        ConfigError: there is no such folder; it is not created.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: {problem}; there is no such folder")
    with changing_names(folder, _ACTION):
        yield folder


def _append(path: Path, events: list[Event]) -> None:
    """Add lines, all or none; half a line of a killed process gets an end before them."""
    data = "".join(map(_line, events)).encode()
    if not data:
        return
    with writing(path), path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        data = data if file.read(1) in (b"", b"\n") else b"\n" + data
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(end)
            raise


def _line(event: Event) -> str:
    text = json.dumps(event.to_json(), ensure_ascii=False, allow_nan=False)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # file names that are not UTF-8
            text = json.dumps(event.to_json(), allow_nan=False)
    return text + "\n"


def _settled(folder: Path, known: Annotations) -> Annotations:
    """The history, after what happened to the names elsewhere is recorded.

    Args:
        folder: of the history.
        known: what it holds; at least the changes of names and their undos.

    Raises:
        PicieError: a file cannot be read or written.
    """
    path = folder / ANNOTATIONS_FILE
    known = _recorded(path, known, _numbered_changes(folder, known))
    for old in numbered(folder):  # now events; after a kill, the next one removes the rest
        with writing(old):
            old.unlink()
    changes = [event for event in known.events if event.act == "names"]
    if not changes:
        return known
    data = current_names(folder)
    expected, now = _names_version(known), version_of(data)
    if now == expected:
        return known
    last = next((event for event in reversed(known.valid) if event.act == "names"), None)
    if last is not None and now == last.before:  # also an undo that was killed half way
        return _recorded(path, known, [new_event(_BY_HAND, act="undo", of=last.id)])
    keep(folder, data)
    return _recorded(path, known, [new_event(_BY_HAND, act="names", before=expected, after=now)])


def _recorded(path: Path, known: Annotations, more: list[Event]) -> Annotations:
    _append(path, more)
    return replace(known, events=(*known.events, *more)) if more else known


def _names_version(known: Annotations) -> str:
    """The version of classes.toml after the changes that count; "" where none is recorded."""
    changes = [event for event in known.events if event.act == "names"]
    counting = [event for event in changes if event.id not in known.undone]
    return counting[-1].after if counting else changes[0].before if changes else ""


def _numbered_changes(folder: Path, known: Annotations) -> list[Event]:
    """Events for the changes that earlier picie recorded as numbered files."""
    files = numbered(folder)
    if not files:
        return []
    texts = [*files.values(), current_names(folder)]
    versions = [keep(folder, text) for text in texts]
    ids = {event.id for event in known.events}  # after a kill, some may be there already
    return [
        Event(path.stem, "names", "", "picie name", before=a, after=b, changes=("an old change",))
        for path, a, b in zip(files, versions, versions[1:], strict=False)
        if a != b and path.stem not in ids
    ]


def _counting(known: Annotations, number: str, folder: Path) -> Event:
    """The event of an id.

    Raises:
        ConfigError: there is none, or it is undone.
    """
    for event in known.events:
        if event.id == number:
            if number in known.undone:
                raise ConfigError(f"{folder}: the event {shown(number)} is undone already")
            return event
    raise ConfigError(f"{folder}: there is no event {shown(number)} to undo")


def _reverse(folder: Path, known: Annotations, event: Event, by: str) -> Event:
    """Undo an event that counts; return the act that no longer counts, or counts again."""
    by_id = {one.id: one for one in known.events}
    act = event
    while act.act == "undo":
        act = by_id[act.of]
    line = new_event(by, act="undo", of=event.id)
    then = replace(known, events=(*known.events, line))
    brings_back = act.id in known.undone
    if act.act != "names" or brings_back == (act.id in then.undone):
        _append(folder / ANNOTATIONS_FILE, [line])
        return act
    changes = [one for one in (then if brings_back else known).valid if one.act == "names"]
    if changes[-1] != act or (brings_back and _names_version(known) != act.before):
        raise ConfigError(
            f"{folder}: the names have changed since ({act.description}); undo later changes first"
        )
    after = restored(folder, _names_version(then))
    _replace_names(folder, current_names(folder), after, line)
    return act


def _replace_names(folder: Path, before: bytes | None, after: bytes | None, event: Event) -> None:
    """Replace the text of classes.toml, and record it; if that fails, the old text is put back."""
    keep(folder, before)
    put(folder, after)
    try:
        keep(folder, after)
        _append(folder / ANNOTATIONS_FILE, [event])
    except BaseException:
        with suppress(PicieError):  # the next writer takes what is left for a change by hand
            put(folder, before)
        raise
