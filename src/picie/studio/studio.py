"""One studio: a folder of photos, a run, and everything that works on them.

It is opened in a thread of its own: first the list of photos, which needs no torch, then the model.
The page is there meanwhile and shows what there is.
"""

import logging
import shutil
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from picie.data.folder import open_folder
from picie.data.reading import Reading
from picie.errors import ConfigError, DataError, PicieError
from picie.runs import MODEL_CONFIG_FILE, STUDIO_FOLDER, Run, annotated_folder
from picie.runtime.files import writing
from picie.runtime.nearby import no_folder
from picie.runtime.printable import printable
from picie.studio.broadcast import Broadcast
from picie.studio.jobs import Jobs
from picie.studio.photos import Photos
from picie.studio.training import Training, interrupted
from picie.version import __version__

if TYPE_CHECKING:
    from picie.studio.accepted import Accepted
    from picie.studio.cards import Cards
    from picie.studio.checking import Checking
    from picie.studio.index import Index
    from picie.studio.loading import Parts
    from picie.studio.queue import Queue
    from picie.studio.work import Worker
    from picie.studio.workspace import Workspace

__all__ = ["Options", "Phase", "Studio", "find_places"]

Phase = Literal["starting", "setup", "training", "ready", "failed"]

_LOG = logging.getLogger("picie.studio")
_RUNS = Path("runs")
_SCREEN = 24  # photos on the first screen of a page
_PATIENCE = 1.5  # seconds that loading the model waits for it, since the two slow each other down


@dataclass(frozen=True)
class Options:
    """How a studio runs.

    Attributes:
        split: list file inside the folder of photos, by stem; "" = all.
        device: auto, cpu, cuda or mps; "" = as in training.
    """

    split: str = ""
    device: str = ""


def find_places(first: Path, second: Path | None, out: Path | None) -> tuple[Path, Path, str]:
    """The photos and the run that a person means.

    Args:
        first: a run, or photos if there is no run yet.
        second: photos of a run; None = those of its training.
        out: the run to create for photos.

    Returns:
        the folder of photos, the run, which may be missing, and the split of its training if the
        photos are those.

    Raises:
        ConfigError: contradictions, or a run whose photos must be given.
        DataError: no such photos.
        ModelError: a run that cannot be opened.
    """
    trained = (first / MODEL_CONFIG_FILE).exists() or Run.is_run(first)
    if second is not None:
        if out is not None:
            raise ConfigError(f"--out is for photos without a run; remove it, or {first}")
        if not trained:
            raise ConfigError(
                f"{first} is not a trained model; to train one on {second}: picie studio {second} "
                f"--out {first}"
            )
        return _existing(second), annotated_folder(first), ""
    if not trained:
        photos = _existing(first)
        return photos, out if out is not None else _run_for(photos), ""
    if out is not None:
        raise ConfigError(f"--out is for photos without a run; {first} is a run, remove --out")
    run = annotated_folder(first)
    config = Run.open(run).config if Run.is_run(run) else None
    if config is None or not config.data or config.dataset:
        raise ConfigError(f"which photos? Give them: picie studio {first} PHOTOS")
    return _existing(Path(config.data)), run, config.split


def _existing(photos: Path) -> Path:
    if not photos.exists():
        raise DataError(no_folder(photos, "give a folder of photos"))
    return photos.resolve()


def _run_for(photos: Path) -> Path:
    """The run of these photos under runs/, or a new name for one."""
    number, name = 1, photos.stem or "photos"
    while True:
        run = _RUNS / (name if number == 1 else f"{name}-{number}")
        if not run.exists() or (run.is_dir() and not any(run.iterdir())):
            return run
        with suppress(PicieError):
            if Run.is_run(run) and Path(Run.open(run).config.data).resolve() == photos:
                return run
        number += 1


