"""A machine-learning backend of Label Studio: what it is asked, and what a model answers.

| address | is asked | answers |
|---|---|---|
| /health | whether it is there | that it is |
| /setup | whether it fits a labelling interface | the version of the model, or what does not fit |
| /predict | masks for tasks | for each task, a brush mask for each class |
| /webhook | to learn of an annotation | what was written to the history of the run |

A task names its image by an address. Nothing is fetched from there: the image is looked for in a
folder of photos, by the end of its path. `integrations.label_studio_server` is the server.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from picie.annotation.events import Event, digest_of_image, new_event
from picie.annotation.log import append_events, read_annotations
from picie.data.folder import Photo, PhotoFolder, open_folder
from picie.data.images import upright_size
from picie.data.listing import few
from picie.errors import ConfigError, DataError, PicieError
from picie.export.formats.labelstudio import brush_result, label_config, painted
from picie.export.formats.layout import ClassTable
from picie.export.formats.names import Naming, class_names
from picie.export.formats.polygons import regions
from picie.inference.confidence import CERTAIN
from picie.inference.manifest import model_digest
from picie.inference.segmenter import TILE, Prediction, Segmenter, load
from picie.models.class_names import check_name
from picie.runs import (
    ANNOTATIONS_FILE,
    CLASSES_FILE,
    MODEL_CONFIG_FILE,
    WEIGHTS_FILE,
    annotated_folder,
)
from picie.runtime.printable import shown
from picie.runtime.progress import Reporter

__all__ = ["Backend", "Interface", "PhotosByAddress", "marks_of_annotation", "read_interface"]

_BY = "Label Studio annotation"
_FORMAT = "labelstudio"
_UPLOADED = re.compile(r"[0-9a-f]{8}-")  # before the name of an uploaded file
_NOT_IN_UPLOADS = re.compile(r"[^-\w.]")
_MOST_TASKS = 64  # at once; of more, Label Studio asks one by one if only the first is answered
_MOST_POINTS = 100_000  # of an event
_LONGEST_CONFIG = 10**6  # characters


# --- the labelling interface


@dataclass(frozen=True)
class Interface:
    """The parts of a labelling interface that masks need.

    Attributes:
        brush: name of the control.
        image: name of the image.
        variable: key of its address in the data of a task.
        labels: of the control.
    """

    brush: str
    image: str
    variable: str
    labels: tuple[str, ...]


def read_interface(text: Any) -> Interface:
    """The brush of a labelling interface, and the image that it paints on.

    Args:
        text: XML.

    Raises:
        ConfigError: it has none.
    """
    problem = "the labelling interface of the project"
    if not isinstance(text, str) or len(text) > _LONGEST_CONFIG or "<!" in _without_comments(text):
        raise ConfigError(f"{problem} cannot be read")
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ConfigError(f"{problem} cannot be read: {error}") from None
    images = {one.get("name", ""): one.get("value", "") for one in tree.iter("Image")}
    for control in tree.iter("BrushLabels"):
        for image in control.get("toName", "").split(","):
            if images.get(image, "").startswith("$"):
                labels = [
                    one.get("alias") or one.get("value") or "" for one in control.iter("Label")
                ]
                return Interface(control.get("name", ""), image, images[image][1:], tuple(labels))
    raise ConfigError(
        f"{problem} has no BrushLabels for an Image; add them in Settings > Labeling Interface > "
        "Code: picie serve prints them when it starts"
    )


def _without_comments(text: str) -> str:
    return re.sub("<!--.*?-->", "", text, flags=re.DOTALL)


# --- photos


class PhotosByAddress:
    """The photos of a folder, found by the end of an address.

    An address holds the path of a photo in the folder, or in an export of it, or the name under
    which Label Studio keeps an uploaded file. The longest end that fits decides; if it fits several
    photos, none is found.

    Args:
        folder: of photos.
    """

    def __init__(self, folder: PhotoFolder) -> None:
        self._places: dict[str, Photo | None] = {}
        first = {photo.file: photo for photo in reversed(folder.photos)}  # of several pages
        files = {photo.name: PurePath(photo.file) for photo in first.values()}
        exported = Naming.of(_FORMAT, files, "copy").files
        above = PurePath(str(folder.root)).name
        for photo in first.values():
            path = str(PurePath(photo.name).with_name(files[photo.name].name))
            for place in {f"{above}/{path}", f"{above}/{exported[photo.name]}"}:
                self._add(place, photo)
            self._add("/" + _as_uploaded(path.rsplit("/", 1)[-1]), photo)

    def _add(self, place: str, photo: Photo) -> None:
        parts = place.split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            there = self._places.get(end, photo)
            self._places[end] = photo if there is not None and there.file == photo.file else None

    def find(self, address: Any) -> Photo:
        """The photo of an address.

        Raises:
            DataError: there is none, or there are several.
        """
        if not isinstance(address, str):
            raise DataError(f"{shown(address)} is no address of an image")
        parts = _path(address).split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if end in self._places:
                return self._only(end, address)
        name, count = _UPLOADED.subn("", parts[-1], count=1)
        if count and "/" + name in self._places:
            return self._only("/" + name, address)
        raise DataError(f"{shown(address)}: is not in the folder of photos")

    def _only(self, end: str, address: str) -> Photo:
        photo = self._places[end]
        if photo is None:
            raise DataError(f"{shown(address)}: several photos have this name")
        return photo


def _path(address: str) -> str:
    """The path in an address; of a local file, the one in its query."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    if parts.path.endswith("/data/local-files/") and (local := parse_qs(parts.query).get("d")):
        return local[0]
    return unquote(parts.path)


