"""What stands on a model, put together: the heavy part of a studio, imported late."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.annotation.events import Event
from picie.annotation.queue import touched_images
from picie.clustering.tree import node_members
from picie.errors import ConfigError
from picie.runs import STUDIO_FOLDER
from picie.studio.accepted import Accepted
from picie.studio.broadcast import Broadcast
from picie.studio.cards import Cards
from picie.studio.checking import Checking
from picie.studio.filling import Filling
from picie.studio.index import Index
from picie.studio.leaves import model_key
from picie.studio.photos import Photos
from picie.studio.queue import Queue
from picie.studio.work import NOW, VIEW, Worker
from picie.studio.workspace import Workspace

__all__ = ["Parts", "load_parts"]


@dataclass(eq=False)
class Parts:
    """A model that is open, and what stands on it.

    Attributes:
        worker: computes.
        workspace: model and history.
        index: what is known of all photos.
        filling: looks at all photos in the background.
        queue: which photo is next.
        cards: of the nodes of the tree.
        accepted: masks that a person accepted.
        checking: the audit.
    """

    worker: Worker
    workspace: Workspace
    index: Index
    filling: Filling
    queue: Queue
    cards: Cards
    accepted: Accepted
    checking: Checking

    def touched(self) -> Counter[str]:
        """How often photos were annotated, by name."""
        return touched_images(self.workspace.annotations.valid)

    def close(self) -> None:
        """End what works, and write what is left to the disk."""
        self.workspace.stop()
        self.worker.stop()
        self.index.close()


class _Idle(Worker):
    """A worker that does only what somebody waits for: the rest is left to the training."""

    def idle(self, step: Callable[[], bool]) -> None:
        """Do nothing."""


def load_parts(
    run: Path, photos: Photos, broadcast: Broadcast, *, device: str = "", preview: bool = False
) -> Parts:
    """Load the model of a run, and put together what stands on it.

    Args:
        run: its folder.
        photos: all photos.
        broadcast: tells the pages.
        device: auto, cpu, cuda or mps; "" = as in training.
        preview: only for looking at what is on screen.

    Raises:
        ModelError: a model that cannot be used.
        ConfigError: names that do not fit it.
        PicieError: the folder cannot be written.
    """
    worker = _Idle() if preview else Worker()

    def publish(kind: str, data: Mapping[str, Any]) -> None:
        broadcast.publish(kind, data)

    def look(number: int) -> object:
        return workspace.leaves.features(number, hold=False)

    def leaf_map(number: int) -> NDArray[np.integer[Any]]:
        kept = workspace.leaves.kept(number)
        if kept is not None:
            return kept
        return worker.run(VIEW, lambda: workspace.leaves.base(number)).result()

    workspace = Workspace(run, photos, worker, publish, device=device)
    folder = workspace.run / STUDIO_FOLDER / model_key(workspace.model) / "index"
    index = Index(photos, workspace.model, folder)
    workspace.index = workspace.leaves.register = index
    filling = Filling(index, look, broadcast)
    worker.idle(filling.step)
    return Parts(
        worker=worker,
        workspace=workspace,
        index=index,
        filling=filling,
        queue=Queue(index, workspace.current),
        cards=Cards(index, node_members(workspace.model.network.centroid_set()), leaf_map),
        accepted=_accepted(workspace, worker),
        checking=Checking(
            photos.folder,
            worker,
            broadcast,
            current=workspace.current,
            events=lambda: workspace.annotations.valid,
            record=workspace.record,
            settled=lambda: workspace.learning.learnt.state in ("none", "settled"),
        ),
    )


def _accepted(workspace: Workspace, worker: Worker) -> Accepted:
    """The accepted masks of a run, which its workspace adds to."""
    photos = workspace.photos
    accepted = Accepted(workspace.run, photos.folder)

    def keep(event: Event) -> None:
        number = photos.number(event.image)
        assert number is not None  # the workspace has made the event of a photo
        photo = photos.folder.photos[number]
        model = workspace.current()[1]
        named = () if model.class_names is None else model.class_names.merged
        if all(one.ignore for one in named):
            raise ConfigError("nothing has a name yet; name clusters first, then accept masks")
        worker.run(NOW, lambda: accepted.keep(event, photo, model)).result()

    workspace.accepting = keep
    return accepted
