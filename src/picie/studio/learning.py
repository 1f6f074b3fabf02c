"""What the studio learns from strokes: a quick fit of the head at once, then the settled one.

The settled fit is that of `annotation.teach.taught_network`, so that the maps on screen are those
of the model that `picie teach` writes. It takes half a second or more, in a thread of its own. The
quick fit goes on from the last head with fewer cells and steps, in the thread of the worker, so
that the next maps have it. Lessons are kept for each photo, and made anew where its marks changed.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from picie.annotation.events import Event
from picie.annotation.head import SHARPNESS, Head, fit_head
from picie.annotation.lessons import (
    Lessons,
    change_since,
    drawn_cells,
    lessons_in,
    marks_of,
    sampled_photos,
)
from picie.annotation.teach import Exercise, exercise, with_head
from picie.config import make_config
from picie.errors import DataError, PicieError
from picie.inference.segmenter import TAUGHT, Segmenter
from picie.models.class_names import ClassNames
from picie.studio.leaves import Leaves
from picie.studio.work import NOW, QUEUE, Worker
from picie.types import LabelsUsed

__all__ = ["Learning", "Learnt"]

_LOG = logging.getLogger("picie.studio")
_QUICK_SAMPLE = 1000  # random cells of the quick fit
_QUICK_CELLS = 6  # of each stroke, in the quick fit of many strokes
_QUICK_STROKES = 60  # many
_QUICK_STEPS = 10
_PAUSE = 0.3  # seconds before a settled fit: the maps in view need all cores first
_PATIENCE = 1.0  # the same after a name: another one often follows
_AT_ONCE = 4  # photos whose lessons a stroke waits for
State = Literal["none", "fitting", "quick", "settled"]
_Fitted = tuple[Segmenter, Head, dict[str, bool], int]  # named, head, its further rows, marks
_NONE = Lessons((), torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64), torch.zeros(0).long(), 0)


@dataclass(frozen=True)
class Learnt:
    """How far learning is.

    Attributes:
        state: none, without strokes; fitting, when no fit knows the last ones; quick; settled.
        marks: the strokes and areas that count.
        notes: what a person must know of them.
        extra: the class of each row beyond the centroids.
    """

    state: State = "none"
    marks: int = 0
    notes: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is to be learnt.

    Attributes:
        number: counts them.
        names: of the clusters.
        marked: the marks of each photo.
        quick: a quick fit comes first; not if only names have changed.
    """

    number: int
    names: ClassNames
    marked: Mapping[str, tuple[Event, ...]]
    quick: bool = True

    @cached_property
    def marks_key(self) -> dict[str, tuple[str, ...]]:
        """Equal for equal marks."""
        return {name: _key(events) for name, events in self.marked.items()}

    @cached_property
    def names_key(self) -> tuple[Any, ...]:
        """Equal for names that give the same classes; colours do not matter."""
        return self.names.clusters, *(replace(one, colour="") for one in self.names.classes)


@dataclass(frozen=True, eq=False)
class _Job:
    """A settled fit."""

    wanted: _Wanted
    model: Segmenter
    lessons: Lessons
    sample: Tensor


class _Outdated(Exception):
    """The fit does not know the last strokes."""


