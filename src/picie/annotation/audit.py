"""An audit: how good are the masks of a folder, from pixels that a person checks.

The sample has two stages (`metrics.stratified`): at most `MOST_IMAGES` images of the folder, and in
these, pixels of each predicted class. Nothing about it is stored, because each image and each pixel
has a random number of its own, made of the seed, the digest of the model and the name of the image:
the images and the pixels with the smallest numbers are checked. So the same model and folder give
the same checks again, more checks begin with the same ones, and a new photo changes few of them. A
changed model is checked in other places, which nobody has corrected because of an audit.

Answers are events of annotations.jsonl. They count as long as model, photo and pixel are the same.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.annotation.events import Event, Point, digest_of_image, new_event
from picie.data.folder import Photo, PhotoFolder, open_folder
from picie.errors import ConfigError, DataError
from picie.inference.manifest import model_digest
from picie.inference.segmenter import TILE, Prediction, Segmenter, loaded
from picie.metrics.stratified import (
    Proportion,
    Sample,
    accuracy_of,
    precisions_of,
    strata_in_order,
)
from picie.postprocessing.upsampling import Mask
from picie.runtime.progress import Reporter
from picie.runtime.random import Stream, numpy_generator
from picie.visualization.crops import marked_crop

__all__ = [
    "MOST_IMAGES",
    "AuditPlan",
    "AuditPlanning",
    "AuditResult",
    "Check",
    "answer",
    "answers_to",
    "audit_result",
    "audited_digest",
    "classes_of",
    "plan_audit",
    "render_crop",
]

MOST_IMAGES = 100
"""Most images of a folder that are predicted for an audit."""

_STRIP = 2**20  # pixels at once
_MOST_CHECKS = 100_000  # more than anybody answers


@dataclass(frozen=True)
class Check:
    """One pixel to judge.

    Attributes:
        image: name of the image.
        size: (W, H) of the upright image in pixels.
        digest: of the image file, as in `Event`.
        point: the centre of the pixel, (x, y).
        predicted: class in the mask.
        place: number of the image in the sample.
        stratum: number of the class.
    """

    image: str
    size: tuple[int, int]
    digest: str
    point: Point
    predicted: str
    place: int
    stratum: int


@dataclass(frozen=True, eq=False)
class AuditPlan:
    """What to check, and what the result is calculated from.

    Attributes:
        checks: the pixels, in the order of the questions.
        classes: names of the H classes.
        folder: the m images of the sample that could be read.
        pixels: (m, H) number of pixels of each class in each of them.
        total: number of images of the whole folder.
        nameless: share of the pixels that have no class, 0..100: they are not checked.
        model: digest of model and settings.
        seed: seed of the sample.
        problems: a line for each image of the sample that could not be read.
    """

    checks: tuple[Check, ...]
    classes: tuple[str, ...]
    folder: PhotoFolder
    pixels: NDArray[np.int64]
    total: int
    nameless: float
    model: str
    seed: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class AuditResult:
    """What the answers say about the masks of all images of the folder.

    Attributes:
        accuracy: share of the pixels with a class whose class is right, with its interval.
        precision: the same for the pixels of each predicted class.
        share: share of each class in the pixels of the sample, 0..100.
        wrong: for each predicted class, how many wrong pixels are of which class; "" = not said.
        checks: number of planned checks.
        images: number of images of the sample.
        total: number of images of the folder.
        nameless: share of the pixels without a class, 0..100.
        model: digest of model and settings.
        seed: seed of the sample.
    """

    accuracy: Proportion
    precision: dict[str, Proportion]
    share: dict[str, float]
    wrong: dict[str, dict[str, int]]
    checks: int
    images: int
    total: int
    nameless: float
    model: str
    seed: int

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values, with the design in words."""
        return {
            "audit": "pixels drawn at random within predicted classes, in randomly drawn images",
            "interval": "95 %, Wilson's with an effective number of checks",
            "accuracy": self.accuracy.to_json(),
            "precision": {name: one.to_json() for name, one in self.precision.items()},
            "share": dict(self.share),
            "wrong": {name: dict(found) for name, found in self.wrong.items()},
            "answered": self.accuracy.checks,
            "checks": self.checks,
            "images": self.images,
            "images_of_folder": self.total,
            "without_class": self.nameless,
            "model": self.model,
            "seed": self.seed,
        }