def _as_uploaded(name: str) -> str:
    """A name of a file as Label Studio keeps it, without what it puts in front."""
    return _NOT_IN_UPLOADS.sub("", name.strip().replace(" ", "_"))


# --- annotations


def marks_of_annotation(
    annotation: Mapping[str, Any],
    photo: Photo,
    classes: Mapping[str, str],
    *,
    by: str,
) -> tuple[list[Event], list[str]]:
    """The brush masks of an annotation as areas of a history.

    Args:
        annotation: of one task, with its results.
        photo: of the task.
        classes: the class of each label that is called otherwise.
        by: who or what makes them.

    Returns:
        an area for each mask, and a sentence for each result that makes none.

    Raises:
        DataError: the photo cannot be read.
    """
    width, height = upright_size(photo.path, photo.page)
    common = {"image": photo.name, "size": [width, height], "digest": digest_of_image(photo.path)}
    events, notes = list[Event](), list[str]()
    for result in annotation.get("result") or ():
        try:
            labels, inside = _brushed(result, height, width)
            for label in labels:
                title = classes.get(label, unquote(label))
                check_name(title, "label", ignore=title == "ignore")
                rings = _rings(inside)
                if rings:
                    mark = {"act": "segment", "title": title, "rings": rings}
                    events.append(new_event(by, **common, **mark))
        except (ConfigError, ValueError) as error:
            notes.append(f"{photo.name}: a result is left out: {error}")
    return events, notes


def _brushed(result: Any, height: int, width: int) -> tuple[list[str], NDArray[np.bool_]]:
    """Labels and pixels of a brush mask.

    Raises:
        ValueError: it is none, or of another image.
    """
    value = result.get("value") if isinstance(result, Mapping) else None
    if not isinstance(value, Mapping) or value.get("format") != "rle":
        raise ValueError("it is no brush mask")
    if result.get("image_rotation"):
        raise ValueError("it was painted on the turned image; turn it back, and submit it again")
    size = result.get("original_width"), result.get("original_height")
    if size != (width, height):
        raise ValueError(f"it was painted on an image of {shown(size)}, not {width} x {height}")
    labels, data = value.get("brushlabels"), value.get("rle")
    if not (isinstance(labels, list) and labels and all(isinstance(one, str) for one in labels)):
        raise ValueError("it has no label")
    if not isinstance(data, list):
        raise ValueError("it has no mask")
    try:
        stream = bytes(data)
    except (TypeError, ValueError):
        raise ValueError("its mask is no list of bytes") from None
    return labels, painted(stream, height, width)


def _rings(inside: NDArray[np.bool_]) -> list[list[list[int]]]:
    """Outlines of all regions with their holes; coarser if there are too many corners."""
    height, width = inside.shape
    step = 1
    while True:
        mask = np.where(inside[::step, ::step], 0, -1).astype(np.int16)
        rings = [ring * step for region in regions(mask) for ring in region.rings]
        if sum(map(len, rings)) <= _MOST_POINTS:
            return [np.minimum(ring, (width, height)).tolist() for ring in rings]
        step *= 2


