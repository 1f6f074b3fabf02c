"""Training from the page: first masks in seconds, then the model, and what was interrupted.

The network learns for minutes. So up to 100 photos are clustered first as they are, without
learning; that model stands in, for looking only, until the other one is finished.
"""

import os
import re
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from picie.config import Config
from picie.errors import ConfigError, PicieError
from picie.runs import MODEL_CONFIG_FILE, Run
from picie.studio.jobs import Job, shown

if TYPE_CHECKING:
    from picie.studio.photos import Photos
    from picie.studio.studio import Studio

__all__ = ["PRESETS", "Training", "interrupted"]

PRESETS = {"fast": "default", "best": "best"}
"""Choices of the page, and what `picie train --preset` calls them."""

_FIRST = 100  # photos for the first masks
_PARTS = 1000  # of the progress of the whole
_START = 50  # where the first epoch begins in it
_END = 950  # where the last one ends
_STAGE = re.compile(r"epoch (\d+)/(\d+)(?:, clustering view (\d))?")
_MOST_CLUSTERS = 4096
_MOST_EPOCHS = 1000


class Training:
    """Trains the model of a studio, as a job.

    Args:
        studio: whose photos it learns from.
    """

    def __init__(self, studio: "Studio") -> None:
        self._studio = studio

    def order(self, wish: Mapping[str, Any]) -> Job:
        """Order the training, or the rest of one that was interrupted.

        Args:
            wish: clusters, preset (fast or best) and epochs, or resume; accept_changes resumes
                although photos changed, restart begins anew in spite of what is there.

        Raises:
            ConfigError: a value that cannot be used, or there is a model already.
        """
        studio = self._studio
        if studio.phase != "setup" or studio.photos is None or studio.jobs.busy("train"):
            raise ConfigError("there is a model already, or it is being trained")
        resumed = _switch(wish, "resume")
        begun = interrupted(studio.run)
        if resumed and begun is None:
            raise ConfigError(f"{studio.run}: there is nothing to resume; begin a new training")
        if begun is not None and not resumed and not _switch(wish, "restart"):
            raise ConfigError(
                f"{studio.run} holds an interrupted training ({begun['done']} of "
                f"{begun['epochs']} epochs); resume it, or say that it may be replaced"
            )
        if resumed:
            arguments = ["train", "--resume", str(studio.run)]
            arguments += ["--accept-changes"] * _switch(wish, "accept_changes")
            clusters = begun["clusters"] if begun else 0
        else:
            clusters = _number(wish, "clusters", 2, _MOST_CLUSTERS, Config().clusters)
            arguments = self._fresh(wish, clusters)
            arguments += ["--overwrite"] * (begun is not None)
        arguments += self._machine()
        job = studio.jobs.add(
            "train",
            f"training with {clusters} clusters",
            lambda job: self._work(job, clusters, arguments),
            command=shown(arguments),
        )
        studio.enter("training", "waiting for its turn")
        return job

    def _fresh(self, wish: Mapping[str, Any], clusters: int) -> list[str]:
        """The command that trains from the beginning."""
        studio = self._studio
        preset = wish.get("preset", "fast")
        if not isinstance(preset, str) or preset not in PRESETS:
            raise ConfigError(
                f"preset {str(preset)[:40]!r} is unknown; known: {', '.join(PRESETS)}"
            )
        arguments = ["train", str(studio.photos_path), "--out", str(studio.run)]
        arguments += ["--clusters", str(clusters), "--preset", PRESETS[preset]]
        if wish.get("epochs") is not None:
            arguments += ["--epochs", str(_number(wish, "epochs", 0, _MOST_EPOCHS, 0))]
        if studio.options.split:
            arguments += ["--split", studio.options.split]
        return arguments

    def _machine(self) -> list[str]:
        device = self._studio.options.device
        return ["--device", device] if device else []

    def _work(self, job: Job, clusters: int, arguments: list[str]) -> None:
        """Train; the studio shows first masks meanwhile, and the model at the end."""
        studio = self._studio
        try:
            studio.enter("training", "looking for first masks")
            with TemporaryDirectory(prefix="picie-", ignore_cleanup_errors=True) as folder:
                first = self._first_masks(job, clusters, Path(folder))
                showing = threading.Thread(target=studio.open_preview, args=[first])
                try:
                    if first is not None:
                        showing.start()
                    job.call(arguments, progress=_part)
                finally:
                    if first is not None:
                        showing.join()
                    studio.close_model()
            job.out, job.message, job.done, job.total = studio.run, "", _PARTS, _PARTS
        except BaseException as error:
            studio.enter("setup", str(error) if isinstance(error, PicieError) else "")
            raise
        studio.open_model()

    def _first_masks(self, job: Job, clusters: int, folder: Path) -> Path | None:
        """Cluster some photos as they are; the run, or None if that fails."""
        photos = self._studio.photos
        assert photos is not None  # checked in `order`
        source = _few(photos, folder / "photos")
        arguments = ["train", str(source), "--out", str(folder / "run"), "--epochs", "0"]
        arguments += ["--clusters", str(clusters), *self._machine()]
        try:
            job.call(arguments, progress=lambda label, done, total: (0, _PARTS))
        except PicieError:  # the training itself says what is wrong
            return None
        return folder / "run"


def interrupted(run: Path) -> dict[str, Any] | None:
    """What an interrupted training was about: epochs, done, clusters; None if there is none."""
    if not Run.is_run(run) or (run / MODEL_CONFIG_FILE).exists():
        return None
    opened = Run.open(run)
    if not opened.checkpoint_path.is_dir():
        return None
    done = len(opened.metrics())
    return {"epochs": opened.config.epochs, "done": done, "clusters": opened.config.clusters}


def _few(photos: "Photos", folder: Path) -> Path:
    """A folder with up to 100 photos, evenly spaced: links, or copies where there are none."""
    files = list(dict.fromkeys(photo.file for photo in photos.folder.photos))
    count = min(_FIRST, len(files))
    folder.mkdir()
    for number in range(count):
        source = Path(files[number * len(files) // count]).absolute()
        target = folder / f"{number:03d}{source.suffix}"
        try:
            os.symlink(source, target)
        except OSError:  # Windows wants a privilege for links
            shutil.copyfile(source, target)
    return folder


def _part(label: str, done: int, total: int) -> tuple[int, int]:
    """Progress of the training as a whole, from that of one of its stages."""
    share = done / max(total, 1)
    stage = _STAGE.fullmatch(label)
    if stage is None:
        begins = label.startswith(("listing", "PCA"))
        return (int(_START * share) if begins else _END), _PARTS
    epoch, epochs, view = int(stage[1]), int(stage[2]), stage[3]
    start, length = {"1": (0.0, 0.15), "2": (0.15, 0.15)}.get(view or "", (0.3, 0.7))
    whole = (epoch - 1 + start + length * share) / epochs
    return int(_START + (_END - _START) * whole), _PARTS


def _switch(wish: Mapping[str, Any], key: str) -> bool:
    value = wish.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: give true or false")
    return value


def _number(wish: Mapping[str, Any], key: str, least: int, most: int, default: int) -> int:
    value = wish.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{key}: give a whole number from {least} to {most}")
    return value