# --- the sample


def plan_audit(
    model: Segmenter | str | Path,
    photos: str | Path | PhotoFolder,
    checks: int = 100,
    *,
    seed: int = 0,
    size: int | None = None,
    tile: int = TILE,
    batch_size: int = 8,
    workers: int = -1,
    reporter: Reporter | None = None,
) -> AuditPlan:
    """Predict a sample of the images of a folder, and choose the pixels to check.

    Args:
        model: a model with names, or its folder.
        photos: a folder of images, an image, or an opened folder.
        checks: number of pixels to check.
        seed: of the sample.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: longest side processed at once, in pixels.
        batch_size: maximum number of images in a batch.
        workers: threads that read images; 0 = none, -1 = chosen from the cores.
        reporter: shows progress; None = silent.

    Raises:
        ConfigError: no check, an impossible option, or a model without names.
        DataError: no image could be read, or no pixel has a class.
    """
    reporter = reporter or Reporter(quiet=True)
    planning = AuditPlanning(
        model, photos, checks, seed=seed, size=size, tile=tile, batch_size=batch_size,
        workers=workers,
    )  # fmt: skip
    reporter.tell(planning.notes)
    with reporter.task("images of the sample", planning.total) as advance:
        for _ in planning:
            advance(1)
    reporter.enumerate(planning.problems)
    return planning.plan()


class AuditPlanning:
    """Plans an audit image by image: iterate over it, then ask for the plan.

    Args:
        model: as for `plan_audit`, which all others are as for.
        photos: a folder of images, an image, or an opened folder.
        checks: number of pixels to check.
        seed: of the sample.
        size: short side in pixels at which the network sees an image.
        tile: longest side processed at once, in pixels.
        batch_size: maximum number of images in a batch.
        workers: threads that read images.

    Attributes:
        model: as it reads the images.
        total: number of images of the sample.
        notes: what is to be known about the folder, a line each.
        problems: a line for each image that could not be read so far.

    Raises:
        ConfigError: no check, an impossible option, or a model without names.
        DataError: no images.
    """

    def __init__(
        self,
        model: Segmenter | str | Path,
        photos: str | Path | PhotoFolder,
        checks: int = 100,
        *,
        seed: int = 0,
        size: int | None = None,
        tile: int = TILE,
        batch_size: int = 8,
        workers: int = -1,
    ) -> None:
        if not 1 <= checks <= _MOST_CHECKS:
            raise ConfigError(f"{checks} checks: give 1 to {_MOST_CHECKS}; 100 are a good start")
        model = loaded(model)
        strata = classes_of(model)
        reading = model.config.reading
        folder = photos if isinstance(photos, PhotoFolder) else open_folder(photos, reading=reading)
        self.notes = folder.notes
        self.model = model.read_as(stretch=folder.reading.stretch)
        self._digest = audited_digest(self.model, size=size, tile=tile)
        self._sampled = replace(folder, photos=_sampled(folder.photos, self._digest, seed))
        self.total, self._all = len(self._sampled), len(folder)
        self.problems: list[str] = []
        self._pool = _Pool(strata, checks, seed, self._digest)
        self._predictions = self.model.predict_folder(
            self._sampled, batch_size=batch_size, size=size, tile=tile, workers=workers
        )

    def __iter__(self) -> Iterator[str]:
        """Predict the images, and yield the name of each."""
        for prediction in self._predictions:
            if prediction.mask is None:
                self.problems.append(prediction.problem)
            else:
                self._pool.add(prediction.name, prediction.mask)
            yield prediction.name

    def plan(self) -> AuditPlan:
        """The plan, once all images were predicted.

        Raises:
            DataError: no image could be read, or no pixel has a class.
        """
        if not self._pool.counts:
            raise self._sampled.none_read(self.problems[0])
        return self._pool.plan(self._sampled, self._all, self._digest, tuple(self.problems))


def classes_of(model: Segmenter) -> dict[str, int]:
    """The id of each named class, in their order.

    Args:
        model: with names.

    Raises:
        ConfigError: there is none.
    """
    named = model.class_names.merged if model.class_names is not None else ()
    titles = {one.name for one in named if not one.ignore}
    strata = {name: number for number, name in enumerate(model.names) if name in titles}
    if not strata:
        run = model.run or "RUN"
        raise ConfigError(
            f"{run}: its clusters have no names, so nobody can say whether one is right; name them "
            f"first: picie name {run} --set 3=road ..."
        )
    return strata


