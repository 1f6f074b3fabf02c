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

from picie.annotation.events import Event, new_event
from picie.annotation.log import append_events, read_annotations
from picie.data.folder import Photo, PhotoFolder, open_folder
from picie.data.listing import few
from picie.errors import ConfigError, DataError, PicieError
from picie.export.formats.labelstudio import brush_result, label_config
from picie.export.formats.layout import ClassTable
from picie.export.formats.names import Naming, class_names
from picie.inference.confidence import CERTAIN
from picie.inference.manifest import model_digest
from picie.inference.segmenter import TILE, Prediction, Segmenter, load
from picie.integrations.label_studio_marks import marks_of_annotation
from picie.runs import (
    ANNOTATIONS_FILE,
    CLASSES_FILE,
    MODEL_CONFIG_FILE,
    WEIGHTS_FILE,
    annotated_folder,
)
from picie.runtime.printable import shown
from picie.runtime.progress import Reporter

__all__ = ["Backend", "Interface", "PhotosByAddress", "read_interface"]

_BY = "Label Studio annotation"
_FORMAT = "labelstudio"
_UPLOADED = re.compile(r"[0-9a-f]{8}-")  # before the name of an uploaded file
_NOT_IN_UPLOADS = re.compile(r"[^-\w.]")
_MOST_TASKS = 64  # at once; of more, Label Studio asks one by one if only the first is answered
_LONGEST_CONFIG = 10**6  # characters
_PASTE = (
    "paste what picie serve prints when it starts into Settings > Labeling Interface > Code, all "
    "of it or what is missing there"
)


# --- the labelling interface


@dataclass(frozen=True)
class Interface:
    """The parts of a labelling interface that masks need.

    Attributes:
        image: name of the image.
        variable: key of its address in the data of a task.
        brush: name of the control that paints masks; "" = there is none.
        labels: of the brush.
    """

    image: str
    variable: str
    brush: str = ""
    labels: tuple[str, ...] = ()


def read_interface(text: Any) -> Interface:
    """The brush of a labelling interface and the image that it paints on, else the first image.

    Args:
        text: XML.

    Raises:
        ConfigError: it cannot be read, or has no image.
    """
    problem = "the labelling interface of the project"
    if not isinstance(text, str) or len(text) > _LONGEST_CONFIG or "<!" in _without_comments(text):
        raise ConfigError(f"{problem} cannot be read")
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ConfigError(f"{problem} cannot be read: {error}") from None
    addresses = {one.get("name", ""): one.get("value", "") for one in tree.iter("Image")}
    images = {name: value[1:] for name, value in addresses.items() if value.startswith("$")}
    for control in tree.iter("BrushLabels"):
        for image in control.get("toName", "").split(","):
            if image in images:
                labels = [
                    one.get("alias") or one.get("value") or "" for one in control.iter("Label")
                ]
                return Interface(image, images[image], control.get("name", ""), tuple(labels))
    for image, variable in images.items():
        return Interface(image, variable)
    raise ConfigError(
        f"{problem} has no Image with the address of a task, such as $image; {_PASTE}"
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
        raise DataError(f"{shown(address)}: was not in the folder of photos at the start")

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
                annotations, tasks = _objects(request, "annotation"), _objects(request, "task")
                interface = read_interface(_object(request, "project").get("label_config"))
                if len(annotations) != len(tasks):
                    raise ConfigError("annotation, task: give a task for each annotation")
                pairs = zip(annotations, tasks, strict=True)
                counts = [self._record(*pair, interface) for pair in pairs]
                return {"status": "ok", "marks": sum(counts)}
            case "ANNOTATIONS_DELETED":
                gone = {_by(one) for one in _objects(request, "annotations")}
                undone = self._replace(gone, "", [])
                if undone:
                    self._reporter.say("an annotation was deleted, and no longer counts")
                return {"status": "ok", "undone": undone}
            case "TASKS_DELETED":
                self._reporter.say("tasks were deleted; what was annotated in them still counts")
            case "START_TRAINING":
                teach = f"picie teach {self.run} --images {self._folder.root}"
                self._reporter.say(f"nothing is trained; call {teach}")
        return {"status": "ignored"}

    def _record(
        self, annotation: Mapping[str, Any], task: Mapping[str, Any], interface: Interface
    ) -> int:
        """Write one annotation; the number of its marks."""
        by = _by(annotation)
        names = self._model.names  # not behind the lock: Label Studio does not wait for masks
        classes = dict(zip(class_names(_FORMAT, names), names, strict=True))
        given = {} if annotation.get("was_cancelled") else annotation
        try:
            photo = self._photos.find(_address(task, interface))
            events, notes = marks_of_annotation(given, photo, classes, image=interface.image, by=by)
        except DataError as error:
            self._reporter.say(f"annotation {annotation['id']} is left out: {error}")
            return 0
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
        try:
            return self._photos.find(_address(task, interface))
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
        if not interface.brush:
            raise ConfigError(
                "the labelling interface of the project has no BrushLabels for its Image, and "
                f"predictions are brush masks; {_PASTE}"
            )
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


def _address(task: Mapping[str, Any], interface: Interface) -> Any:
    data = task.get("data")
    return data.get(interface.variable) if isinstance(data, Mapping) else None


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
