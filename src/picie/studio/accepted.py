"""Masks that a person accepted, and the labelled set that is made of them.

RUN/accepted/ has a mask for each accepting, named by its event: the classes that the model gave the
pixels then, so that what the model learns later does not change them. Marks of the photo are drawn
over it in pixels when it is asked for, the later over the earlier; so strokes after the accepting,
their undo and an eraser count at once, and an eraser brings back what the model gave.

The mask is written before the event. A process that is killed in between leaves a mask that nobody
asks for.
"""

import json
import math
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from picie.annotation.audit import classes_of
from picie.annotation.cells import cells_of
from picie.annotation.events import MARKS, Event, digest_of_image
from picie.annotation.log import Annotations, read_annotations
from picie.data.folder import Photo, PhotoFolder, open_folder
from picie.data.images import read_image
from picie.data.listing import inside
from picie.data.lists import class_lines
from picie.data.opening import open_within
from picie.data.search import image_folder
from picie.data.trees import LocalTree
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter
from picie.models.class_names import read_classes
from picie.runs import ACCEPTED_FOLDER, ANNOTATIONS_FILE, CLASSES_FILE
from picie.runtime.files import PART, write_atomically, writing
from picie.runtime.progress import Reporter
from picie.runtime.storage import check_local
from picie.types import VOID

__all__ = [
    "Accepted",
    "LabelledSet",
    "PaintedMask",
    "labelled_set",
    "painted",
    "read_mask_file",
    "write_mask",
]

_IGNORE = "ignore"  # the title of marks for what is no class
_TITLES = "picie titles"  # text of a mask file
_ID = re.compile(r"[0-9a-f]{12}")
_NONE = 65535  # of the ids in memory: no class
_MOST_CLASSES = VOID
_MOST_PIXELS = 2 * 10**9


@dataclass(frozen=True, eq=False)
class PaintedMask:
    """The classes of a photo's pixels.

    Attributes:
        ids: (H, W) uint16, places in `titles`; 65535 = no class.
        titles: names of classes.
    """

    ids: NDArray[np.uint16]
    titles: tuple[str, ...]


@dataclass(frozen=True)
class LabelledSet:
    """What `labelled_set` wrote.

    Attributes:
        out: the folder.
        images: number of images.
        classes: names of the classes, by id.
        notes: what a person must know, a line each.
    """

    out: Path
    images: int
    classes: tuple[str, ...]
    notes: tuple[str, ...]


class Accepted:
    """The accepted masks of a run.

    Args:
        run: its folder.
        folder: the photos.
    """

    def __init__(self, run: Path, folder: PhotoFolder) -> None:
        self._run, self._folder = run, folder

    def keep(self, event: Event, photo: Photo, model: Segmenter) -> None:
        """Keep the mask that a model gives a photo; the event is to be appended afterwards.

        Args:
            event: the accepting, from `new_event`.
            photo: of the event.
            model: with names; as it is now.

        Raises:
            ConfigError: the model has no names.
            DataError: the photo cannot be read.
            PicieError: the mask cannot be written.
        """
        classes = classes_of(model)
        one = replace(self._folder, photos=(photo,))
        shown = next(model.predict_folder(one, workers=0))
        if shown.mask is None:
            raise DataError(shown.problem)
        lookup = np.full(max(model.clusters, int(shown.mask.max()) + 1) + 1, _NONE, np.uint16)
        lookup[list(classes.values())] = np.arange(len(classes))
        path = self._path(event.id)
        with writing(path):
            path.parent.mkdir(exist_ok=True)
        write_mask(path, PaintedMask(lookup[shown.mask], tuple(classes)))

    def holds(self, history: Annotations, image: str) -> bool:
        """Whether a photo is accepted, by a history of the run."""
        return any(event.act == "accept" for event in history.by_image().get(image, ()))

    def mask(self, history: Annotations, image: str) -> PaintedMask:
        """The mask of an accepted photo, with its marks drawn over it.

        Args:
            history: of the run.
            image: name of the photo.

        Raises:
            DataError: it was not accepted, or its mask is gone or damaged.
        """
        events = history.by_image().get(image, ())
        accepts = [event for event in events if event.act == "accept"]
        if not accepts:
            raise DataError(f"{image}: was not accepted")
        kept = read_mask_file(self._path(accepts[-1].id))
        now = _renamed_since(history, accepts[-1])
        titles = tuple(now.get(title, title) for title in kept.titles)
        return painted(replace(kept, titles=titles), events)

    def _path(self, event: str) -> Path:
        if not _ID.fullmatch(event):  # from a line that somebody wrote by hand
            raise DataError(f"the accepting {event!r} has no mask; accept the photo in the studio")
        return self._run / ACCEPTED_FOLDER / f"{event}.png"