class Studio:
    """What the handlers of all requests share.

    Args:
        photos_path: the folder of photos.
        run: folder of a trained model; of one that is to be trained, if there is none yet.
        options: how it runs.

    Attributes:
        phase: starting (reads photos or model), setup (waits for training to begin), training,
            ready, or failed.
        message: what it does in this phase, or why it failed.
        photos: None until they are listed.
    """

    def __init__(self, photos_path: Path, run: Path, options: Options) -> None:
        self.photos_path, self.run, self.options = photos_path, run, options
        self.phase: Phase = "starting"
        self.message = "reading the list of photos"
        self.broadcast = Broadcast()
        self.jobs = Jobs(lambda job: self.broadcast.publish("job", job))
        self.training = Training(self)
        self.photos: Photos | None = None
        self._parts: Parts | None = None
        self._loading = threading.Lock()
        self._ended = False
        self._shown, self._screen = 0, threading.Event()
        self._scratch = TemporaryDirectory(prefix="picie-", ignore_cleanup_errors=True)
        self._thread = threading.Thread(target=self._open, name="studio", daemon=True)

    def start(self) -> None:
        """Begin to open photos and model."""
        self._thread.start()

    def note_shown(self) -> None:
        """Note that a page shows one more photo: the model is loaded once its screen is full."""
        self._shown += 1
        if self._shown >= min(_SCREEN, 0 if self.photos is None else len(self.photos)):
            self._screen.set()

    def stop(self) -> None:
        """End everything that works; jobs are cancelled."""
        self._ended = True
        self._screen.set()
        self.broadcast.close()
        self.jobs.stop()
        if self._thread.is_alive():  # torch does not bear the end of Python while it is loaded
            self._thread.join()
        self.close_model()
        self._scratch.cleanup()

    @property
    def is_preview(self) -> bool:
        """Whether the model only stands in for the one that is being trained."""
        return self.phase == "training"

    @property
    def is_taught(self) -> bool:
        """Whether there are marks that the model can learn from."""
        workspace = self.workspace
        return (
            workspace is not None
            and workspace.taught is None
            and workspace.learning.learnt.state != "none"
        )

    @property
    def workspace(self) -> "Workspace | None":
        """Model and history; None until a model is loaded.

        While it trains, that of the first masks, which cannot be named.
        """
        return None if self._parts is None else self._parts.workspace

    @property
    def worker(self) -> "Worker | None":
        """What computes; None until a model is loaded."""
        return None if self._parts is None else self._parts.worker

    @property
    def index(self) -> "Index | None":
        """What is known of all photos; None until a model is loaded."""
        return None if self._parts is None else self._parts.index

    @property
    def queue(self) -> "Queue | None":
        """Which photo is next; None until a model is loaded."""
        return None if self._parts is None else self._parts.queue

    @property
    def cards(self) -> "Cards | None":
        """Cards of the tree; None until a model is loaded."""
        return None if self._parts is None else self._parts.cards

    @property
    def accepted(self) -> "Accepted | None":
        """Masks that a person accepted; None until a model is loaded."""
        return None if self._parts is None else self._parts.accepted

    @property
    def checking(self) -> "Checking | None":
        """The audit; None until a model is loaded."""
        return None if self._parts is None else self._parts.checking

    def touched(self) -> Mapping[str, int]:
        """How often photos were annotated, by name."""
        return {} if self._parts is None else self._parts.touched()

    def status(self) -> dict[str, Any]:
        """What it is about and how far it is; plain values."""
        begun = None
        if self.phase == "setup":
            with suppress(PicieError):
                begun = interrupted(self.run)
        notes = [] if self.photos is None else list(self.photos.folder.notes)
        return {
            "phase": self.phase,
            "message": self.message,
            "title": self.run.name,
            "run": str(self.run),
            "folder": str(self.photos_path),
            "photos": 0 if self.photos is None else len(self.photos),
            "problems": notes,
            "preview": self.is_preview and self.workspace is not None,
            "resumable": begun,
            "version": __version__,
        }

    def enter(self, phase: Phase, message: str = "") -> None:
        """Change the phase, and tell all pages."""
        self.phase, self.message = phase, message
        self.broadcast.publish("phase", self.status())

    def open_model(self) -> None:
        """Load the trained model of the run, and show it."""
        self.enter("starting", "loading the model")
        try:
            self._list()
            self._load(self.run)
        except Exception as error:
            self._fail(error)
        else:
            self.enter("ready")

    def open_preview(self, run: Path) -> None:
        """Load a model that stands in while the other one is being trained, if that works."""
        self.enter("training", "learning")
        try:
            self._load(run, preview=True)
        except Exception as error:
            level = logging.INFO if isinstance(error, PicieError) else logging.ERROR
            _LOG.log(level, "first masks cannot be shown", exc_info=error)
        else:
            self.enter("training", "learning")

    def close_model(self) -> None:
        """Leave the model that is loaded, if any."""
        with self._loading:
            parts, self._parts = self._parts, None
        if parts is not None:
            if self.is_preview:  # pages ask it for no more masks
                self.enter(self.phase, self.message)
            parts.close()

    def _open(self) -> None:
        try:
            self._list()
        except Exception as error:
            self._fail(error)
            return
        self._screen.wait(_PATIENCE)
        self.enter("starting", "loading the program")
        if (self.run / MODEL_CONFIG_FILE).exists():
            self.open_model()
        else:
            self.enter("setup")

    def _fail(self, error: Exception) -> None:
        message = str(error)
        if not isinstance(error, PicieError):
            _LOG.error("the studio cannot be opened", exc_info=error)
            message = f"unexpected {type(error).__name__}: {error}"
        self.enter("failed", message)
        # The terminal too: with --no-browser nobody may be looking at the page.
        sys.stderr.write(f"picie: error: {printable(message)}\n")

    def _list(self) -> None:
        """List the photos, as the run reads them; small copies are kept in it if it exists."""
        trained = (self.run / MODEL_CONFIG_FILE).exists()
        reading = Run.open(self.run).config.reading if Run.is_run(self.run) else Reading()
        scratch = Path(self._scratch.name) / STUDIO_FOLDER
        kept = self.run / STUDIO_FOLDER if trained else scratch
        if self.photos is None:
            folder = open_folder(self.photos_path, split=self.options.split, reading=reading)
        else:
            folder = self.photos.folder
            if trained and scratch.is_dir():
                with writing(kept):
                    shutil.copytree(scratch, kept, dirs_exist_ok=True)
            if folder.reading != reading:
                folder = replace(folder, reading=reading)
        self.photos = Photos(folder, kept)

    def _load(self, run: Path, *, preview: bool = False) -> None:
        """Load the model, and what stands on it; after the end, leave it again."""
        from picie.studio.loading import load_parts

        assert self.photos is not None  # listed before
        device = self.options.device
        parts = load_parts(run, self.photos, self.broadcast, device=device, preview=preview)
        with self._loading:
            if not self._ended:
                self._parts = parts
                return
        parts.close()
