"""What a person said about images, as cells of the feature map: what the head learns from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.annotation.cells import contradictions, marked_cells
from picie.annotation.events import Event, digest_of_image
from picie.annotation.features import FeatureCache, Features
from picie.data.folder import Photo, PhotoFolder
from picie.data.images import read_image, stored_orientation, stored_pixels
from picie.data.listing import few
from picie.errors import DataError
from picie.runtime.progress import Reporter
from picie.runtime.random import Stream, numpy_generator

__all__ = [
    "Lessons",
    "change_since",
    "check_some",
    "drawn_cells",
    "lessons_in",
    "lessons_of",
    "marks_of",
    "mask_lessons",
    "sample_cells",
    "sampled_photos",
]

_SAMPLED_IMAGES = 200
_SAMPLED_CELLS = 6000
_MOST_CELLS = 12  # of one stroke or area: more of them say the same, and take longer
_LEAST_OVERLAP = 4  # cells; neighbouring strokes share a few at their edges


@dataclass(frozen=True, eq=False)
class Lessons:
    """Cells with a class.

    Attributes:
        titles: names of the classes.
        cells: (S, D) float32 features, of any length.
        classes: (S,) int64, positions in `titles`.
        strokes: (S,) int64, 0..n-1, the stroke or area that covers each cell.
        images: number of images that they are in.
        notes: what a person must know: images that are gone, marks that contradict each other.
    """

    titles: tuple[str, ...]
    cells: Tensor
    classes: Tensor
    strokes: Tensor
    images: int
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """n, the number of strokes and areas."""
        return int(self.strokes.max()) + 1 if len(self.strokes) else 0

    def joined(self, *others: "Lessons") -> "Lessons":
        """All together, in their order; no image is in two of them."""
        every = (self, *others)
        images = sum(one.images for one in every)
        notes = tuple(note for one in every for note in one.notes)
        some = [one for one in every if one.count]
        if len(some) < 2:
            return replace(some[0] if some else self, images=images, notes=notes)
        titles = tuple(dict.fromkeys(title for one in some for title in one.titles))
        place = {title: number for number, title in enumerate(titles)}
        classes, strokes, before = list[Tensor](), list[Tensor](), 0
        for one in some:
            classes.append(torch.tensor([place[title] for title in one.titles])[one.classes])
            strokes.append(one.strokes + before)
            before += one.count
        cells = torch.cat([one.cells for one in some])
        return Lessons(titles, cells, torch.cat(classes), torch.cat(strokes), images, notes)


def lessons_of(
    marked: dict[str, tuple[Event, ...]],
    photos: PhotoFolder,
    cache: FeatureCache,
    *,
    audit: bool = False,
    reporter: Reporter | None = None,
) -> Lessons:
    """The cells under the marks of a person.

    Args:
        marked: the events that count, by image (`Annotations.by_image`).
        photos: the images that they are of.
        cache: of the features.
        audit: answers of an audit count as marks too.
        reporter: shows progress; None = silent.
    """
    wanted = {name: marks_of(events, audit=audit) for name, events in marked.items()}
    wanted = {name: events for name, events in wanted.items() if any(e.title for e in events)}
    touched = tuple(photo for photo in photos.photos if photo.name in wanted)
    notes = _missing(wanted, touched, photos)
    builder = _Builder(notes)
    changes = {photo: change_since(photo, wanted[photo.name]) for photo in touched}
    notes += [change for change in changes.values() if change]
    chosen = tuple(photo for photo in touched if not changes[photo])
    some = replace(photos, photos=chosen)
    for photo, features, problem in cache.each(some, reporter=reporter, task="annotated images"):
        if features is None:
            count = _count(len(wanted[photo.name]), "annotation")
            notes.append(f"{problem}: {count} kept, and not counted here")
        else:
            builder.add_marks(photo.name, wanted[photo.name], features)
    return builder.lessons()


def lessons_in(image: str, events: Sequence[Event], features: Features) -> Lessons:
    """The cells under the marks of a person in one image.

    Args:
        image: its name.
        events: from `marks_of`.
        features: of the image.
    """
    builder = _Builder([])
    builder.add_marks(image, events, features)
    return builder.lessons()


def mask_lessons(
    labelled: PhotoFolder, cache: FeatureCache, *, reporter: Reporter | None = None
) -> Lessons:
    """The cells of labelled images: the pixels of a class in an image weigh like one stroke.

    Args:
        labelled: with masks and classes.
        cache: of the features.
        reporter: shows progress; None = silent.
    """
    builder = _Builder([])
    some = replace(labelled, photos=labelled.labelled)
    for photo, features, problem in cache.each(some, reporter=reporter, task="labelled images"):
        if features is None:
            builder.notes.append(f"{problem}; its mask does not count")
            continue
        height, width = read_image(photo.path, labelled.reading, photo.page).shape[:2]
        turned = stored_orientation(photo.path)
        truth = labelled.truth(photo, image_size=(width, height), orientation=turned)
        rows = (np.arange(features.shape[1]) + 0.5) / features.shape[1] * truth.shape[0]
        columns = (np.arange(features.shape[2]) + 0.5) / features.shape[2] * truth.shape[1]
        cells = truth[rows.astype(np.int64)[:, None], columns.astype(np.int64)]
        for number, title in enumerate(labelled.classes):
            builder.add(photo.name, title, cells == number, features)
    return builder.lessons()


def sample_cells(photos: PhotoFolder, cache: FeatureCache, reporter: Reporter | None) -> Tensor:
    """(M, D) float32 features of random cells of random images.

    Args:
        photos: the images that the model is for.
        cache: of the features; the sample is kept there too.
        reporter: shows progress; None = silent.

    Raises:
        DataError: no image can be read.
    """
    some = sampled_photos(photos)
    kept = cache.sample(some)
    if kept is not None:
        return torch.from_numpy(kept).float()
    found, problem = list[NDArray[np.float16]](), ""
    for place, (_, features, reason) in enumerate(
        cache.each(some, keep=False, reporter=reporter, task="sampling images")
    ):
        if features is None:
            problem = problem or reason
            continue
        found.append(drawn_cells(features, place, len(some)))
    if not found:
        raise some.none_read(problem)
    sample = np.concatenate(found)
    cache.keep_sample(some, sample)
    return torch.from_numpy(sample).float()


def sampled_photos(photos: PhotoFolder) -> PhotoFolder:
    """The images that random cells are taken from: up to 200, spread over the folder."""
    draws = numpy_generator(Stream.TEACHING_IMAGES, 0)
    count = min(_SAMPLED_IMAGES, len(photos))
    places = sorted(draws.choice(len(photos), count, replace=False).tolist())
    return replace(photos, photos=tuple(photos.photos[place] for place in places))


def drawn_cells(features: Features, place: int, count: int) -> NDArray[np.float16]:
    """(M, D) random cells of one image.

    Args:
        features: of the image.
        place: of the image among those of `sampled_photos`.
        count: of these images.
    """
    flat = features.reshape(len(features), -1).T
    draws = numpy_generator(Stream.TEACHING_CELLS, 0, place)
    chosen: NDArray[np.float16] = flat[
        draws.choice(len(flat), min(len(flat), -(-_SAMPLED_CELLS // count)), replace=False)
    ]
    return chosen


class _Builder:
    """Collects cells."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self._cells: list[NDArray[np.float16]] = []
        self._titles: dict[str, int] = {}
        self._classes: list[int] = []
        self._images: set[str] = set()

    def add_marks(self, image: str, events: Sequence[Event], features: Features) -> None:
        size = features.shape[1], features.shape[2]
        owners = marked_cells(events, size)
        for position, event in enumerate(events):
            if event.title:
                self.add(image, event.title, owners == position, features)
        clashes = [one for one in contradictions(events, size) if one.cells >= _LEAST_OVERLAP]
        for clash in clashes[:1]:
            more = f", and {len(clashes) - 1} more" * (len(clashes) > 1)
            self.notes.append(
                f"{image}: {clash.later.description} covers {clash.cells} cells of an earlier mark "
                f"of {clash.earlier.title}{more}; the later one counts there"
            )

    def add(self, image: str, title: str, inside: NDArray[np.bool_], features: Features) -> None:
        places = np.flatnonzero(inside)
        if not len(places):
            return
        if len(places) > _MOST_CELLS:  # evenly over the area
            places = places[np.linspace(0, len(places) - 1, _MOST_CELLS).astype(np.int64)]
        self._cells.append(features.reshape(len(features), -1)[:, places].T)
        self._classes.append(self._titles.setdefault(title, len(self._titles)))
        self._images.add(image)

    def lessons(self) -> Lessons:
        counts = torch.tensor([len(cells) for cells in self._cells], dtype=torch.int64)
        cells = np.concatenate(self._cells) if self._cells else np.zeros((0, 0), np.float16)
        return Lessons(
            tuple(self._titles),
            torch.from_numpy(cells).float(),
            torch.tensor(self._classes, dtype=torch.int64).repeat_interleave(counts),
            torch.arange(len(counts)).repeat_interleave(counts),
            len(self._images),
            tuple(self.notes),
        )