def _renamed_since(history: Annotations, accept: Event) -> dict[str, str]:
    """The present name of each class that got another one since an event."""
    now: dict[str, str] = {}
    for event in reversed(history.valid):
        if event.id == accept.id:
            break
        if event.renamed:
            old, new = event.renamed
            now[old] = now.get(new, new)
    return now


# --- marks in pixels


def painted(mask: PaintedMask, events: Iterable[Event]) -> PaintedMask:
    """A mask with marks drawn over it, the later over the earlier; an eraser clears earlier ones.

    A mark covers the pixels whose centres it covers, by the rules of `annotation.cells`.

    Args:
        mask: of one photo; its arrays are not changed.
        events: of that photo that count, in order.
    """
    titles = list(mask.titles)
    marks: NDArray[np.uint16] | None = None  # 1 + place in titles; 0 = none
    for event in events:
        if event.act not in MARKS and event.act != "erase":
            continue
        if marks is None:
            marks = np.zeros(mask.ids.shape, np.uint16)
        value = 0
        if event.act != "erase":
            if event.title not in titles:
                titles.append(event.title)
            value = titles.index(event.title) + 1
        _draw(marks, event, value)
    if marks is None:
        return mask
    return PaintedMask(np.where(marks > 0, marks - 1, mask.ids).astype(np.uint16), tuple(titles))


def _draw(marks: NDArray[np.uint16], event: Event, value: int) -> None:
    """Set the pixels that an event covers; only the part of the photo around it is looked at."""
    height, width = marks.shape
    scale = np.array([width / event.size[0], height / event.size[1]])
    rings = event.rings or (event.points,)
    places = np.array([point for ring in rings for point in ring]) * scale
    reach = event.radius * scale.max() + 2
    left, top = (max(0, math.floor(value - reach)) for value in places.min(0))
    right, bottom = (
        min(side, math.ceil(value + reach))
        for value, side in zip(places.max(0), (width, height), strict=True)
    )
    size = max(1, right - left), max(1, bottom - top)
    moved = [tuple((x * scale[0] - left, y * scale[1] - top) for x, y in ring) for ring in rings]
    near = replace(
        event,
        size=size,
        radius=event.radius * float(scale.max()),
        points=() if event.rings else moved[0],
        rings=tuple(moved) if event.rings else (),
    )
    part = marks[top : top + size[1], left : left + size[0]]
    part[cells_of(near, part.shape)] = value


# --- files


def write_mask(path: Path, mask: PaintedMask) -> None:
    """Write a mask as a PNG of ids, with the titles as a text in it.

    Raises:
        PicieError: it cannot be written.
    """
    deep = len(mask.titles) >= VOID
    ids = mask.ids if deep else np.minimum(mask.ids, VOID).astype(np.uint8)
    text = PngImagePlugin.PngInfo()
    text.add_text(_TITLES, json.dumps(list(mask.titles)))
    image = Image.fromarray(ids)

    def save(part: Path) -> None:
        image.save(part, "PNG", pnginfo=text, compress_level=3)

    write_atomically(path, save)


def read_mask_file(path: Path) -> PaintedMask:
    """Read what `write_mask` wrote.

    Raises:
        DataError: it is gone or damaged.
    """
    try:
        with open_within(path, ("PNG",), _MOST_PIXELS) as image:
            ids = np.array(image).astype(np.uint16)
            text = getattr(image, "text", {}).get(_TITLES, "")
        titles = json.loads(text)
        void = VOID if len(titles) < VOID else _NONE
        ids[ids == void] = _NONE
        if not all(isinstance(title, str) for title in titles):
            raise ValueError
        if ids.ndim != 2 or (ids[ids != _NONE] >= len(titles)).any():
            raise ValueError
    except FileNotFoundError:
        raise DataError(f"{path}: is gone; accept the photo again") from None
    except DataError:
        raise
    except Exception as error:  # decoders raise many kinds of errors on broken files
        raise DataError(f"{path}: is damaged ({error}); accept the photo again") from None
    return PaintedMask(ids, tuple(titles))


# --- the labelled set