# --- the backend


class Backend:
    """Answers for one model and one folder of photos.

    The model is read again as soon as its files change: `picie teach` and `picie name` take effect
    with the next request.

    Args:
        run: run folder of a model.
        photos: folder that holds the images of the tasks.
        device: auto, cpu, cuda or mps; as in training if empty.
        reporter: is told what happens.

    Raises:
        ModelError: the model cannot be read.
        DataError: there are no photos.
    """

    def __init__(
        self, run: Path, photos: Path, *, device: str = "", reporter: Reporter | None = None
    ) -> None:
        self.run = annotated_folder(run)
        self._path, self._device = run, device
        self._reporter = reporter or Reporter(quiet=True)
        self._lock = Lock()
        self._stamp = self._stamped()
        self._model = load(run, device=device)
        self._version = _version(self._model)
        self._folder = open_folder(photos, reading=self._model.config.reading)
        self._photos = PhotosByAddress(self._folder)

    @property
    def label_config(self) -> str:
        """A labelling interface with the classes of the model."""
        names = class_names(_FORMAT, self._model.names)
        return label_config(ClassTable(names, self._model.colours))

    def setup(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Whether the model fits a project.

        Args:
            request: with its labelling interface as "schema".

        Raises:
            ConfigError: the interface has no brush, or none of the classes as a label.
        """
        with self._lock:
            self._renew()
            self._labels(read_interface(request.get("schema")))
            return {"model_version": self._version}

    def predict(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Masks for tasks; a task whose image is not there gets no prediction.

        Args:
            request: with "tasks" and their "label_config".

        Raises:
            ConfigError: as for `setup`, or no list of tasks.
        """
        tasks = request.get("tasks")
        if not (isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks)):
            raise ConfigError("tasks: give a list of objects")
        tasks = tasks if len(tasks) <= _MOST_TASKS else tasks[:1]
        with self._lock:
            self._renew()
            interface = read_interface(request.get("label_config"))
            labels = self._labels(interface)
            photos = [self._photo(task, interface) for task in tasks]
            made = self._predicted(photo for photo in photos if photo is not None)
            results = [
                [self._prediction(made[photo.name], interface, labels)]
                if photo is not None and photo.name in made
                else []
                for photo in photos
            ]
        self._reporter.say(f"masks for {sum(map(bool, results))} of {len(results)} tasks")
        return {"results": results, "model_version": self._version}

    def webhook(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Write an annotation to the history of the run, in place of its earlier versions.

        Args:
            request: with "action", and what it is about.

        Raises:
            ConfigError: an annotation that cannot be used.
            PicieError: the history cannot be read or written.
        """
        match request.get("action"):
            case "ANNOTATION_CREATED" | "ANNOTATION_UPDATED" | "ANNOTATIONS_CREATED":
                pairs = zip(
                    _objects(request, "annotation"), _objects(request, "task"), strict=False
                )
                interface = read_interface(_object(request, "project").get("label_config"))
                counts = [self._record(*pair, interface) for pair in pairs]
                return {"status": "ok", "marks": sum(counts)}
            case "ANNOTATIONS_DELETED":
                gone = {_by(one) for one in _objects(request, "annotations")}
                undone = self._replace(gone, "", [])
                if undone:
                    self._reporter.say("an annotation was deleted, and no longer counts")
                return {"status": "ok", "undone": undone}
        return {"status": "ignored"}

    def _record(
        self, annotation: Mapping[str, Any], task: Mapping[str, Any], interface: Interface
    ) -> int:
        """Write one annotation; the number of its marks."""
        by, photo = _by(annotation), self._photo(task, interface)
        if photo is None:
            return 0
        with self._lock:
            classes = dict(
                zip(class_names(_FORMAT, self._model.names), self._model.names, strict=True)
            )
        events, notes = marks_of_annotation(
            annotation if not annotation.get("was_cancelled") else {}, photo, classes, by=by
        )
        undone = self._replace({by}, photo.name, events)
        self._reporter.enumerate(notes)
        before = ", in place of what was there" if undone else ""
        titles = few(sorted({event.title for event in events})) or "none"
        self._reporter.say(f"{photo.name}: annotated with {titles}{before}")
        return len(events)

    def _replace(self, by: set[str], image: str, events: list[Event]) -> int:
        """Append events, and undo those of earlier versions; the number of these."""
        path = self.run / ANNOTATIONS_FILE
        old = [
            event
            for event in read_annotations(path).valid
            if event.by in by and image in ("", event.image)
        ]
        undos = [new_event(event.by, act="undo", of=event.id) for event in old]
        append_events(path, [*undos, *events])
        return len(old)

    def _photo(self, task: Mapping[str, Any], interface: Interface) -> Photo | None:
        data = task.get("data")
        address = data.get(interface.variable) if isinstance(data, Mapping) else None
        try:
            return self._photos.find(address)
        except DataError as error:
            self._reporter.tell([f"task {shown(task.get('id'))}: {error}"])
            return None

    def _predicted(self, photos: Iterable[Photo]) -> dict[str, Prediction]:
        chosen = {photo.name: photo for photo in photos}
        if not chosen:
            return {}
        some = replace(self._folder, photos=tuple(chosen.values()))
        found = {one.name: one for one in self._model.predict_folder(some, confidence=True)}
        for one in found.values():
            if one.problem:
                self._reporter.tell([one.problem])
        return {name: one for name, one in found.items() if one.mask is not None}

    def _prediction(
        self, seen: Prediction, interface: Interface, labels: Mapping[int, str]
    ) -> dict[str, Any]:
        assert seen.mask is not None
        assert seen.confidence is not None
        results = []
        for number in np.unique(seen.mask).tolist():
            if number in labels:
                one = brush_result(
                    seen.mask, number, labels[number], interface.brush, interface.image
                )
                score = float(seen.confidence[seen.mask == number].mean()) / CERTAIN
                results.append(one | {"score": score})
        return {"model_version": self._version, "score": seen.mean_confidence, "result": results}

    def _labels(self, interface: Interface) -> dict[int, str]:
        """The label of each id that has one.

        Raises:
            ConfigError: there is none.
        """
        names = class_names(_FORMAT, self._model.names)
        found = {number: name for number, name in enumerate(names) if name in interface.labels}
        if not found:
            theirs = few(list(interface.labels)) or "none"
            raise ConfigError(
                f"none of the labels of the project ({theirs}) is a class of the model "
                f"({few(list(names))}); use the same names in Settings > Labeling Interface, or "
                "name clusters with picie name"
            )
        missing = [name for number, name in enumerate(names) if number not in found]
        if missing:
            note = f"the project has no label {few(missing)}: predictions leave them out"
            self._reporter.tell([note])
        return found

    def _renew(self) -> None:
        """Read the model again if its files have changed."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        try:
            model = load(self._path, device=self._device)
        except PicieError as error:  # it is just being written
            self._reporter.tell([f"the model has changed, and cannot be read yet: {error}"])
            return
        self._model, self._stamp, self._version = model, stamp, _version(model)
        self._reporter.say(f"the model has changed: {self._version}")

    def _stamped(self) -> list[tuple[int, int]]:
        return list(_stamps(self._path))


def _stamps(run: Path) -> Iterator[tuple[int, int]]:
    for name in (WEIGHTS_FILE, MODEL_CONFIG_FILE, CLASSES_FILE):
        try:
            found = (run / name).stat()
        except OSError:
            yield 0, 0
        else:
            yield found.st_mtime_ns, found.st_size


def _version(model: Segmenter) -> str:
    """Changes with anything that masks depend on: Label Studio then asks for new predictions."""
    return f"picie-{model_digest(model, None, TILE)}"


def _by(annotation: Mapping[str, Any]) -> str:
    number = annotation.get("id")
    if type(number) is not int:
        raise ConfigError(f"annotation: id = {shown(number)}; give a whole number")
    return f"{_BY} {number}"


def _object(request: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _objects(request, key)[0]


def _objects(request: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    """The object of a key, or several in a list.

    Raises:
        ConfigError: it is something else.
    """
    value = request.get(key)
    found: list[Any] = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(one, Mapping) for one in found):
        raise ConfigError(f"{key}: give an object, or a list of them")
    return found