def marks_of(events: Iterable[Event], *, audit: bool = False) -> tuple[Event, ...]:
    """The events of an image that give cells a class, and erasers between them.

    Args:
        events: that count, in order.
        audit: answers of an audit are marks too.
    """
    found = []
    for event in events:
        if event.act == "audit":
            title = event.title or event.predicted * event.right
            if audit and title:
                found.append(replace(event, act="stroke", title=title))
        elif event.act not in ("accept", "cluster"):
            found.append(event)
    return tuple(found)


def _missing(
    wanted: dict[str, tuple[Event, ...]], touched: Sequence[Photo], photos: PhotoFolder
) -> list[str]:
    gone = sorted(set(wanted) - {photo.name for photo in touched})
    if not gone:
        return []
    count = sum(len(wanted[name]) for name in gone)
    return [
        f"{photos.root} lacks {_count(len(gone), 'annotated image')} ({few(gone)}): "
        f"{_count(count, 'annotation')} kept, and not counted here"
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def change_since(photo: Photo, events: Sequence[Event]) -> str:
    """A note if the image is another than the one that was annotated; else "".

    Args:
        photo: as it is now.
        events: that annotated it.
    """
    digests = {event.digest for event in events if event.digest}
    sizes = {event.size[0] * event.size[1] for event in events}
    pixels = stored_pixels(photo.path)
    if (digests and digests != {digest_of_image(photo.path)}) or (pixels and sizes != {pixels}):
        return (
            f"{photo.path}: has changed since it was annotated: "
            f"{_count(len(events), 'annotation')} kept, and not counted until the old image is back"
        )
    return ""


def check_some(lessons: Lessons, where: str) -> None:
    """Raise unless there is something to learn.

    Args:
        lessons: all of them.
        where: the file and the folder, for the message.

    Raises:
        DataError: no cell has a class.
    """
    if not len(lessons.cells):
        reasons = "".join(f"; {note}" for note in lessons.notes[:3])
        raise DataError(
            f"{where}: no stroke or area to learn from{reasons}; draw some in picie studio, or "
            "give labelled images with --from"
        )
