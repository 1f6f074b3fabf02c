"""What a training shows to experiment trackers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from picie.config import MACHINE, Config
from picie.data.crop_loader import BaseCrops, picture_loader
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE
from picie.trackers import Trackers
from picie.views.pair import clean_view
from picie.visualization.masks import overlay

__all__ = ["Tracking"]

_PICTURES = 4
_HIDDEN = {"epoch", "cluster_shares", "images"}
_PLACES = {"data", "backbone_weights", *MACHINE}  # paths of this machine are not given to a tracker


class Tracking:
    """The trackers of one training, and the pictures that they see.

    Nothing of it changes the result.

    Args:
        folder: of the run.
        config: all settings.
        crops: of the pictures.
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
        self._loader = picture_loader(crops, config, device)  # not shared with other processes
        count = len(crops)
        self._device = config.model_copy(update={"device": str(device)})
        self._shown = [count * place // _PICTURES for place in range(min(count, _PICTURES))]
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
        """Log what an epoch gave, and pictures in every `track_images`-th.

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
        """Log the health of the finished model, and its pictures.

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
        batch = next(iter(self._loader(self._shown, _PICTURES)))
        if not len(batch.images):
            return  # none of them can be read
        segmenter = Segmenter(model, self._device)
        pictures = clean_view(batch.images, self._config.size).cpu()
        shown = (pictures * 255).round().byte().permute(0, 2, 3, 1).numpy()
        masks: Sequence[Any] = segmenter.predict(pictures)
        colours = segmenter.colours
        blended = [overlay(one, mask, colours) for one, mask in zip(shown, masks, strict=True)]
        self._trackers.pictures(f"{prefix}masks", np.stack(blended), step)