def labelled_set(
    run: str | Path,
    photos: str | Path | PhotoFolder,
    out: str | Path,
    *,
    reporter: Reporter | None = None,
) -> LabelledSet:
    """Write the accepted photos with their masks: images/, masks/ and classes.txt.

    Photos are copied as they are. Masks hold the ids of the lines of classes.txt, and 255 where a
    pixel has no class; they are masks of the upright photos.

    Args:
        run: the run folder.
        photos: the photos that were accepted.
        out: a new folder.
        reporter: shows progress and notes; None = silent.

    Raises:
        ConfigError: the folder exists.
        DataError: nothing was accepted, or more classes than masks can hold.
        PicieError: a file cannot be written.
    """
    run, out, reporter = Path(run), Path(out), reporter or Reporter(quiet=True)
    if os.path.lexists(out):
        raise ConfigError(f"{out}: exists already; choose another folder, nothing is overwritten")
    folder = photos if isinstance(photos, PhotoFolder) else open_folder(photos)
    history = read_annotations(run / ANNOTATIONS_FILE)
    accepts = {event.image: event for event in history.valid if event.act == "accept"}
    chosen = [photo for photo in folder.photos if photo.name in accepts]
    notes: list[str] = []
    if lost := len(accepts) - len(chosen):
        notes.append(f"{lost} accepted photos are not in {folder.root}, and left out")
    part = out.with_name(f"{PART}{secrets.token_hex(4)}")
    writer = _Writer(Accepted(run, folder), folder, part, run)
    try:
        with writing(out), reporter.task("labelled set", len(chosen)) as advance:
            for photo in chosen:
                try:
                    writer.add(photo, accepts[photo.name], history)
                except DataError as error:
                    notes.append(f"{photo.name} is left out: {error}")
                advance(1)
            images = writer.finish(notes)
            os.rename(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    reporter.enumerate(notes)
    return LabelledSet(out, images, tuple(writer.classes), tuple(notes))


class _Writer:
    """Writes the images of a labelled set, and their masks once it is known how they are called.

    Args:
        accepted: the masks.
        folder: the photos.
        part: folder to write to.
        run: for the names of classes.
    """

    def __init__(self, accepted: Accepted, folder: PhotoFolder, part: Path, run: Path) -> None:
        self._accepted, self._folder, self._part = accepted, folder, part
        path = run / CLASSES_FILE
        named = read_classes(path).merged if path.exists() else ()
        self.classes = [one.name for one in named if not one.ignore]
        self._hidden = {_IGNORE, *(one.name for one in named if one.ignore)}
        self._masks: dict[str, Path] = {}  # by file of the image
        times = Counter(photo.file for photo in folder.photos)
        self._stacks = {file for file, count in times.items() if count > 1}  # one image per page
        root = check_local("picie studio reads", folder.root)
        self._root = root / image_folder(LocalTree(root)) if root.is_dir() else root.parent

    def add(self, photo: Photo, accept: Event, history: Annotations) -> None:
        """Copy a photo, and draw its mask.

        Raises:
            DataError: the photo is another one now, or its mask is gone.
        """
        if accept.digest and accept.digest != digest_of_image(photo.path):
            raise DataError(f"{photo.file} has changed since it was accepted; accept it again")
        mask = self._accepted.mask(history, photo.name)
        lookup = np.full(_NONE + 1, VOID, np.uint8)
        for place, title in enumerate(mask.titles):
            if title not in self._hidden and (mask.ids == place).any():
                lookup[place] = self._class(title)
        file = self._copied(photo)
        drawn = self._part / "drawn" / f"{len(self._masks)}.png"
        drawn.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(lookup[mask.ids]).save(drawn, "PNG", compress_level=6)
        self._masks[str(file)] = drawn

    def finish(self, notes: Sequence[str]) -> int:
        """Give the masks the names of their images, and write classes.txt; return their number.

        Raises:
            DataError: there is none.
        """
        if not self._masks:
            first = f"; {notes[0]}" if notes else ""
            raise DataError(
                f"no photo of {self._folder.root} was accepted{first}; accept masks in the studio"
            )
        for photo in open_folder(self._part).photos:
            target = self._part / "masks" / f"{photo.name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(self._masks[photo.file], target)
        (self._part / "drawn").rmdir()
        (self._part / "classes.txt").write_text(class_lines(self.classes), encoding="utf-8")
        return len(self._masks)

    def _class(self, title: str) -> int:
        if title not in self.classes:
            self.classes.append(title)
            if len(self.classes) > _MOST_CLASSES:
                raise ConfigError(f"more than {_MOST_CLASSES} classes: masks can hold no more")
        return self.classes.index(title)

    def _copied(self, photo: Photo) -> Path:
        """The copy of a photo; of a page, an image of its own."""
        if photo.file in self._stacks:
            target = self._part / "images" / f"{photo.name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            page = read_image(photo.path, self._folder.reading, photo.page)
            Image.fromarray(page).save(target, "PNG", compress_level=6)
            return target
        target = self._part / "images" / inside(self._root, photo.file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo.file, target)
        return target
