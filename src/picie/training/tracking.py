"""What a training shows to experiment trackers."""

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

_PACKAGES = {"tensorboard": '"picie[track]"', "wandb": "wandb"}  # what pip installs for each


def check_trackers(names: tuple[str, ...]) -> None:
    """Refuse trackers whose package is missing.

    Args:
        names: tensorboard, wandb.

    Raises:
        MissingExtraError: names what to install.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(
                f"picie train --track {name} needs {name}: pip install {_PACKAGES[name]}"
            )


class Trackers:
    """Those of one run; without names it does nothing.

    Args:
        names: tensorboard, wandb.
        folder: run folder; TensorBoard's files go to tensorboard/ inside it, those of wandb to
            wandb/.
        settings: of the run, plain values.
        say: tells people that a tracker has failed later on; the others, and the run, go on.
        step: epoch to begin with; what TensorBoard shows from there on is replaced.

    Raises:
        PicieError: a tracker cannot be started (no login, say).
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

        PartialState()  # accelerate's trackers ask it for their messages
        for name in names:
            try:
                tracker = _make(name, folder, step)
                tracker.start()
                if not step:
                    tracker.store_init_configuration(_plain(settings))
            except Exception as error:  # each tracker has its own errors
                raise PicieError(
                    f"the tracker {name} cannot be started ({_reason(error)}); log in to it if it "
                    "needs that, or leave out --track"
                ) from error
            self._trackers.append(tracker)

    def numbers(self, record: Mapping[str, Any], step: int) -> None:
        """Log numbers; those in lists as name/1, name/2, those in mappings as name/key.

        Args:
            record: by name; what is no number is left out.
            step: epochs done.
        """
        values = _flat(record)
        self._each(lambda tracker: tracker.log(values, step=step))

    def images(self, name: str, images: NDArray[np.uint8], step: int) -> None:
        """Log images of one size.

        Args:
            name: what they show.
            images: (n, H, W, 3) uint8 RGB.
            step: epochs done.
        """

        def show(tracker: Any) -> None:
            layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({name: images}, step=step, **layout)

        self._each(show)

    def close(self) -> None:
        """End all of them."""
        self._each(lambda tracker: tracker.finish())
        self._trackers = []

    def _each(self, call: Callable[[Any], None]) -> None:
        """Call it with each tracker; one that fails is left out from then on."""
        for tracker in list(self._trackers):
            try:
                call(tracker)
            except Exception as error:  # each tracker has its own errors
                self._trackers.remove(tracker)
                self._say(
                    f"the tracker {tracker.name} has failed ({_reason(error)}); the run goes on "
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
    """Values that every tracker takes."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in settings.items()
    }


def _flat(record: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, int | float):
            found[name] = float(value)
            continue
        parts: Any = ()
        if isinstance(value, Mapping):
            parts = value.items()
        elif isinstance(value, list | tuple):
            parts = enumerate(value, 1)
        found |= {f"{name}/{key}": float(v) for key, v in parts if isinstance(v, int | float)}
    return found


_IMAGES = 4
_HIDDEN = {"epoch", "cluster_shares", "images"}
_PLACES = {"data", "backbone_weights", *MACHINE}  # paths of this machine are not given to a tracker


class Tracking:
    """The trackers of one training, and the images that they see.

    Nothing of it changes the result.

    Args:
        folder: of the run.
        config: all settings.
        crops: of the images.
        device: where the network is.
        say: tells people that a tracker has failed; the run goes on without it.
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
        """Begin, after `epoch` epochs that are done.

        Raises:
            PicieError: a tracker cannot be started.
        """
        settings = self._config.model_dump(exclude=_PLACES)
        names = self._config.trackers
        self._trackers = Trackers(names, self._folder, settings, self._say, step=epoch)

    def epoch(self, model: PiCIE, record: Mapping[str, Any]) -> None:
        """Log what an epoch gave, and images of masks in every `track_images`-th.

        Args:
            model: with the epoch's centroids.
            record: as in metrics.jsonl.
        """
        done, every = record["epoch"] + 1, self._config.track_images
        shown = {name: value for name, value in record.items() if name not in _HIDDEN}
        self._trackers.numbers(shown, done)
        if every and done % every == 0:
            self._show(model, done)

    def result(self, model: PiCIE, health: Mapping[str, float]) -> None:
        """Log the health of the finished model, and its images.

        Args:
            model: as it is shipped.
            health: label-free measures by name.
        """
        done = self._config.epochs
        self._trackers.numbers({"health": dict(health)}, done)
        if self._config.track_images:
            self._show(model, done, "finished/")

    def close(self) -> None:
        """End the trackers."""
        self._trackers.close()

    def _show(self, model: PiCIE, step: int, prefix: str = "") -> None:
        if not self._config.trackers or not len(model.centroids):
            return  # with a learnt head there are none before the end
        batch = next(iter(self._loader(self._shown, _IMAGES)))
        if not len(batch.images):
            return  # none of them can be read
        segmenter = Segmenter(model, self._device)
        images = clean_view(batch.images, self._config.size).cpu()
        shown = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
        masks = segmenter.predict(images)
        colours = segmenter.colours
        blended = [overlay(one, mask, colours) for one, mask in zip(shown, masks, strict=True)]
        self._trackers.images(f"{prefix}masks", np.stack(blended), step)
