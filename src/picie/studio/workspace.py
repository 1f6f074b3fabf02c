"""The model and the log of a run, with one writer for all pages.

The log is the truth: RUN/annotations.jsonl and classes.toml, as `picie name` and `picie teach` read
them. An act is one event in it. Other processes may write there too; their changes are noticed
within a second.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from picie.annotation.events import MARKS, Event, digest_of_image
from picie.annotation.log import Annotations, AnnotationsReader, append_events, redo, undo
from picie.clustering.tree import suggest_clusters, tree_of
from picie.errors import ConfigError, DataError, ModelError, PicieError
from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import ClassNames
from picie.naming.assign import ClusterTree, paint
from picie.naming.name import change_classes, names_of, weights_state
from picie.naming.questions import likeness
from picie.runs import ANNOTATIONS_FILE, CLASSES_FILE, annotated_folder
from picie.runtime.printable import shown
from picie.studio.acts import BY, NAMING, ON_PHOTOS, mark, naming, text, whole, with_class
from picie.studio.colours import free_colours, node_colours, unlike
from picie.studio.index import WHOLE, Index
from picie.studio.learning import Learning
from picie.studio.leaves import Leaves
from picie.studio.photos import Photos
from picie.studio.picture import (
    VOID_COLOUR,
    active_seconds,
    class_colours,
    class_list,
    class_nodes,
    described,
    named_colours,
    question_list,
    renames,
)
from picie.studio.work import Worker

__all__ = ["Workspace"]

_LOG = logging.getLogger("picie.studio")
_PAUSE = 1.0  # seconds between looks at the files
_ENOUGH = 10  # photos; the shares of fewer do not say which clusters are large
_MOST_KEYS = 200


@dataclass(frozen=True, eq=False)
class _Now:
    """What the files say.

    Attributes:
        names: of the clusters.
        named: the colours of their classes.
        known: the history.
        colours: of these classes, and of those that only marks have.
        problem: of the names.
    """

    names: ClassNames
    named: dict[str, str]
    known: Annotations
    colours: dict[str, str]
    problem: str


class Workspace:
    """A run that is open: its model, its names and its history.

    Args:
        run: its folder; that of the run, if it is of the taught model inside it.
        photos: those that are annotated.
        worker: what computes.
        publish: tells all pages: a kind of event, and its values.
        device: auto, cpu, cuda or mps; "" = as in training.

    Attributes:
        run: the folder of the log.
        model: as it was trained, without names.
        node_colours: "#rrggbb" of each node.
        leaves: features and maps.
        learning: from strokes.
        index: what is known of all photos, for the questions; None as long as nothing is.
        accepting: is called with the event of an accepted photo before it is recorded.

    Raises:
        ModelError: no model in the folder, or none with centroids.
        ConfigError: names that do not fit it.
    """

    def __init__(
        self,
        run: Path,
        photos: Photos,
        worker: Worker,
        publish: Callable[[str, Mapping[str, Any]], object],
        *,
        device: str = "",
    ) -> None:
        self.run, self.photos, self._publish = annotated_folder(run), photos, publish
        self.model = load(self.run, device=device, named=False)
        self._centroids = self.model.network.centroid_set()
        self.index: Index | None = None
        self.accepting: Callable[[Event], object] = lambda event: None
        self._weights = weights_state(self.run)
        self._trees: dict[int, ClusterTree] = {}
        self._lock = threading.RLock()  # of the one writer
        self._done: dict[str, str | None] = {}  # event of each act by its key, the last ones
        self._reader = AnnotationsReader(self.run / ANNOTATIONS_FILE)
        self._files: tuple[Any, ...] = ()
        self._asked: tuple[Any, list[dict[str, Any]]] = (None, [])
        self._current: tuple[object, Segmenter] = (None, self.model)
        names = names_of(self.run, self.model.clusters)
        self._now = _Now(names, named_colours(self._centroids, names), Annotations(), {}, "")
        self.node_colours = self._node_colours()
        self.leaves = Leaves(self.model, photos, self.run)
        self.learning = Learning(self.leaves, worker, self._tell_head)
        self._refresh()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="studio-watch", daemon=True)
        self._thread.start()

    @property
    def annotations(self) -> Annotations:
        """The history."""
        return self._now.known

    @property
    def names(self) -> ClassNames:
        """Names of the clusters."""
        return self._now.names

    def stop(self) -> None:
        """End the threads; everything is saved already."""
        self._ended.set()
        self.learning.stop()

    # --- what the page shows

    def model_info(self) -> dict[str, Any]:
        """What does not change: the centroids and their tree, and colours; plain values."""
        tree: list[list[float]] = []
        suggested = self.model.clusters
        if self._tree(self.model.clusters).children:
            rows = tree_of(self._centroids)
            tree = [[int(left), int(right), height] for left, right, height in rows.tolist()]
            suggested = suggest_clusters(rows)
        return {
            "centroids": len(self._centroids.points),
            "tree": tree,
            "trained": self.model.clusters,
            "suggested": suggested,
            "alike": likeness(self._centroids.points).tolist(),
            "node_colours": self.node_colours,
            "palette": list(free_colours()),
            "taught": self.taught,
        }

    @property
    def taught(self) -> str | None:
        """Why the model cannot learn from strokes, or None."""
        if self.model.labels is None:
            return None
        return (
            f"{self.run}: this model was taught already, so it can be named and checked, but not "
            "corrected; open the run that it was made from to correct it"
        )

    def state(self) -> dict[str, Any]:
        """Names, history and learning as they are now; plain values."""
        now, learnt, version = self._now, self.learning.learnt, self.leaves.rows.version
        events, valid, back = now.known.events, now.known.valid, now.known.last_undo
        tree, counts = self._tree(now.names.clusters), self._counts
        return {
            "end": len(events),
            "clusters": now.names.clusters,
            "classes": class_list(tree, now.names, now.colours),
            "extra": list(learnt.extra),
            "head": {
                "version": version,
                "state": learnt.state,
                "marks": learnt.marks,
                "notes": list(learnt.notes),
            },
            "undo": valid[-1].description if valid else None,
            "redo": None if back is None else described(events, back.of),
            "accepted": sorted(counts(e.image for e in valid if e.act == "accept")),
            "touched": counts(e.image for e in valid if e.act in MARKS),
            "questions": self._questions(tree, now.names),
            "problems": [*now.known.problems, *([now.problem] if now.problem else [])],
            "seconds": active_seconds(events),
            "acts": len(events),
        }

    # --- acts

    def act(self, values: Mapping[str, Any], page: str = "") -> dict[str, Any]:
        """Do what a page asks for; the answer is plain values. It may wait for the disk.

        Args:
            values: `act` and what belongs to it, as in `acts`; and a `key`: an act whose key was
                seen before was sent again because its answer was lost, and is done already.
            page: that asks.

        Raises:
            ConfigError: values that cannot be used, or nothing to undo.
            DataError: a photo that cannot be read.
            ModelError: another process has replaced the model.
            PicieError: a file cannot be written.
        """
        act, key = values.get("act"), values.get("key")
        with self._lock:
            if isinstance(key, str) and key in self._done:
                return {"event": self._done[key], "said": [], "state": self.state()}
            self._check_model()
            if act in NAMING:
                said = self._name(values)
            elif act in ON_PHOTOS:
                said = self._annotate(values)
            elif act == "undo":
                of = text(values, "of") if values.get("of") else ""
                said = [f"undone: {undo(self.run, by=BY, of=of).description}"]
            elif act == "redo":
                said = [f"done again: {redo(self.run, by=BY).description}"]
            else:
                raise ConfigError(f"act = {shown(act)}: there is no such act; update the page")
            before = len(self.annotations.events)
            self._refresh()
            new = self.annotations.events[before:]
            event, state = new[-1].id if new else None, self.state()
            if isinstance(key, str):
                self._done = {**dict(list(self._done.items())[-_MOST_KEYS:]), key[:64]: event}
        self._publish("state", {"end": state["end"], "page": page})
        return {"event": event, "said": said, "state": state}

    def record(self, event: Event) -> None:
        """Add an event that was made elsewhere, such as an answer of a check.

        Raises:
            PicieError: it cannot be written.
        """
        with self._lock:
            append_events(self.run / ANNOTATIONS_FILE, [event])
            self._refresh()
        self._publish("state", {"end": len(self.annotations.events), "page": ""})

    def current(self) -> tuple[object, Segmenter]:
        """The model with its names and what it has learnt, and what is equal for equal ones."""
        version, names = self.leaves.rows.version, self.names
        if self._current[0] != (version, names):
            self._current = (version, names), self.learning.model(names)
        return self._current

    def _name(self, values: Mapping[str, Any]) -> list[str]:
        step, renamed = naming(values, self._tree, list(self._now.colours))
        said: list[str] = []

        def pinned(names: ClassNames) -> tuple[ClassNames, list[str]]:
            after, sentences = step(names)
            said.extend(sentences)
            return self._with_colours(after, renamed), sentences

        change_classes(self.run, self._centroids, pinned, by=BY, renamed=renamed)
        return said

    def _annotate(self, values: Mapping[str, Any]) -> list[str]:
        if values["act"] != "accept" and self.taught:
            raise ConfigError(self.taught)
        number = whole(values, "photo")
        if number >= len(self.photos):
            raise ConfigError(
                f"there is no photo {number}; this folder has {len(self.photos)}; reload the page"
            )
        info = self.photos.info(number)
        if info.problem:
            raise DataError(info.problem)
        photo = self.photos.folder.photos[number]
        event = mark(values, photo.name, (info.width, info.height), digest_of_image(photo.path))
        if event.act == "accept":
            self.accepting(event)
        append_events(self.run / ANNOTATIONS_FILE, [event])
        return [event.description]

    def _with_colours(self, names: ClassNames, renamed: tuple[str, str] | None) -> ClassNames:
        """The names with an explicit colour for each class: the one that it has on screen."""
        on_screen = dict(self._now.colours)
        if renamed is not None:
            on_screen.setdefault(renamed[1], on_screen.get(renamed[0], ""))
        tree = self._tree(names.clusters)
        colours: list[tuple[str, str]] = []
        for one in names.merged:
            if one.colour or one.ignore:
                continue
            colour = on_screen.get(one.name, "")
            if colour in ("", VOID_COLOUR):
                nodes = class_nodes(tree, names, one.name)
                first = [self.node_colours[node] for node in nodes[:1]]
                colour = unlike([*first, *free_colours()], on_screen.values())
            on_screen[one.name] = colour
            colours.append((one.name, colour))
        return paint(names, colours)[0]

    def pin(self) -> None:
        """Give each class that only marks have an entry in classes.toml, with its colour.

        So masks that another process makes have the colours of the page.

        Raises:
            PicieError: a file cannot be written.
        """
        with self._lock:
            titles = [title for title in self._now.colours if title != "ignore"]

            def step(names: ClassNames) -> tuple[ClassNames, list[str]]:
                for title in titles:
                    names = with_class(names, title)
                return self._with_colours(names, None), ["colours of the page"]

            if any(not one.ignore for one in self.names.merged) or titles:
                change_classes(self.run, self._centroids, step, by=BY)
                self._refresh()

    def _check_model(self) -> None:
        if weights_state(self.run) != self._weights:
            raise ModelError(
                f"{self.run}: another process has replaced the model; start the studio again"
            )

    # --- following the files

    def _watch(self) -> None:
        """Notice what other processes change."""
        while not self._ended.wait(_PAUSE):
            try:
                if self._stamps() == self._files:
                    continue
                with self._lock:
                    changed = self._refresh()
                if changed:
                    self._publish("state", {"end": len(self.annotations.events), "page": ""})
            except Exception:
                _LOG.exception("the files of the run could not be looked at")

    def _refresh(self) -> bool:
        """Read what has changed on disk; return whether anything has. The caller has the lock."""
        stamps = self._stamps()
        if stamps == self._files:
            return False
        (self._files, old) = stamps, self._files
        before = now = self._now
        try:
            now = replace(now, known=self._reader.read())
            if old[1:] != stamps[1:]:
                names = names_of(self.run, self.model.clusters)
                named = named_colours(self._centroids, names)
                now = replace(now, names=names, named=named, problem="")
        except PicieError as error:  # the last good ones stay
            now = replace(now, problem=str(error))
        self._now = now = replace(now, colours=class_colours(now.named, now.known))
        for one, two in renames(before.known, now.known):
            self.learning.renamed(one, two)
        if self.taught is None:
            self.learning.follow(now.names, now.known.by_image())
        return True

    def _stamps(self) -> tuple[Any, ...]:
        found: list[Any] = []
        for name in (ANNOTATIONS_FILE, CLASSES_FILE):
            try:
                status = (self.run / name).stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)

    def _tell_head(self) -> None:
        head = {"version": self.leaves.rows.version, "state": self.learning.learnt.state}
        self._publish("head", head)

    # --- parts of the state

    def _tree(self, clusters: int) -> ClusterTree:
        if clusters not in self._trees:
            self._trees[clusters] = ClusterTree(self._centroids, clusters)
        return self._trees[clusters]

    def _counts(self, names: Iterable[str]) -> dict[int, int]:
        """How often each photo occurs among names, by its number."""
        found: dict[int, int] = {}
        for name, count in Counter(names).items():
            number = self.photos.number(name)
            if number is not None:
                found[number] = count
        return found

    def _questions(self, tree: ClusterTree, names: ClassNames) -> list[dict[str, Any]]:
        key = names, 0 if self.index is None else self.index.seen
        asked = self._asked
        if asked[0] != key:
            self._asked = asked = key, question_list(self._centroids, tree, names, self._shares())
        return asked[1]

    def _shares(self) -> Sequence[float] | None:
        """The share of each leaf in the photos that were looked at; None if those are too few."""
        if self.index is None or not self.index.known.any():
            return None
        if self.index.known.sum() < _ENOUGH and self.index.seen < len(self.photos):
            return None
        counts = self.index.counts()[self.index.known]
        shares: list[float] = (counts.mean(0) / WHOLE).tolist()
        return shares

    def _node_colours(self) -> list[str]:
        groups = self.model.network.view_centroids(0)[1].tolist()
        children = self._tree(self.model.clusters).children
        return node_colours(len(groups), [(left, right) for left, right, _ in children], groups)
