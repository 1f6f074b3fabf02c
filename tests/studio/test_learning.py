"""Learning from strokes: the settled maps are those of `picie teach`, the quick ones are near."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import picie
from picie.annotation.events import Event, digest_of_image, new_event
from picie.annotation.lessons import Lessons, lessons_in
from picie.annotation.log import append_events, read_annotations
from picie.annotation.teach import annotated
from picie.data.folder import open_folder
from picie.inference.segmenter import load
from picie.naming.name import names_of
from picie.studio import learning as module
from picie.studio.learning import Learning
from picie.studio.leaves import Leaves
from picie.studio.photos import Photos
from picie.studio.work import REST, Worker


class Pupil:
    """A run that learns from its own annotations."""

    def __init__(self, run: Path, photos: Path) -> None:
        self.run, self.worker = run, Worker()
        self.leaves = Leaves(
            load(run, named=False), Photos(open_folder(photos, "train"), run / "studio"), run
        )
        self.states: list[str] = []
        self.learning = Learning(self.leaves, self.worker, self._note)

    def _note(self) -> None:
        self.states.append(self.learning.learnt.state)

    def say(self, *events: Event) -> None:
        """Add events, and learn from all."""
        append_events(self.run / "annotations.jsonl", events)
        self.follow()

    def follow(self) -> None:
        """Learn from names and annotations as they are now."""
        marked = read_annotations(self.run / "annotations.jsonl").by_image()
        self.learning.follow(names_of(self.run, self.leaves.model.clusters), marked)

    def wait(self, *states: str) -> None:
        """Wait until nothing waits in the worker, and learning is in a state."""
        until = time.monotonic() + 60
        while True:
            self.worker.run(REST, lambda: None).result(60)
            if self.learning.learnt.state in states:
                return
            assert time.monotonic() < until, self.states
            time.sleep(0.01)

    def map(self, number: int) -> NDArray[np.uint8]:
        """The leaves of a photo."""
        content = self.worker.run(REST, lambda: self.leaves.frames([number])[0]).result(60)
        return np.frombuffer(content, np.uint8, offset=16)


@pytest.fixture
def pupil(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> Iterator[Pupil]:
    """A copy of a run with two names."""
    folder = tmp_path / "run"
    shutil.copytree(runs["default"], folder)
    picie.name(folder, {"0": "ground", "1": "thing"})
    made = Pupil(folder, scenes)
    yield made
    made.learning.stop()
    made.worker.stop()


@pytest.fixture
def stroke(scenes: Path) -> Callable[..., Event]:
    """Makes strokes, in the photo of a place."""
    photos = open_folder(scenes, "train").photos

    def make(title: str, place: int = 0, **changes: Any) -> Event:
        values = {
            "act": "stroke",
            "image": photos[place].name,
            "size": [64, 48],
            "digest": digest_of_image(photos[place].path),
            "class": title,
            "points": [[8, 8], [30, 20]],
            "radius": 6,
        }
        return new_event("test", **values | changes)

    return make


def test_the_settled_rows_are_those_of_the_taught_model(
    pupil: Pupil, stroke: Callable[..., Event], scenes: Path
) -> None:
    pupil.say(stroke("thing"), stroke("bird", 1), stroke("ground", 2), stroke("ignore", 3))
    pupil.wait("settled")
    taught = load(pupil.run).taught(annotated(pupil.run, open_folder(scenes, "train")))
    rows = pupil.leaves.rows.learnt
    assert rows is not None
    assert torch.equal(rows[0], taught.network.centroids[0])
    assert torch.equal(rows[1], taught.network.offsets[0])
    learnt = pupil.learning.learnt
    assert (learnt.marks, learnt.extra, learnt.notes) == (4, ("ignore", "bird"), ())
    model = pupil.learning.model(names_of(pupil.run, pupil.leaves.model.clusters))
    assert model.names == taught.names
    photo = open_folder(scenes, "val").photos[0].path
    assert np.array_equal(model.predict(photo), taught.predict(photo))


def test_a_quick_fit_comes_first_and_is_near(
    pupil: Pupil, stroke: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = pupil.map(0)
    monkeypatch.setattr(Learning, "_fit_settled", lambda *args: None)
    pupil.say(*(stroke("thing", place) for place in range(6)), stroke("bird"))
    pupil.wait("quick")
    quick = pupil.map(0)
    assert pupil.states == ["fitting", "quick"]
    assert pupil.learning.learnt.extra == ("bird",)
    assert (quick != base).any()
    monkeypatch.undo()
    pupil.say(stroke("thing", 2, points=[[60, 40]]))
    pupil.wait("settled")
    assert pupil.states[2:] == ["fitting", "quick", "settled"]
    assert (quick == pupil.map(0)).mean() > 0.8


def test_without_strokes_the_maps_are_those_of_the_centroids(
    pupil: Pupil, stroke: Callable[..., Event]
) -> None:
    base, version = pupil.map(0), pupil.leaves.rows.version
    event = stroke("bird")
    pupil.say(event)
    pupil.wait("settled")
    pupil.say(new_event("test", act="undo", of=event.id))
    pupil.wait("none")
    assert np.array_equal(pupil.map(0), base)
    assert pupil.leaves.rows.version > version + 1
    assert pupil.learning.learnt.extra == ()
    assert pupil.learning.model(names_of(pupil.run, pupil.leaves.model.clusters)).labels is None


def test_an_eraser_counts_as_much_as_an_undo(pupil: Pupil, stroke: Callable[..., Event]) -> None:
    pupil.say(stroke("bird"), stroke("", act="erase", radius=60))
    pupil.wait("none")
    assert pupil.leaves.rows.learnt is None


def test_names_keep_the_maps_until_the_head_is_fitted_again(
    pupil: Pupil, stroke: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    pupil.say(stroke("thing"), stroke("ground", 1))
    pupil.wait("settled")
    version = pupil.leaves.rows.version
    picie.name(pupil.run, {"2": "thing"}, colours={"thing": "#123456"})
    pupil.follow()
    assert (pupil.leaves.rows.version, pupil.learning.learnt.state) == (version, "settled")
    pupil.wait("settled")
    until = time.monotonic() + 60
    while pupil.leaves.rows.version == version:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert pupil.states == ["fitting", "quick", "settled", "settled"]
    picie.name(pupil.run, colours={"thing": "#654321"})  # a colour teaches nothing
    pupil.follow()
    pupil.wait("settled")
    time.sleep(0.3)
    assert pupil.leaves.rows.version == version + 1


def test_only_photos_whose_marks_changed_are_looked_at_again(
    pupil: Pupil, stroke: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    pupil.say(stroke("thing"), stroke("ground", 1))
    pupil.wait("settled")
    looked: list[str] = []

    def noted(image: str, *rest: Any) -> Any:
        looked.append(image)
        return lessons_in(image, *rest)

    monkeypatch.setattr(module, "lessons_in", noted)
    pupil.say(stroke("thing", 1, points=[[50, 40]]))
    pupil.wait("settled")
    assert looked == [stroke("thing", 1).image]


def test_a_renamed_class_keeps_its_row_and_its_lessons(
    pupil: Pupil, stroke: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    pupil.say(stroke("bird"), stroke("thing", 1))
    pupil.wait("settled")
    pupil.learning.renamed("bird", "crow")
    assert pupil.learning.learnt.extra == ("crow",)
    monkeypatch.setattr(module, "lessons_in", None)  # is not needed
    events = read_annotations(pupil.run / "annotations.jsonl").by_image()
    moved = {
        name: tuple(replace(e, title="crow") if e.title == "bird" else e for e in marks)
        for name, marks in events.items()
    }
    pupil.learning.follow(names_of(pupil.run, pupil.leaves.model.clusters), moved)
    pupil.wait("settled")
    assert pupil.learning.learnt.extra == ("crow",)
    assert pupil.learning.learnt.notes == ()


def test_what_cannot_be_learnt_from_is_said(
    pupil: Pupil, stroke: Callable[..., Event], scenes: Path
) -> None:
    pupil.say(
        stroke("thing"), stroke("thing", 1, image="elsewhere"), stroke("thing", 2, digest="0")
    )
    pupil.wait("settled")
    notes = "; ".join(pupil.learning.learnt.notes)
    assert "elsewhere: is not in this folder" in notes
    assert "has changed since it was annotated" in notes
    assert pupil.learning.learnt.marks == 1


def test_an_error_of_a_fit_leaves_the_maps_and_is_said(
    pupil: Pupil, stroke: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise ValueError("a matrix is odd")

    monkeypatch.setattr(module, "exercise", fail)
    pupil.say(stroke("thing"))
    pupil.wait("none")
    (note,) = pupil.learning.learnt.notes
    assert "could not be learnt from (a matrix is odd)" in note
    monkeypatch.undo()
    pupil.say(stroke("thing", 1))
    pupil.wait("settled")
    assert pupil.learning.learnt.notes == ()


def test_many_strokes_give_the_quick_fit_a_few_cells_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = [12, 3, 12, 1]
    strokes = torch.arange(4).repeat_interleave(torch.tensor(sizes))
    lessons = Lessons(("a",), torch.rand(28, 2), torch.zeros(28, dtype=torch.int64), strokes, 2)
    assert module._fewer(lessons) is lessons
    monkeypatch.setattr(module, "_QUICK_STROKES", 3)
    assert module._fewer(lessons).strokes.bincount().tolist() == [6, 3, 6, 1]


def test_many_annotated_photos_are_looked_at_in_parts(
    pupil: Pupil, stroke: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    pupil.say(*(stroke("thing", place) for place in range(6)))
    pupil.wait("settled")
    assert pupil.learning.learnt.marks == 6