def audited_digest(model: Segmenter, *, size: int | None = None, tile: int = TILE) -> str:
    """16 hexadecimal digits that change with all that the classes of pixels depend on.

    Colours may change.

    Args:
        model: with names.
        size: short side in pixels at which the network sees an image.
        tile: longest side processed at once, in pixels.
    """
    names = model.class_names
    if names is not None:
        plain = tuple(replace(one, colour="") for one in names.classes)
        model = model.named(replace(names, classes=plain))
    return model_digest(model, size, tile)


def _sampled(photos: tuple[Photo, ...], model: str, seed: int) -> tuple[Photo, ...]:
    if len(photos) <= MOST_IMAGES:
        return photos

    def key(photo: Photo) -> tuple[float, str]:
        return _generator(Stream.AUDIT_IMAGES, seed, model, photo.name).random(), photo.name

    order = sorted(photos, key=key)
    return tuple(sorted(order[:MOST_IMAGES], key=lambda photo: photo.name))


def _generator(stream: Stream, seed: int, model: str, image: str) -> np.random.Generator:
    name = hashlib.sha256(image.encode("utf-8", "surrogateescape")).digest()
    return numpy_generator(stream, seed, int(model, 16), int.from_bytes(name[:8], "little"))


class _Pool:
    """The pixels of each class with the smallest random numbers, over all images so far."""

    def __init__(self, strata: dict[str, int], checks: int, seed: int, model: str) -> None:
        self.counts: list[NDArray[np.int64]] = []  # (H,) pixels of each class, by image
        self._classes, self._checks = tuple(strata), checks
        self._ids, self._seed, self._model = list(strata.values()), seed, model
        self._names: list[str] = []
        self._sizes: list[tuple[int, int]] = []
        self._found = np.zeros((0, 5))  # stratum, key, image, row, column

    def add(self, name: str, mask: Mask) -> None:
        """Draw from an image."""
        lookup = np.full(max(int(mask.max()), *self._ids) + 2, -1)  # the last is for IGNORED
        lookup[self._ids] = np.arange(len(self._ids))
        step = max(1, _STRIP // mask.shape[1])
        strips = range(0, len(mask), step)
        count = np.zeros(len(self._ids), np.int64)
        for top in strips:
            strata = lookup[mask[top : top + step]]
            count += np.bincount(strata.ravel() + 1, minlength=len(count) + 1)[1:]
        # Few enough to sort, and almost surely as many as needed.
        most = self._checks + 6 * np.sqrt(self._checks) + 12
        bound = np.append(most / np.maximum(count, 1), 0.0)  # and that of pixels without a class
        generator = _generator(Stream.AUDIT_PIXELS, self._seed, self._model, name)
        parts = [self._found]
        for top in strips:
            strata = lookup[mask[top : top + step]]
            keys = generator.random(strata.shape)
            rows, columns = np.nonzero(keys < bound[strata])
            there = strata[rows, columns], keys[rows, columns]
            image = np.full(len(rows), len(self.counts))
            parts.append(np.stack([*there, image, rows + top, columns], 1))
        found = np.concatenate(parts)
        found = found[np.lexsort((found[:, 1], found[:, 0]))]
        first = np.searchsorted(found[:, 0], found[:, 0])  # of the stratum of each row
        self._found = found[np.arange(len(found)) - first < self._checks]
        self.counts.append(count)
        self._names.append(name)
        self._sizes.append((mask.shape[1], mask.shape[0]))

    def plan(
        self, sampled: PhotoFolder, total: int, model: str, problems: tuple[str, ...]
    ) -> AuditPlan:
        """The checks, once all images were added.

        Raises:
            DataError: no pixel has a class.
        """
        pixels = np.stack(self.counts)
        if not pixels.any():
            raise DataError(
                f"{sampled.root}: no pixel of {len(pixels)} images has a class; name more clusters "
                "with picie name"
            )
        photos = {photo.name: photo for photo in sampled.photos}
        read = replace(sampled, photos=tuple(photos[name] for name in self._names))
        checks = tuple(self._checks_in_order(read, pixels.sum(0)))
        area = sum(width * height for width, height in self._sizes)
        nameless = 100.0 * (1 - int(pixels.sum()) / area)
        return AuditPlan(
            checks, self._classes, read, pixels, total, nameless, model, self._seed, problems
        )

    def _checks_in_order(self, read: PhotoFolder, pixels: NDArray[np.int64]) -> Iterator[Check]:
        starts = np.searchsorted(self._found[:, 0], np.arange(len(pixels)))
        taken: Counter[int] = Counter()
        digests: dict[int, str] = {}
        for stratum in strata_in_order(pixels, self._checks).tolist():
            _, _, image, row, column = self._found[starts[stratum] + taken[stratum]].tolist()
            taken[stratum] += 1
            place, point = int(image), (column + 0.5, row + 0.5)
            if place not in digests:
                digests[place] = digest_of_image(read.photos[place].file)
            size, predicted = self._sizes[place], self._classes[stratum]
            name, digest = self._names[place], digests[place]
            yield Check(name, size, digest, point, predicted, place, stratum)


# --- questions and answers


def render_crop(
    model: Segmenter, plan: AuditPlan, check: Check, *, size: int | None = None, tile: int = TILE
) -> Image.Image:
    """What a person looks at: the photo around the pixel, and the class of the mask beside it.

    Args:
        model: that of the plan.
        plan: the audit.
        check: one of its checks.
        size: as for the plan.
        tile: as for the plan.

    Raises:
        DataError: the photo has changed since, or cannot be read any more.
    """
    photo = plan.folder.photos[check.place]
    if digest_of_image(photo.file) != check.digest:
        raise DataError(
            f"{photo.file}: has changed since the audit was planned; start the audit again"
        )
    one = replace(plan.folder, photos=(photo,))
    shown: Prediction = next(model.predict_folder(one, size=size, tile=tile, workers=0))
    if shown.mask is None:
        raise DataError(shown.problem)
    belongs = shown.mask == model.names.index(check.predicted)
    return marked_crop(shown.image, belongs, check.point)


def answer(plan: AuditPlan, check: Check, *, right: bool, title: str = "", by: str) -> Event:
    """The event of an answer.

    Args:
        plan: the audit.
        check: one of its checks.
        right: whether the predicted class is right.
        title: the true class of a wrong one; "" = not said.
        by: who answers.

    Raises:
        ConfigError: an impossible name.
    """
    return new_event(
        by, act="audit", image=check.image, size=check.size, digest=check.digest,
        point=check.point, predicted=check.predicted, right=right, title="" if right else title,
        model=plan.model,
    )  # fmt: skip


def answers_to(plan: AuditPlan, events: Iterable[Event]) -> dict[Check, Event]:
    """The answer to each check that has one; the last, if there are several.

    Args:
        plan: the audit.
        events: those of annotations.jsonl that count, in order.
    """
    known = {_key(check): check for check in plan.checks}
    found = {}
    for event in events:
        if event.act == "audit" and event.model == plan.model:
            check = known.get((event.image, event.digest, event.points[0], event.predicted))
            if check is not None:
                found[check] = event
    return found


def _key(check: Check) -> tuple[str, str, Point, str]:
    return check.image, check.digest, check.point, check.predicted


def audit_result(plan: AuditPlan, events: Iterable[Event]) -> AuditResult:
    """What the answers so far say.

    Args:
        plan: the audit.
        events: those of annotations.jsonl that count, in order.
    """
    answers = answers_to(plan, events)
    sample = Sample(
        plan.pixels,
        len(plan.pixels) / max(plan.total - len(plan.problems), 1),
        np.array([check.place for check in answers], np.int64),
        np.array([check.stratum for check in answers], np.int64),
        np.array([event.right for event in answers.values()], np.bool_),
    )
    wrong: dict[str, dict[str, int]] = {}
    for event in answers.values():
        if not event.right:
            found = wrong.setdefault(event.predicted, {})
            found[event.title] = found.get(event.title, 0) + 1
    share = 100.0 * plan.pixels.sum(0) / plan.pixels.sum()
    shown = [number for number, value in enumerate(share.tolist()) if value]
    precision = precisions_of(sample)
    return AuditResult(
        accuracy_of(sample),
        {plan.classes[number]: precision[number] for number in shown},
        {plan.classes[number]: float(share[number]) for number in shown},
        wrong, len(plan.checks), len(plan.pixels), plan.total, plan.nameless, plan.model,
        plan.seed,
    )  # fmt: skip
