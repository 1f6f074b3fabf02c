"""Experiment trackers: TensorBoard and Weights & Biases."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from picie.config import MACHINE, Config
from picie.data.crop_loader import BaseCrops, image_loader
from picie.errors import MissingExtraError, PicieError
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE
from picie.views.pair import clean_view
from picie.visualization.masks import overlay

__all__ = ["Trackers", "Tracking", "check_trackers"]

_PACKAGES = {"tensorboard": '"picie[track]"', "wandb": "wandb"}  # arguments of pip install


def check_trackers(names: tuple[str, ...]) -> None:
    """Raise if the package of a tracker is not installed.

    Args:
        names: tensorboard, wandb.

    Raises:
        MissingExtraError: the message says what to install.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(
                f"picie train --track {name} needs {name}: pip install {_PACKAGES[name]}"
            )


class Trackers:
    """The trackers of one run; without names, all methods do nothing.

    Args:
        names: tensorboard, wandb.
        folder: run folder; TensorBoard writes to tensorboard/ inside it, wandb to wandb/.
        settings: settings of the run, plain values.
        say: shows a message if a tracker fails later; the run continues with the other trackers.
        step: first epoch; TensorBoard discards what it has from this epoch on.

    Raises:
        PicieError: a tracker cannot be started, for example without a login.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        folder: Path,
        settings: Mapping[str, Any],
        say: Callable[[str], None],
        *,
        step: int = 0,
    ) -> None:
        self._say = say
        self._trackers: list[Any] = []
        if not names:
            return
        from accelerate import PartialState

        PartialState()  # accelerate's trackers need it for logging
        for name in names:
            try:
                tracker = _make(name, folder, step)
                tracker.start()
                if not step:
                    tracker.store_init_configuration(_plain(settings))
            except Exception as error:  # trackers raise all kinds of errors
                raise PicieError(
                    f"the tracker {name} cannot be started ({_reason(error)}); log in if it needs "
                    "that, or remove --track"
                ) from error
            self._trackers.append(tracker)

    def numbers(self, record: Mapping[str, Any], step: int) -> None:
        """Log numbers; elements of lists as name/1, name/2, of mappings as name/key.

        Args:
            record: values by name; values that are not numbers are skipped.
            step: number of finished epochs.
        """
        values = _flat(record)
        self._each(lambda tracker: tracker.log(values, step=step))

    def images(self, name: str, images: NDArray[np.uint8], step: int) -> None:
        """Log images of equal size.

        Args:
            name: name of the images in the tracker.
            images: (n, H, W, 3) uint8 RGB.
            step: number of finished epochs.
        """

        def show(tracker: Any) -> None:
            layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({name: images}, step=step, **layout)

        self._each(show)

    def close(self) -> None:
        """Close all trackers."""
        self._each(lambda tracker: tracker.finish())
        self._trackers = []

    def _each(self, call: Callable[[Any], None]) -> None:
        """Call a function with each tracker; a tracker that fails is removed."""
        for tracker in list(self._trackers):
            try:
                call(tracker)
            except Exception as error:  # trackers raise all kinds of errors
                self._trackers.remove(tracker)
                self._say(
                    f"the tracker {tracker.name} failed ({_reason(error)}); the run continues "
                    "without it, and metrics.jsonl has all numbers"
                )


def _make(name: str, folder: Path, step: int) -> Any:
    from accelerate.tracking import TensorBoardTracker, WandBTracker

    if name == "tensorboard":
        purge = {"purge_step": step} if step else {}
        return TensorBoardTracker("tensorboard", str(folder), **purge)
    return WandBTracker("picie", name=folder.resolve().name, dir=str(folder))


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as values that every tracker supports."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in settings.items()
    }


def _flat(record: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, int | float):
            flat[name] = float(value)
            continue
        parts: Any = ()
        if isinstance(value, Mapping):
            parts = value.items()
        elif isinstance(value, list | tuple):
            parts = enumerate(value, 1)
        flat |= {f"{name}/{key}": float(v) for key, v in parts if isinstance(v, int | float)}
    return flat


_IMAGES = 4
_HIDDEN = {"epoch", "cluster_shares", "images"}
_PLACES = {"data", "backbone_weights", *MACHINE}  # not logged: local paths and machine settings


class Tracking:
    """The trackers of one training run, and the images that they show.

    Tracking does not affect the result of the run.

    Args:
        folder: the run folder.
        config: all settings.
        crops: the base crops of the images.
        device: device of the network.
        say: shows a message if a tracker fails; the run continues without it.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        crops: BaseCrops,
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        self._folder, self._config, self._say = folder, config, say
        self._loader = image_loader(crops, config, device)  # not shared with other processes
        count = len(crops)
        self._device = config.model_copy(update={"device": str(device)})
        self._shown = [count * place // _IMAGES for place in range(min(count, _IMAGES))]
        self._trackers = Trackers((), folder, {}, say)

    def start(self, epoch: int) -> None:
        """Start the trackers after `epoch` finished epochs.

        Raises:
            PicieError: a tracker cannot be started.
        """
        settings = self._config.model_dump(exclude=_PLACES)
        names = self._config.trackers
        self._trackers = Trackers(names, self._folder, settings, self._say, step=epoch)

    def epoch(self, model: PiCIE, record: Mapping[str, Any]) -> None:
        """Log the record of an epoch, and images of masks every `track_images` epochs.

        Args:
            model: with the centroids of the epoch.
            record: as in metrics.jsonl.
        """
        done, every = record["epoch"] + 1, self._config.track_images
        shown = {name: value for name, value in record.items() if name not in _HIDDEN}
        self._trackers.numbers(shown, done)
        if every and done % every == 0:
            self._show(model, done)

    def result(self, model: PiCIE, health: Mapping[str, float]) -> None:
        """Log the health of the finished model, and images of its masks.

        Args:
            model: the final model.
            health: label-free measures by name.
        """
        done = self._config.epochs
        self._trackers.numbers({"health": dict(health)}, done)
        if self._config.track_images:
            self._show(model, done, "finished/")

    def close(self) -> None:
        """Close the trackers."""
        self._trackers.close()

    def _show(self, model: PiCIE, step: int, prefix: str = "") -> None:
        if not self._config.trackers or not len(model.centroids):
            return  # no centroids yet
        batch = next(iter(self._loader(self._shown, _IMAGES)))
        if not len(batch.images):
            return  # none of the images can be read
        segmenter = Segmenter(model, self._device)
        images = clean_view(batch.images, self._config.size).cpu()
        shown = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
        masks = segmenter.predict(images)
        colours = segmenter.colours
        blended = [overlay(one, mask, colours) for one, mask in zip(shown, masks, strict=True)]
        self._trackers.images(f"{prefix}masks", np.stack(blended), step)
