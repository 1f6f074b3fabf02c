"""The order of the photos, and how much the model doubts them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from picie.annotation.features import feature_maps
from picie.annotation.queue import ACCEPTED, doubts, next_images, spread, summaries
from picie.data.folder import open_folder
from picie.data.reading import Reading
from picie.inference.segmenter import Segmenter
from picie.studio import queue as module
from picie.studio.index import WHOLE, Index
from picie.studio.photos import Photos
from picie.studio.queue import Queue
from picie.types import LabelsUsed


class Ordered:
    """A queue whose model may be replaced."""

    def __init__(self, model: Segmenter, scenes: Path, folder: Path) -> None:
        self.photos = Photos(open_folder(scenes, reading=Reading()), folder / "cache")
        self.index = Index(self.photos, model, folder / "index")
        self.model, self.version = model, 0
        self.queue = Queue(self.index, lambda: (self.version, self.model))

    def look(self, *numbers: int) -> None:
        found = feature_maps(self.model, self.photos.folder)
        for number, (_, features) in enumerate(found):
            if number in numbers:
                assert features is not None
                self.index.add(number, features)

    def update(self) -> int:
        steps = 1
        while self.queue.step():
            steps += 1
        return steps


@pytest.fixture
def ordered(model: Segmenter, scenes: Path, tmp_path: Path) -> Iterator[Ordered]:
    made = Ordered(model, scenes, tmp_path)
    yield made
    made.index.close()


def test_doubts_are_those_of_the_engine(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PART", 2)
    ordered.look(*range(9))
    assert ordered.update() == 5
    known = doubts(ordered.model, list(summaries(ordered.model, ordered.photos.folder)))
    np.testing.assert_allclose(ordered.queue.doubts(), known.doubts.sum(1), atol=2e-3)
    assert ordered.update() == 1


def test_photos_that_were_not_looked_at_have_no_doubt(ordered: Ordered) -> None:
    assert np.isnan(ordered.queue.doubts()).all()
    ordered.look(2, 3)
    ordered.update()
    assert np.flatnonzero(~np.isnan(ordered.queue.doubts())).tolist() == [2, 3]
    ordered.look(5)
    ordered.update()
    assert np.flatnonzero(~np.isnan(ordered.queue.doubts())).tolist() == [2, 3, 5]


def test_another_model_doubts_anew(ordered: Ordered) -> None:
    ordered.look(*range(9))
    ordered.update()
    before = ordered.queue.doubts()
    ordered.model = ordered.model.cut(5)
    ordered.update()
    np.testing.assert_array_equal(ordered.queue.doubts(), before)
    ordered.version = 1
    ordered.update()
    assert (ordered.queue.doubts() != before).all()


def test_the_first_photos_are_spread_over_the_folder(ordered: Ordered) -> None:
    assert ordered.queue.next({}, None, 9) == spread(9).tolist()
    touched = {ordered.photos.names[0]: 3}
    assert ordered.queue.next(touched, None, 9) == [*spread(9).tolist()[1:], 0]
    assert ordered.queue.next({}, None, 2) == spread(9).tolist()[:2]


def test_from_40_marks_on_the_order_is_that_of_the_engine(ordered: Ordered) -> None:
    ordered.look(*range(9))
    ordered.update()
    touched = {ordered.photos.names[0]: 25, ordered.photos.names[3]: 25}
    every = list(summaries(ordered.model, ordered.photos.folder))
    wanted = [ordered.photos.number(name) for name in next_images(ordered.model, every, touched)]
    assert ordered.queue.next(touched, None, 9) == wanted
    assert wanted != spread(9).tolist()


def test_photos_that_are_not_known_come_behind_those_that_are(ordered: Ordered) -> None:
    ordered.look(1, 5)
    ordered.update()
    order = ordered.queue.next({ordered.photos.names[1]: 50}, None, 9)
    assert order[:2] == [5, 1]
    assert order[2:] == [number for number in spread(9).tolist() if number not in (1, 5)]


def test_accepted_and_unreadable_photos_are_never_next(ordered: Ordered) -> None:
    ordered.index.fail(4, "broken")
    touched = {ordered.photos.names[0]: ACCEPTED + 2}
    assert sorted(ordered.queue.next(touched, None, 99)) == [1, 2, 3, 5, 6, 7, 8]
    every = dict.fromkeys(ordered.photos.names, ACCEPTED)
    assert ordered.queue.next(every, None, 9) == []


def test_a_photo_that_was_passed_comes_back_last(ordered: Ordered) -> None:
    seen, after = list[int](), None
    for _ in range(9):
        after = ordered.queue.next({}, after, 1)[0]
        seen.append(after)
    assert seen == spread(9).tolist()
    assert ordered.queue.next({}, after, 3) == spread(9).tolist()[:3]
    assert ordered.queue.next({}, 0, 9)[-1] != 0
    assert len(ordered.queue.next({}, 0, 9)) == 8
    assert ordered.queue.next({}, 999, 9)


def test_the_number_of_marks_is_that_of_the_engine() -> None:
    from picie.annotation import queue

    assert module._FIRST == queue._FIRST


def test_after_strokes_the_counts_are_those_of_the_moved_rows(ordered: Ordered) -> None:
    ordered.look(*range(9))
    ordered.update()
    assert np.array_equal(ordered.queue.counts(), ordered.index.counts())
    old = ordered.model
    rows = old.network.view_centroids(0)[0]
    offsets = torch.zeros(len(rows))
    offsets[0] = 1e6  # this row wins everywhere
    network = old.network.taught(
        rows, old.network.view_centroids(0)[1], offsets, old.network.trees[0], LabelsUsed(1)
    )
    ordered.model, ordered.version = Segmenter(network, old.config), 1
    ordered.update()
    counts = ordered.queue.counts()
    assert counts.shape == (9, len(rows))
    assert (counts[:, 0] == WHOLE).all()
    assert not counts[:, 1:].any()
