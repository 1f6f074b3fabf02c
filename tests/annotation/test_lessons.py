"""Lessons: the cells under marks, with their classes, and what is said about the others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from picie.annotation.events import Event, digest_of_image, new_event
from picie.annotation.features import FeatureCache
from picie.annotation.lessons import Lessons, check_some, lessons_of, mask_lessons, sample_cells
from picie.data.folder import PhotoFolder, open_folder
from picie.errors import DataError
from picie.inference.segmenter import Segmenter


@pytest.fixture
def photos(scenes: Path) -> PhotoFolder:
    return open_folder(scenes, "train")


@pytest.fixture
def cache(model: Segmenter) -> FeatureCache:
    return FeatureCache(model, None)


def _event(photos: PhotoFolder, place: int, title: str, **changes: Any) -> Event:
    photo = photos.photos[place]
    values: dict[str, Any] = {
        "act": "box",
        "image": photo.name,
        "size": [64, 48],
        "digest": digest_of_image(photo.path),
        "class": title,
        "box": [0, 0, 32, 48],
    }
    return new_event("test", **values | changes)


def _lessons(
    photos: PhotoFolder, cache: FeatureCache, *events: Event, audit: bool = False
) -> Lessons:
    marked: dict[str, tuple[Event, ...]] = {}
    for event in events:
        marked[event.image] = (*marked.get(event.image, ()), event)
    return lessons_of(marked, photos, cache, audit=audit)


def test_cells_of_a_mark_are_the_features_at_its_place(
    photos: PhotoFolder, cache: FeatureCache
) -> None:
    lessons = _lessons(photos, cache, _event(photos, 0, "left"))
    ((_, features, _),) = cache.each(replace(photos, photos=photos.photos[:1]))
    assert features is not None
    left = torch.from_numpy(features[:, :, : features.shape[2] // 2]).float().flatten(1).T
    assert lessons.titles == ("left",)
    for cell in lessons.cells:
        assert (left == cell).all(1).any()


def test_strokes_are_numbered_and_titles_shared(photos: PhotoFolder, cache: FeatureCache) -> None:
    events = [_event(photos, place, title) for place, title in ((0, "a"), (1, "b"), (2, "a"))]
    lessons = _lessons(photos, cache, *events)
    assert lessons.titles == ("a", "b")
    assert lessons.count == lessons.images == 3
    assert [int(lessons.classes[lessons.strokes == n][0]) for n in range(3)] == [0, 1, 0]


def test_the_later_of_two_marks_has_the_cells_and_a_note_says_so(
    photos: PhotoFolder, cache: FeatureCache
) -> None:
    lessons = _lessons(photos, cache, _event(photos, 0, "a"), _event(photos, 0, "b"))
    assert lessons.titles == ("b",)
    assert any("earlier mark of a" in note for note in lessons.notes)


def test_audit_answers_count_only_if_asked(photos: PhotoFolder, cache: FeatureCache) -> None:
    answer = {"act": "audit", "point": [10.5, 10.5], "predicted": "a", "right": True, "class": ""}
    event = _event(photos, 0, "", **answer)
    assert _lessons(photos, cache, event).count == 0
    assert _lessons(photos, cache, event, audit=True).titles == ("a",)
    wrong = _event(photos, 0, "b", **answer | {"right": False, "class": "b"})
    assert _lessons(photos, cache, wrong, audit=True).titles == ("b",)


def test_masks_give_a_lesson_for_each_class_of_an_image(
    scenes: Path, model: Segmenter, cache: FeatureCache
) -> None:
    labelled = open_folder(scenes, "train", labelled=True, reading=model.config.reading)
    lessons = mask_lessons(labelled, cache)
    assert lessons.images == len(labelled)
    assert set(lessons.titles) <= set(labelled.classes)
    assert lessons.count >= 2 * len(labelled)


def test_joined_lessons_keep_their_classes_and_strokes_apart(
    photos: PhotoFolder, cache: FeatureCache
) -> None:
    first = _lessons(photos, cache, _event(photos, 0, "a"), _event(photos, 1, "b"))
    second = _lessons(photos, cache, _event(photos, 2, "b"), _event(photos, 3, "c"))
    both = first.joined(second)
    assert both.titles == ("a", "b", "c")
    assert both.count == 4
    assert [both.titles[int(both.classes[both.strokes == n][0])] for n in range(4)] == list("abbc")
    empty = _lessons(photos, cache)
    assert torch.equal(empty.joined(first).cells, first.cells)
    assert torch.equal(first.joined(empty).cells, first.cells)


def test_the_sample_is_the_same_each_time_and_from_many_images(
    photos: PhotoFolder, cache: FeatureCache
) -> None:
    first, second = (sample_cells(photos, cache, None) for _ in range(2))
    assert torch.equal(first, second)
    assert len(first) <= 6000 + len(photos)
    assert len(first.unique(dim=0)) > len(photos)


def test_nothing_to_learn_is_an_error_that_says_why(
    photos: PhotoFolder, cache: FeatureCache
) -> None:
    gone = _event(photos, 0, "a", image="gone")
    with pytest.raises(DataError, match=r"here: no stroke.*lacks 1 annotated image \(gone\)"):
        check_some(_lessons(photos, cache, gone), "here")