class Learning:
    """Fits the head to names and strokes, whenever they change.

    Args:
        leaves: gives features, and takes the rows that were learnt.
        worker: its thread makes lessons and quick fits.
        tell: is called after each change of `learnt`, from any thread.

    Attributes:
        learnt: how far it is.
    """

    def __init__(self, leaves: Leaves, worker: Worker, tell: Callable[[], object]) -> None:
        self._leaves, self._worker, self._tell = leaves, worker, tell
        self.learnt = Learnt()
        self._wanted: _Wanted | None = None
        self._lessons: dict[str, tuple[tuple[str, ...], Lessons]] = {}
        self._named: tuple[ClassNames, Segmenter] | None = None
        self._sample = _Sample(leaves)
        self._job: _Job | None = None
        self._fitted: _Fitted | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._settle, name="studio-fit", daemon=True)
        self._thread.start()

    def follow(self, names: ClassNames, marked: Mapping[str, tuple[Event, ...]]) -> None:
        """Learn from other names or strokes; any thread, and it does not wait.

        Args:
            names: of the clusters.
            marked: the events that count, by name of their photo.
        """
        marks = {name: marks_of(events) for name, events in marked.items()}
        marks = {name: events for name, events in marks.items() if any(e.title for e in events)}
        with self._changed:
            old = self._wanted
            number = old.number + 1 if old else 0
            wanted = _Wanted(number, names, marks)
            same = old is not None and old.marks_key == wanted.marks_key
            if same and old is not None and (old.names_key == wanted.names_key or not marks):
                return
            if same and self.learnt.state in ("quick", "settled"):
                wanted = replace(wanted, quick=False)
            elif marks:
                self.learnt = replace(self.learnt, state="fitting")
            self._wanted = wanted
        if marks and wanted.quick:
            self._tell()
        self._worker.run(NOW, lambda: self._fit(wanted))
        if number == 0:
            self._worker.idle(self._sample_more)

    def renamed(self, old: str, new: str) -> None:
        """Rows and marks of a class are of a class of another name from now on."""
        with self._changed:
            extra = tuple(new if title == old else title for title in self.learnt.extra)
            self.learnt = replace(self.learnt, extra=extra)
        self._worker.run(NOW, lambda: self._rename(old, new))

    def _rename(self, old: str, new: str) -> None:
        """Rename the class in lessons, so that they need not be made anew."""
        for name, (key, lessons) in self._lessons.items():
            if old in lessons.titles:
                titles = tuple(new if title == old else title for title in lessons.titles)
                words = (one.partition(" ") for one in key)
                moved = tuple(f"{number} {new if t == old else t}" for number, _, t in words)
                self._lessons[name] = moved, replace(lessons, titles=titles)

    def model(self, names: ClassNames) -> Segmenter:
        """The model as it is now: with names, and with what it has learnt.

        Args:
            names: of the clusters.
        """
        with self._changed:
            fitted = self._fitted
        if fitted is None:
            return self._leaves.model.named(names)
        named, head, extra, marks = fitted
        network, taught_names = with_head(named, head, extra, LabelsUsed(marks))
        config = make_config(**named.config.model_dump() | TAUGHT)
        return Segmenter(network, config, precision=named.precision, class_names=taught_names)

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    # --- in the thread of the worker

    def _fit(self, wanted: _Wanted, *, quick: bool = True) -> None:
        """Collect the lessons, and fit the head, if nothing else is wanted meanwhile."""
        try:
            if wanted is self._current():
                self._fit_now(wanted, quick=quick)
        except Exception as error:  # the maps stay as they were
            _LOG.exception("the head could not be fitted")
            note = f"the last marks are saved, but could not be learnt from ({error})"
            self._take(wanted, self._fitted, replace(_NONE, notes=(note,)))

    def _fit_now(self, wanted: _Wanted, *, quick: bool) -> None:
        missing = [name for name, events in wanted.marked.items() if not self._knows(name, events)]
        for name in missing[:_AT_ONCE]:
            events = wanted.marked[name]
            self._lessons[name] = _key(events), self._lessons_in(name, events)
        if len(missing) > _AT_ONCE:  # many at once, at the start: maps in view come first
            self._worker.run(QUEUE, lambda: self._fit(wanted))
            return
        for name in set(self._lessons) - set(wanted.marked):
            del self._lessons[name]
        lessons = self._joined()
        sample = self._sample.cells() if lessons.count else _NONE.cells
        if not len(sample):
            self._take(wanted, None, lessons)
            return
        model = self._model(wanted.names)
        if quick and wanted.quick:
            self._fit_quickly(wanted, model, lessons, sample)
        with self._changed:
            self._job = _Job(wanted, model, lessons, sample)
            self._changed.notify()

    def _fit_quickly(
        self, wanted: _Wanted, model: Segmenter, lessons: Lessons, sample: Tensor
    ) -> None:
        some = sample[:: -(-len(sample) // _QUICK_SAMPLE)]
        task = exercise(model, _fewer(lessons), some)
        head = fit_head(
            task.start, task.marks, task.classes, before=self._before(task), rounds=1,
            steps=_QUICK_STEPS,
        )  # fmt: skip
        self._take(wanted, (model, head, task.extra(head), lessons.count), lessons)

    def _before(self, task: Exercise) -> Head | None:
        """The present rows, in the order of a new task; new classes start as usual."""
        rows = self._leaves.rows.learnt
        if rows is None:
            return None
        count = len(task.start.rows)
        known = dict(zip(self.learnt.extra, range(count, len(rows[0])), strict=True))
        parts, offsets, owners = [rows[0][:count]], [rows[1][:count]], task.start.classes.tolist()
        for number in sorted(set(task.marks.classes.tolist()) - set(owners)):
            place = known.get(task.titles[number])
            if place is None:
                cells = task.marks.cells[task.marks.classes == number].mean(0)
                parts.append(SHARPNESS * F.normalize(cells, dim=0)[None])
                offsets.append(torch.zeros(1))
            else:
                parts.append(rows[0][place : place + 1])
                offsets.append(rows[1][place : place + 1])
            owners.append(number)
        return Head(torch.cat(parts), torch.cat(offsets), torch.tensor(owners))

    def _knows(self, name: str, events: tuple[Event, ...]) -> bool:
        return name in self._lessons and self._lessons[name][0] == _key(events)

    def _lessons_in(self, name: str, events: tuple[Event, ...]) -> Lessons:
        number = self._leaves.photos.number(name)
        if number is None:
            return replace(_NONE, notes=(f"{name}: is not in this folder; its marks are kept",))
        if note := change_since(self._leaves.photos.folder.photos[number], events):
            return replace(_NONE, notes=(note,))
        try:
            return lessons_in(name, events, self._leaves.features(number))
        except DataError as error:
            return replace(_NONE, notes=(f"{error}; its marks are kept",))

    def _joined(self) -> Lessons:
        """The lessons of all photos, in the order of the folder."""
        number = self._leaves.photos.number
        names = sorted(self._lessons, key=lambda name: (number(name) or 0, name))
        return _NONE.joined(*(self._lessons[name][1] for name in names))

    def _model(self, names: ClassNames) -> Segmenter:
        if self._named is None or self._named[0] != names:
            self._named = names, self._leaves.model.named(names)
        return self._named[1]

    def _sample_more(self) -> bool:
        if self._sample.step():
            return True
        wanted = self._current()
        if wanted is not None and wanted.marked:  # now with the whole sample
            self._worker.run(QUEUE, lambda: self._fit(wanted, quick=False))
        return False

    def _take(
        self, wanted: _Wanted, fitted: _Fitted | None, lessons: Lessons, *, settled: bool = False
    ) -> None:
        """Use what was fitted, unless something else is wanted meanwhile."""
        with self._changed:
            if self._wanted is not wanted:
                return
            self._fitted = fitted
            if fitted is not None:
                state: State = "settled" if settled else "quick"
                self._leaves.use((fitted[1].rows, fitted[1].offsets))
                self.learnt = Learnt(state, lessons.count, lessons.notes, tuple(fitted[2]))
            else:
                if self._leaves.rows.learnt is not None:
                    self._leaves.use(None)
                self.learnt = Learnt("none", 0, lessons.notes)
        self._tell()

    def _current(self) -> _Wanted | None:
        with self._changed:
            return self._wanted

    # --- in its own thread

    def _settle(self) -> None:
        while True:
            with self._changed:
                while not (self._ended or self._job):
                    self._changed.wait()
                job, self._job = self._job, None
            if self._ended or job is None:
                return
            try:
                self._fit_settled(job)
            except _Outdated:
                pass
            except Exception:
                _LOG.exception("the head could not be fitted")
                self.learnt = replace(self.learnt, state="settled")  # the quick fit stays
                self._tell()

    def _fit_settled(self, job: _Job) -> None:
        def check() -> None:
            if self._ended or self._job is not None or self._wanted is not job.wanted:
                raise _Outdated

        until = time.monotonic() + (_PAUSE if job.wanted.quick else _PATIENCE)
        while time.monotonic() < until:
            check()
            time.sleep(_PAUSE / 10)
        task = exercise(job.model, job.lessons, job.sample)
        head = fit_head(task.start, task.marks, task.classes, check=check)
        fitted = job.model, head, task.extra(head), job.lessons.count
        self._take(job.wanted, fitted, job.lessons, settled=True)


class _Sample:
    """Random cells of random photos, as `annotation.lessons.sample_cells` takes them.

    They are collected one photo at a time. Until all are there, those that are do instead.
    """

    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        self._photos = sampled_photos(leaves.photos.folder)
        self._found: list[NDArray[np.float16]] = []
        self._place = 0
        self._whole: Tensor | None = None

    def cells(self) -> Tensor:
        """(M, D) float32 features; none if no photo can be read."""
        while not self._found and self.step():
            pass
        if self._whole is None and self._found:
            return torch.from_numpy(np.concatenate(self._found)).float()
        return torch.zeros(0, 0) if self._whole is None else self._whole

    def step(self) -> bool:
        """Look at one more photo; False after the last."""
        if self._place == 0:
            kept = self._leaves.cache.sample(self._photos)
            if kept is not None:
                self._finish(kept)
        if self._place == len(self._photos):
            return False
        number = self._leaves.photos.number(self._photos.photos[self._place].name)
        if number is not None:
            with suppress(DataError):
                features = self._leaves.features(number, hold=False)
                self._found.append(drawn_cells(features, self._place, len(self._photos)))
        self._place += 1
        if self._place == len(self._photos) and self._found:
            cells = np.concatenate(self._found)
            with suppress(PicieError):  # it only takes longer the next time
                self._leaves.cache.keep_sample(self._photos, cells)
            self._finish(cells)
        return self._place < len(self._photos)

    def _finish(self, cells: NDArray[np.float16]) -> None:
        self._whole = torch.from_numpy(cells).float()
        self._found = [cells]
        self._place = len(self._photos)


def _key(events: Iterable[Event]) -> tuple[str, ...]:
    return tuple(f"{event.id} {event.title}" for event in events)


def _fewer(lessons: Lessons) -> Lessons:
    """Of many strokes, a few cells each; all of a few strokes."""
    if lessons.count <= _QUICK_STROKES:
        return lessons
    sizes = lessons.strokes.bincount()
    first = sizes.cumsum(0) - sizes
    place = torch.arange(len(lessons.strokes)) - first[lessons.strokes]
    step = (sizes[lessons.strokes] / _QUICK_CELLS).ceil().long()
    chosen = place % step == 0
    return replace(
        lessons,
        cells=lessons.cells[chosen],
        classes=lessons.classes[chosen],
        strokes=lessons.strokes[chosen],
    )
